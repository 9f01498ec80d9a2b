// A drive over a bad network, measured at the driver's end.
//
// node bench-link.mjs --chromium PATH --join URL --mission ID [--shown FILE]
//
// Drives the mission, then turns on the spot, until a line comes on standard input; keys are let go of and pressed anew
// wherever the robot wants that. Then prints one JSON object, all times in milliseconds since the Unix epoch:
//
//   frames     [[shown_at, made_at]]: each picture on the screen, with the stamp in it (null: unreadable)
//   link       [{at, …}] twice a second: what the browser counts of the video and of the connection
//   telemetry  [[at, robot_ms, echo_seq, echo_hold_ms, loop_latency_ms, state]]
//   commands   [[sent_at, seq, moving]]
//   lost       [{at, words}]: when the page lost its robot
//
// FILE gets what was on the screen, once a second (watch-link.mjs).
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { LET_GO_FIRST, steer } from "./driving.mjs";
import { launch } from "./launch.mjs";
import { installStamp } from "./stamp.mjs";
import { watchLink, watchPictures, writeKept, written } from "./watch-link.mjs";

const { values: args } = parseArgs({
  options: {
    chromium: { type: "string" },
    join: { type: "string" },
    mission: { type: "string" },
    shown: { type: "string" },
  },
});

const progress = (text) => process.stderr.write(`    pilot: ${text}\n`);

const { page, close } = await launch(args.chromium);
const byTest = (id) => page.locator(`[data-testid="${id}"]`);
const view = () => page.evaluate(() => structuredClone(globalThis.__longrein ?? null));
let done = false;
createInterface({ input: process.stdin }).on("line", () => {
  done = true;
});

const held = new Set();
async function hold(keys) {
  for (const key of [...held].filter((one) => !keys.includes(one))) {
    await page.keyboard.up(key);
    held.delete(key);
  }
  for (const key of keys.filter((one) => !held.has(one))) {
    await page.keyboard.down(key);
    held.add(key);
  }
}

/** Drives until told to end, whatever happens on the way. */
async function drive(lost) {
  let there = true;
  while (!done) {
    const now = await view();
    if (!now?.connected) {
      // The page opens a new link by itself.
      if (there) lost.push({ at: Date.now(), words: (await byTest("hud-state").textContent().catch(() => null)) ?? "" });
      there = false;
      await hold([]);
      await page.waitForTimeout(100);
      continue;
    }
    if (!there) progress("the page has its robot again");
    there = true;
    if (LET_GO_FIRST.includes(now.reason) || now.letGoFirst) {
      await hold([]);
      await page.waitForTimeout(120);
    } else if (now.nextCheckpoint && now.headingDeg !== null && now.reason !== "obstacle-ahead") {
      await hold(steer(now.nextCheckpoint.bearingDeg, now.headingDeg));
    } else {
      await hold(["KeyA"]);
    }
    await page.waitForTimeout(40);
  }
  await hold([]);
}

let failed = false;
try {
  await page.addInitScript(installStamp);
  await page.addInitScript(watchLink);
  await page.goto(args.join);
  await byTest("join-name").fill("Benchmark");
  await byTest("join-accept").click();
  const card = page.locator(`[data-testid="mission-card"][data-mission="${args.mission}"]`);
  await card.waitFor({ timeout: 20_000 });
  await card.locator('[data-testid="mission-take"]').click();
  await byTest("video-front").waitFor({ timeout: 30_000 });
  await page.waitForFunction(() => globalThis.__longrein?.connected && globalThis.__longrein.headingDeg !== null, null, {
    timeout: 60_000,
  });
  await page.evaluate(watchPictures);
  progress("drives");
  const lost = [];
  await drive(lost);
  const seen = await written(page);
  if (args.shown) await writeKept(page, args.shown);
  process.stdout.write(`${JSON.stringify({ ...seen, lost })}\n`);
} catch (error) {
  failed = true;
  process.stderr.write(`    pilot: ${error}\n`);
} finally {
  await close();
}
process.exit(failed ? 1 : 0);
