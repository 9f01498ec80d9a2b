// A pilot with a phone: comes over HTTPS by this machine's own address, joins, takes a mission and drives with the thumb,
// upright and lying.
//
// node headless-phone.mjs --chromium PATH --join URL --mission ID --certificate PEM [--screenshots DIR]
//
// The last line on standard output is one JSON object.
import { createHash, X509Certificate } from "node:crypto";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { launch } from "./launch.mjs";

const { values: args } = parseArgs({
  options: {
    chromium: { type: "string" },
    join: { type: "string" },
    mission: { type: "string" },
    // The certificate that is accepted, as somebody does who compared the fingerprint.
    certificate: { type: "string" },
    screenshots: { type: "string" },
  },
});

const progress = (text) => process.stderr.write(`    phone: ${text}\n`);
const UPRIGHT = { width: 390, height: 844 };
const LYING = { width: 844, height: 390 };
const PHONE = { hasTouch: true, isMobile: true, deviceScaleFactor: 2 };

/** What a browser says that was told of no certificate. */
async function refusal() {
  const { page, close } = await launch(args.chromium, UPRIGHT, [], PHONE);
  const words = await page.goto(new URL("/", args.join).href).then(
    () => null,
    (error) => String(error).split("\n")[0],
  );
  await close();
  return words;
}

const refused = await refusal();
progress(`without the certificate: ${refused}`);
const key = new X509Certificate(readFileSync(args.certificate)).publicKey.export({ type: "spki", format: "der" });
const spki = createHash("sha256").update(key).digest("base64");
const accepting = [`--ignore-certificate-errors-spki-list=${spki}`];
const { page, close } = await launch(args.chromium, UPRIGHT, accepting, PHONE);
const consoleErrors = [];
page.on("console", (message) => {
  if (message.type() === "error") consoleErrors.push(`${message.text()} (${message.location().url})`);
});
page.on("pageerror", (error) => consoleErrors.push(String(error)));
const byTest = (id) => page.locator(`[data-testid="${id}"]`);
const view = () => page.evaluate(() => structuredClone(globalThis.__longrein ?? null));

async function shot(name) {
  if (!args.screenshots) return;
  mkdirSync(args.screenshots, { recursive: true });
  await page.screenshot({ path: join(args.screenshots, `${name}.png`) });
}

/** Whether anything can only be reached by scrolling to the side. */
const tooWide = () => page.evaluate(() => document.documentElement.scrollWidth > innerWidth + 1);

let failed = false;
try {
  await page.goto(args.join);
  const secure = await page.evaluate(() => ({
    context: globalThis.isSecureContext,
    host: location.hostname,
    crypto: globalThis.crypto.subtle !== undefined,
    gamepads: typeof navigator.getGamepads === "function",
    microphone: navigator.mediaDevices !== undefined,
  }));
  await byTest("join-name").fill("Phone Pilot");
  await byTest("join-accept").click();
  const card = page.locator(`[data-testid="mission-card"][data-mission="${args.mission}"]`);
  await card.waitFor({ timeout: 20_000 });
  await page.goto(new URL("/account", args.join).href);
  await byTest("phone-url").waitFor({ timeout: 20_000 });
  const shown = await byTest("phone-url").getAttribute("href");
  await byTest("phone-card").scrollIntoViewIfNeeded();
  await shot("phone-account");
  const wide = [await tooWide()];
  await page.goto(new URL("/", args.join).href);
  await card.locator('[data-testid="mission-take"]').click();
  await byTest("video-front").waitFor({ timeout: 20_000 });
  await page.waitForFunction(() => globalThis.__longrein?.connected && globalThis.__longrein.state === "ready", null, {
    timeout: 30_000,
  });
  progress("sees the street");
  await shot("phone-upright");
  wide.push(await tooWide());
  await page.setViewportSize(LYING);
  await page.waitForTimeout(800);
  await shot("phone-lying");
  wide.push(await tooWide());
  const box = await page.locator(".thumb").boundingBox();
  const touch = await page.context().newCDPSession(page);
  const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
  const send = (type, points) => touch.send("Input.dispatchTouchEvent", { type, touchPoints: points });
  await send("touchStart", [{ x, y }]);
  let fastest = 0;
  for (let n = 0; n < 60; n += 1) {
    await send("touchMove", [{ x, y: y - Math.min(box.height * 0.4, 2 + n * 4) }]);
    await page.waitForTimeout(50);
    fastest = Math.max(fastest, (await view())?.speedMps ?? 0);
    if (n === 40) await shot("phone-driving");
  }
  await send("touchEnd", []);
  await page.waitForFunction(() => Math.abs(globalThis.__longrein?.speedMps ?? 1) < 0.02, null, { timeout: 10_000 });
  const report = { refused, secure, shown, wide, fastest_mps: fastest, console_errors: consoleErrors };
  process.stdout.write(`${JSON.stringify(report)}\n`);
} catch (error) {
  failed = true;
  await shot("phone-failed").catch(() => {});
  process.stdout.write(`${JSON.stringify({ error: String(error), refused, console_errors: consoleErrors, view: await view().catch(() => null) })}\n`);
}
await close();
process.exit(failed ? 1 : 0);
