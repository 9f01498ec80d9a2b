// Somebody who watches a robot, and may take it over: signs in with an invitation, opens the page, reads it as a person would.
//
// node headless-viewer.mjs --chromium PATH --join URL --robot ID [--screenshots DIR] [--seconds N] [--phone] [--beside]
//     [--stop] [--take-over]
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
    name: { type: "string", default: "Headless Viewer" },
    robot: { type: "string" },
    screenshots: { type: "string" },
    seconds: { type: "string", default: "5" },
    // A small screen, held upright.
    phone: { type: "boolean", default: false },
    // Open a second view in the same page, unseen.
    beside: { type: "boolean", default: false },
    // Press the emergency stop.
    stop: { type: "boolean", default: false },
    // Take the robot from its driver and wait for the cockpit.
    "take-over": { type: "boolean", default: false },
  },
});

const progress = (text) => process.stderr.write(`    viewer: ${text}\n`);
const { page, close } = await launch(args.chromium, args.phone ? { width: 390, height: 844 } : undefined);
const consoleErrors = [];
page.on("console", (message) => {
  if (message.type() === "error") consoleErrors.push(`${message.text()} (${message.location().url})`);
});
page.on("pageerror", (error) => consoleErrors.push(String(error)));
const byTest = (id) => page.locator(`[data-testid="${id}"]`);

async function shot(name) {
  if (!args.screenshots) return;
  mkdirSync(args.screenshots, { recursive: true });
  await page.screenshot({ path: join(args.screenshots, `${name}${args.phone ? "-phone" : ""}.png`) });
}

/** Frames that reach the screen within so many seconds, and the longest time between two. */
const frames = (seconds) =>
  page.evaluate(async (seconds) => {
    const video = document.querySelector('[data-testid="watch-video"]');
    const times = [];
    const note = (now) => {
      times.push(now);
      video.requestVideoFrameCallback(note);
    };
    video.requestVideoFrameCallback(note);
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    const gaps = times.slice(1).map((time, n) => time - times[n]);
    return { count: times.length, gap_ms_max: Math.max(0, ...gaps), width: video.videoWidth, height: video.videoHeight };
  }, seconds);

const words = async (id) => (await byTest(id).first().textContent())?.trim() ?? null;

// What its connections report, for whoever has to find out why nothing is seen.
await page.addInitScript(() => {
  globalThis.connections = [];
  globalThis.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(...given) {
      super(...given);
      globalThis.connections.push(this);
    }
  };
});
const inbound = () =>
  page.evaluate(async () => {
    const told = [];
    for (const pc of globalThis.connections ?? []) {
      for (const report of (await pc.getStats()).values()) {
        if (["inbound-rtp", "transport"].includes(report.type)) told.push(report);
      }
    }
    return told;
  });

let failed = false;
try {
  await page.goto(args.join);
  await byTest("join-name").fill(args.name);
  await byTest("join-accept").click();
  await page.waitForFunction(() => sessionStorage.getItem("longrein.session") !== null, null, { timeout: 20_000 });
  const began = Date.now();
  await page.goto(new URL(`/watch/${args.robot}`, args.join).href);
  await page.locator('[data-testid="watch-picture"][data-picture="live"]').waitFor({ timeout: 30_000 });
  const liveMs = Date.now() - began;
  progress(`sees the robot after ${liveMs} ms`);
  if (args.beside) {
    await page.evaluate(async (robot) => {
      const { token } = JSON.parse(sessionStorage.getItem("longrein.session"));
      const pc = new RTCPeerConnection();
      pc.addTransceiver("video", { direction: "recvonly" });
      await pc.setLocalDescription();
      const headers = { authorization: `Bearer ${token}`, "content-type": "application/sdp" };
      const body = pc.localDescription.sdp;
      const answer = await fetch(`/v1/robots/${robot}/watch`, { method: "POST", headers, body });
      await pc.setRemoteDescription({ type: "answer", sdp: await answer.text() });
      globalThis.beside = pc;
    }, args.robot);
  }
  const seen = await frames(Number(args.seconds));
  await shot("watch");
  const report = {
    live_ms: liveMs,
    frames: seen,
    driver: await words("watch-driver"),
    state: await words("watch-state"),
    may_take_over: await byTest("take-over").isEnabled(),
    stopped: null,
    taken_over: null,
    console_errors: consoleErrors,
  };
  if (args.stop) {
    await byTest("watch-stop").click();
    await page.waitForFunction(
      () => document.querySelector('[data-testid="watch-state"]')?.textContent?.includes("Emergency stop"),
      null,
      { timeout: 10_000 },
    );
    report.stopped = await words("watch-state");
    await shot("stopped");
  }
  if (args["take-over"]) {
    await byTest("take-over").click();
    await shot("take-over");
    await byTest("take-over-now").click();
    await page.waitForFunction(() => globalThis.__longrein?.connected === true, null, { timeout: 30_000 });
    await page.waitForFunction(() => globalThis.__longrein.latencySamplesMs.length > 10, null, { timeout: 30_000 });
    await shot("taken-over");
    report.taken_over = await page.evaluate(() => ({
      state: globalThis.__longrein.state,
      reason: globalThis.__longrein.reason,
    }));
  }
  process.stdout.write(`${JSON.stringify(report)}\n`);
} catch (error) {
  failed = true;
  await shot("failed").catch(() => {});
  process.stderr.write(`    viewer: ${error}\n`);
  process.stderr.write(`    viewer: ${(await page.locator("body").textContent().catch(() => ""))?.slice(0, 600)}\n`);
  process.stderr.write(`    viewer: ${JSON.stringify(await inbound().catch(String))}\n`);
  for (const line of consoleErrors.slice(-10)) process.stderr.write(`    viewer: console: ${line}\n`);
} finally {
  await close();
}
process.exit(failed ? 1 : 0);
