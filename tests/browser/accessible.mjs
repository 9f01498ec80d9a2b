// Whether everybody can use the cockpit: every page of its fake world at the size of a desk and of a phone, light and dark, looked at
// by axe, and whether it fits. While driving as well, and with the robot in trouble.
//
// node accessible.mjs --chromium PATH --url URL [--screenshots DIR]
//
// The last line on standard output is one JSON object; an exit code other than 0 says that something was found.
import { createRequire } from "node:module";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { launch } from "./launch.mjs";

const { values: args } = parseArgs({
  options: { chromium: { type: "string" }, url: { type: "string" }, screenshots: { type: "string" } },
});
const axe = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
/** What European law asks of pages (EN 301 549), and more. */
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
const SCREENS = [
  { name: "desk", viewport: { width: 1440, height: 810 }, colorScheme: "dark" },
  { name: "desk-light", viewport: { width: 1440, height: 810 }, colorScheme: "light" },
  { name: "phone", viewport: { width: 390, height: 844 }, colorScheme: "light" },
  { name: "phone-lying", viewport: { width: 844, height: 390 }, colorScheme: "dark" },
];
/** Missions of the fake world, by what goes wrong in them. */
const MISSION = "msn_0190b5c6f1e27d3a8b4c5d6e7f80";
const PAGES = {
  pilot: ["/", "/episodes", "/account", "/safety", "/settings", "/check", "/practice", "/nowhere/at/all"],
  owner: ["/", "/robots", "/robots/demo-rover-1", "/add-robot", "/watch/demo-rover-1", "/episodes"],
};
const DRIVES = { driving: 9001, "slow-link": 9003, "frozen-picture": 9004, obstacle: 9005, "link-loss": 9006 };
const CALM = new Set(["driving", "slow-link"]);

const found = [];
let looks = 0;

/** What is wrong with the page as it is now. */
async function look(page, name, screen) {
  const shot = `${name.replaceAll("/", "_") || "_"}-${screen.name}.png`;
  if (args.screenshots) await page.screenshot({ path: join(args.screenshots, shot) });
  const violations = await page.evaluate(async (rules) => {
    const result = await globalThis.axe.run(document, { runOnly: rules, resultTypes: ["violations"] });
    return result.violations.map(({ id, help, nodes }) => ({ id, help, nodes: nodes.map((n) => n.html.slice(0, 160)) }));
  }, RULES);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - globalThis.innerWidth);
  if (wide > 0) violations.push({ id: "too-wide", help: `the page is ${wide} px wider than the screen`, nodes: [] });
  found.push(...violations.map((violation) => ({ page: name, screen: screen.name, ...violation })));
  looks += 1;
}

/** Goes to a page as a link would: the fake world lives in this one. */
async function go(page, path) {
  await page.evaluate((path) => {
    history.pushState(null, "", path);
    dispatchEvent(new PopStateEvent("popstate"));
  }, path);
  await page.locator("main").first().waitFor();
  // Until what is on its way has come, and what moves stands.
  await page.waitForLoadState("networkidle");
  await page.waitForFunction(() => {
    const endless = (one) => one.effect?.getComputedTiming().iterations === Number.POSITIVE_INFINITY;
    return document.getAnimations().every((one) => one.playState !== "running" || endless(one));
  });
}

/** Drives ahead; with `trouble`, until the page says so. */
async function drives(page, trouble) {
  const state = page.locator('[data-testid="hud-state"][data-state="driving"]');
  await page.waitForFunction(() => document.querySelector('[data-testid="hud-speed"]')?.dataset["mmps"] !== "");
  await page.keyboard.down("KeyW");
  await state.waitFor({ timeout: 15_000 });
  if (!trouble) return;
  const calm = await state.textContent();
  await page.waitForFunction(
    (calm) => document.querySelector('[data-testid="hud-state"]')?.textContent !== calm,
    calm,
    { timeout: 20_000 },
  );
}

async function signIn(page, role) {
  await page.goto(new URL(`/join#${role === "owner" ? "owner" : "demo"}`, args.url).href);
  await page.addScriptTag({ path: axe });
  const name = page.locator('[data-testid="join-name"]');
  await name.fill("Ada");
  await page.locator('[data-testid="join-accept"]').click();
  await page.waitForFunction(() => sessionStorage.getItem("longrein.session") !== null);
}

if (args.screenshots) mkdirSync(args.screenshots, { recursive: true });
const errors = [];

async function lookAll(screen, role) {
  const { page, close } = await launch(args.chromium, screen.viewport);
  try {
    page.on("pageerror", (error) => errors.push(`${screen.name}: ${error}`));
    await page.emulateMedia({ colorScheme: screen.colorScheme });
    await signIn(page, role);
    for (const path of PAGES[role]) {
      await go(page, path);
      await look(page, `${role}${path}`, screen);
    }
    if (role !== "pilot") return;
    for (const [name, mission] of Object.entries(DRIVES)) {
      await go(page, `/drive/${MISSION}${mission}`);
      await drives(page, !CALM.has(name));
      await look(page, name, screen);
      await page.keyboard.up("KeyW");
      await go(page, "/");
    }
  } finally {
    await close();
  }
}

await Promise.all(SCREENS.map((screen) => lookAll(screen, "pilot")));
await Promise.all(SCREENS.map((screen) => lookAll(screen, "owner")));
for (const { page, screen, id, help, nodes } of found) {
  process.stderr.write(`    ${page} (${screen}): ${id}: ${help}\n${nodes.map((html) => `        ${html}\n`).join("")}`);
}
process.stdout.write(`${JSON.stringify({ looks, found: found.length, errors })}\n`);
process.exit(found.length + errors.length === 0 ? 0 : 1);
