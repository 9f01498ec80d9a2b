// An owner without eyes: joins with an invitation, looks at a robot, signs a lower top speed and waits until the robot
// keeps to it, makes a code for another robot, and stops the first one.
//
// node headless-owner.mjs --chromium PATH --join URL --robot ID [--screenshots DIR]
//
// The last line on standard output is one JSON object.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { launch } from "./launch.mjs";

const { values: args } = parseArgs({
  options: {
    chromium: { type: "string" },
    join: { type: "string" },
    robot: { type: "string" },
    screenshots: { type: "string" },
  },
});

const progress = (text) => process.stderr.write(`    owner: ${text}\n`);
const { page, close } = await launch(args.chromium, { width: 1280, height: 900 });
const consoleErrors = [];
page.on("console", (message) => {
  if (message.type() === "error") consoleErrors.push(`${message.text()} (${message.location().url})`);
});
page.on("pageerror", (error) => consoleErrors.push(String(error)));
const byTest = (id) => page.locator(`[data-testid="${id}"]`);

/** One picture as on a desk, one as on a phone. */
async function shots(name) {
  if (!args.screenshots) return;
  mkdirSync(args.screenshots, { recursive: true });
  for (const [size, width, height] of [["desktop", 1280, 900], ["phone", 390, 844]]) {
    await page.setViewportSize({ width, height });
    await page.waitForTimeout(250);
    await page.screenshot({ path: join(args.screenshots, `${name}-${size}.png`), fullPage: true });
  }
  await page.setViewportSize({ width: 1280, height: 900 });
}

let failed = false;
const report = {};
try {
  progress("joins by invitation");
  await page.goto(args.join);
  await byTest("join-name").fill("Ada");
  await byTest("join-accept").click();
  const card = page.locator(`[data-testid="robot-card"][href="/robots/${args.robot}"]`);
  await card.waitFor({ timeout: 20_000 });
  await shots("robots");
  await card.click();
  await byTest("robot-map").waitFor({ timeout: 20_000 });
  report.online = await byTest("robot-online").innerText();

  progress("signs a lower top speed, and an area around the robot");
  await byTest("speed").evaluate((slider) => {
    slider.value = "0.3";
    slider.dispatchEvent(new Event("input", { bubbles: true }));
  });
  report.speed = await byTest("speed-shown").innerText();
  await byTest("area-draw").click();
  const map = await byTest("robot-map").boundingBox();
  for (const [x, y] of [[0.02, 0.02], [0.98, 0.02], [0.98, 0.98], [0.02, 0.98]]) {
    await page.mouse.click(map.x + map.width * x, map.y + map.height * y);
  }
  await shots("drawing");
  await byTest("area-done").click();
  await byTest("blind").setChecked(true);
  await byTest("limits-sign").click();
  await page.waitForFunction(
    () => document.querySelector('[data-testid="limits-state"]')?.textContent === "on the robot",
    undefined,
    { timeout: 20_000 },
  );
  await shots("robot");

  progress("makes a code for another robot");
  await page.goto(new URL("/add-robot", args.join).href);
  await byTest("robot-name").fill("Second Rover");
  await byTest("make-code").click();
  report.command = await byTest("enrol-command").innerText();
  await shots("add");

  progress("stops the robot");
  await page.goto(new URL(`/robots/${args.robot}`, args.join).href);
  await byTest("no-troubles").waitFor({ timeout: 10_000 });
  await byTest("owner-stop").click();
  await page.waitForFunction(
    () => document.querySelector('[data-testid="robot-live"]')?.textContent?.startsWith("Emergency stop"),
    undefined,
    { timeout: 20_000 },
  );
  await shots("stopped");
} catch (error) {
  failed = true;
  report.error = String(error);
  if (args.screenshots) await page.screenshot({ path: join(args.screenshots, "failed.png") }).catch(() => {});
}
await close();
process.stdout.write(`${JSON.stringify({ ...report, console_errors: consoleErrors })}\n`);
process.exit(failed ? 1 : 0);
