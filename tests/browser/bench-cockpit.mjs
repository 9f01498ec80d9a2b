// Glass to glass, click to first frame, round trip and the command's way to the wheels through the real cockpit.
//
// node bench-cockpit.mjs --chromium PATH --join URL --mission ID --seconds 20
//
// Prints one JSON object: {glass_ms, rtt_ms, loop_ms, first_frame_ms, presses: [{sent_us}], frames}. A press is the
// moment at which the page sent its first moving command after a rest.
import { parseArgs } from "node:util";
import { launch } from "./launch.mjs";
import { installStamp } from "./stamp.mjs";

const { values: args } = parseArgs({
  options: {
    chromium: { type: "string" },
    join: { type: "string" },
    mission: { type: "string" },
    seconds: { type: "string", default: "20" },
    presses: { type: "string", default: "150" },
  },
});

const { page, close } = await launch(args.chromium);
const byTest = (id) => page.locator(`[data-testid="${id}"]`);
try {
  await page.addInitScript(installStamp);
  // Note when each moving drive packet leaves the page; the packet's layout is in protocol/SPEC.md.
  await page.addInitScript(() => {
    globalThis.benchPresses = [];
    let moving = false;
    const send = RTCDataChannel.prototype.send;
    RTCDataChannel.prototype.send = function (data) {
      const bytes = ArrayBuffer.isView(data) ? data : new Uint8Array(data);
      if (this.id === 1 && bytes.byteLength === 32) {
        const view = new DataView(bytes.buffer, bytes.byteOffset, 32);
        const now = (view.getUint8(2) & 1) === 1 && (view.getInt16(24, true) !== 0 || view.getInt16(26, true) !== 0);
        if (now && !moving) {
          globalThis.benchPresses.push({ sent_us: Math.round((performance.timeOrigin + performance.now()) * 1000) });
        }
        moving = now;
      }
      return send.call(this, data);
    };
  });
  await page.goto(args.join);
  await byTest("join-name").fill("Benchmark");
  await byTest("join-accept").click();
  const take = page.locator(`[data-testid="mission-card"][data-mission="${args.mission}"] [data-testid="mission-take"]`);
  await take.waitFor({ timeout: 20_000 });
  const clicked = await page.evaluate(() => performance.timeOrigin + performance.now());
  await take.click();
  const video = byTest("video-front");
  await video.waitFor({ timeout: 20_000 });
  const firstFrame = await video.evaluate(
    (element) =>
      new Promise((resolve) =>
        element.requestVideoFrameCallback((now) => resolve(performance.timeOrigin + now)),
      ),
  );
  await page.waitForFunction(() => globalThis.__longrein?.connected && globalThis.__longrein.telemetry);
  const measured = await video.evaluate(async (element, seconds) => {
    const glass = [];
    let frames = 0;
    const onFrame = () => {
      // Not the callback's argument: that is when the display's tick began, up to a tick before the frame was there.
      const shown = performance.timeOrigin + performance.now();
      frames += 1;
      const made = globalThis.readStamp(element);
      if (made !== null) glass.push(shown - made);
      element.requestVideoFrameCallback(onFrame);
    };
    element.requestVideoFrameCallback(onFrame);
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    return { glass, frames };
  }, Number(args.seconds));
  // Short turns to left and right: moving commands that lead nowhere.
  for (let i = 0; i < Number(args.presses); i++) {
    const key = i % 2 === 0 ? "KeyA" : "KeyD";
    await page.keyboard.down(key);
    await page.waitForTimeout(90);
    await page.keyboard.up(key);
    // Long enough that the next first command is a first one, and at a phase of its own in the robot's ticks.
    await page.waitForTimeout(180 + ((i * 7) % 23));
  }
  const view = await page.evaluate(() => structuredClone(globalThis.__longrein));
  const presses = await page.evaluate(() => globalThis.benchPresses);
  process.stdout.write(
    `${JSON.stringify({
      glass_ms: measured.glass,
      frames: measured.frames,
      first_frame_ms: firstFrame - clicked,
      loop_ms: view.latencySamplesMs,
      presses,
    })}\n`,
  );
} finally {
  await close();
}
process.exit(0);
