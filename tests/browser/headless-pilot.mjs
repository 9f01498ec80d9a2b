// A pilot without eyes: signs in with an invitation, takes a mission, drives all checkpoints with the keyboard, ends
// the drive, and reads the page as a person would. Steering looks only at what the page itself shows (bearing of the
// next checkpoint, heading, safety state), never at the simulator.
//
// node headless-pilot.mjs --browser PATH --join URL --mission ID [--screenshots DIR] [--hold] [--turn SECONDS] [--goal] [--talk]
//     [--relay udp|tcp] [--plain-frames]
//
// The last line on standard output is one JSON object. With --hold, each change of what the page tells its driver is a
// line {"told": {at_ms, state, reason, gravity, title, detail}} before it.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { LET_GO_FIRST, steer } from "./driving.mjs";
import { BEEPING, launch, percentile } from "./launch.mjs";

const { values: args } = parseArgs({
  options: {
    // Chromium or Firefox.
    browser: { type: "string" },
    join: { type: "string" },
    mission: { type: "string" },
    screenshots: { type: "string" },
    // Only hold W, or the keys that a line on standard input names, until killed: what the fault tests need.
    hold: { type: "boolean", default: false },
    // Only turn on the spot for so long, then end the drive: what comparisons of the same drive need.
    turn: { type: "string" },
    // Let the robot drive itself to a place on the map, take over, place another goal by keyboard alone, end the drive.
    goal: { type: "boolean", default: false },
    // Listen to the robot, then talk through it while turning, then end the drive.
    talk: { type: "boolean", default: false },
    // Only over a TURN server, reached this way: what a network that lets nothing else through leaves of WebRTC.
    relay: { type: "string" },
    // The page must do without what tells it of each picture on the screen; whether it is right all the same is looked at.
    "plain-frames": { type: "boolean", default: false },
    "max-seconds": { type: "string", default: "300" },
  },
});

const progress = (text) => process.stderr.write(`    pilot: ${text}\n`);

const { page, close } = await launch(args.browser, undefined, args.talk ? BEEPING : []);
const consoleErrors = [];
page.on("console", (message) => {
  if (message.type() === "error") consoleErrors.push(`${message.text()} (${message.location().url})`);
});
page.on("pageerror", (error) => consoleErrors.push(String(error)));

/** Leaves the page no path but relays over `way`. */
async function onlyRelays(way) {
  await page.addInitScript((way) => {
    const of = (server) => [server.urls].flat().filter((url) => url.startsWith("turn") && url.includes(`=${way}`));
    globalThis.RTCPeerConnection = class extends RTCPeerConnection {
      constructor(configuration) {
        const iceServers = configuration.iceServers.map((server) => ({ ...server, urls: of(server) }));
        const some = iceServers.filter((server) => server.urls.length > 0);
        super({ ...configuration, iceServers: some, iceTransportPolicy: "relay" });
      }
    };
  }, way);
}

/** Takes away what tells the page of each picture on the screen, and notes what it would tell and what the page says instead. */
async function plainFrames() {
  await page.addInitScript(() => {
    const ask = HTMLVideoElement.prototype.requestVideoFrameCallback;
    delete HTMLVideoElement.prototype.requestVideoFrameCallback;
    const noted = { shown: [], said: [] };
    globalThis.__frames = noted;
    const watched = new WeakSet();
    setInterval(() => {
      const video = document.querySelector('[data-testid="video-front"]');
      if (video === null || watched.has(video)) return;
      watched.add(video);
      const next = (_now, { rtpTimestamp }) => {
        noted.shown.push({ stamp: rtpTimestamp, at: performance.now() });
        ask.call(video, next);
      };
      ask.call(video, next);
    }, 10);
    const send = RTCDataChannel.prototype.send;
    RTCDataChannel.prototype.send = function (data) {
      // A drive packet about a picture of the front camera that tells its stamp (protocol, 4.1).
      if (this.id === 1 && data.byteLength === 32) {
        const view = new DataView(data);
        if (((view.getUint8(2) >> 1) & 3) === 1) {
          noted.said.push({ stamp: view.getUint32(16, true), at: performance.now() });
        }
      }
      return send.call(this, data);
    };
  });
}

/** How what the page said compares with what was on the screen: how often it was early, and how late it was. */
async function frameReport() {
  const { shown, said } = await page.evaluate(() => structuredClone(globalThis.__frames));
  const shownAt = new Map(shown.map(({ stamp, at }) => [stamp, at]));
  // Those before the first that was noted can't be judged.
  const judged = said.filter(({ at }) => at > (shown[0]?.at ?? Number.POSITIVE_INFINITY) + 500);
  const early = judged.filter(({ stamp, at }) => !(shownAt.get(stamp) <= at));
  const firstSaid = new Map();
  for (const { stamp, at } of judged) if (!firstSaid.has(stamp)) firstSaid.set(stamp, at);
  const late = [...firstSaid].map(([stamp, at]) => at - shownAt.get(stamp));
  return {
    shown: shown.length,
    said: judged.length,
    stamps: firstSaid.size,
    early: early.length,
    late_ms_p50: percentile(late, 0.5),
    late_ms_p95: percentile(late, 0.95),
  };
}

async function shot(name) {
  if (!args.screenshots) return;
  mkdirSync(args.screenshots, { recursive: true });
  await page.screenshot({ path: join(args.screenshots, `${name}.png`) });
}

const view = () => page.evaluate(() => structuredClone(globalThis.__longrein ?? null));
const byTest = (id) => page.locator(`[data-testid="${id}"]`);

const held = new Set();
async function hold(keys) {
  for (const key of [...held]) {
    if (!keys.includes(key)) {
      await page.keyboard.up(key);
      held.delete(key);
    }
  }
  for (const key of keys) {
    if (!held.has(key)) {
      await page.keyboard.down(key);
      held.add(key);
    }
  }
}

/** Writes down whenever the page tells its driver something new. */
async function listen() {
  await page.exposeFunction("pilotTold", (told) => process.stdout.write(`${JSON.stringify({ told })}\n`));
  await page.addInitScript(() => {
    let last = "";
    setInterval(() => {
      const note = document.querySelector('[data-testid="hud-state"]');
      const end = document.querySelector(".end-card");
      const element = note ?? end;
      if (element === null) return;
      const title = element.querySelector("b, h1")?.textContent?.trim() ?? "";
      const words = (element.querySelector("p")?.textContent ?? "").replace("What lets it move?", "").trim();
      const reason = note === null ? null : (globalThis.__longrein?.reason ?? null);
      // Ages count up without end: that is nothing new.
      const now = `${title} ${words} ${reason}`.replaceAll(/[\d.]+ ?(ms|s|m\/s)\b/g, "");
      if (now === last) return;
      last = now;
      globalThis.pilotTold({
        at_ms: performance.timeOrigin + performance.now(),
        state: note?.dataset.state ?? null,
        reason,
        gravity: ["calm", "drive", "hold", "stop"].find((name) => element.classList.contains(name)) ?? "hold",
        title,
        detail: words.startsWith(title) ? words.slice(title.length).trim() : words,
      });
    }, 20);
  });
}

/** Holds keys until killed, whatever the page says. */
async function holdOn() {
  let keys = ["KeyW"];
  createInterface({ input: process.stdin }).on("line", (line) => {
    keys = line.split(" ").filter((key) => key !== "");
  });
  while (true) {
    await hold(keys);
    await page.waitForTimeout(20);
  }
}

/** Lights the lamp, sounds the horn and says a word, as somebody who sets off among people. */
async function greet() {
  await byTest("horn").waitFor({ timeout: 10_000 });
  await byTest("lamp").click();
  await page.locator('[data-testid="lamp"][aria-pressed="true"]').waitFor({ timeout: 10_000 });
  await page.keyboard.press("KeyH");
  if (!(await byTest("talk").isVisible())) return;
  await byTest("talk").click();
  // Among the letters are those that drive, and the space that stops.
  await byTest("say-text").pressSequentially("we saw you, wait");
  await shot("talk");
  const typing = await view();
  if (["driving", "emergency_stopped"].includes(typing.state)) throw new Error("typing drove or stopped the robot");
  await page.keyboard.press("Enter");
  await byTest("say-text").waitFor({ state: "detached", timeout: 5_000 });
}

/** Holds A for `seconds`, pressed anew after every stop. */
async function turn(seconds) {
  const until = Date.now() + seconds * 1000;
  while (Date.now() < until) {
    const now = await view();
    if (!now?.connected) throw new Error("the page lost its connection to the robot");
    await hold(LET_GO_FIRST.includes(now.reason) ? [] : ["KeyA"]);
    await page.waitForTimeout(60);
  }
  await hold([]);
}

/** Waits until the page shows what `wanted` looks for, with `keys` held, pressed anew after every stop. */
async function until(what, keys, wanted, seconds = 60) {
  const deadline = Date.now() + seconds * 1000;
  while (Date.now() < deadline) {
    const now = await view();
    if (!now?.connected) throw new Error("the page lost its connection to the robot");
    if (wanted(now)) return now;
    if (LET_GO_FIRST.includes(now.reason)) {
      await hold([]);
      await page.waitForTimeout(150);
    } else {
      await hold(keys);
    }
    await page.waitForTimeout(40);
  }
  const { goal, state, reason, autonomy } = await view();
  throw new Error(`no ${what} within ${seconds} s: ${JSON.stringify({ goal, state, reason, autonomy })}`);
}

/** Lets the robot drive itself, and takes over. */
async function goals() {
  await until("autonomy", [], (now) => now.autonomy?.there);
  // A click where the page draws the next checkpoint.
  const spot = await page.locator(".map .spot.next circle").first().boundingBox();
  await page.mouse.click(spot.x + spot.width / 2, spot.y + spot.height / 2);
  const set = await until("goal", [], (now) => now.goal?.state === "set");
  const standing = set.speedMps;
  progress(`set a goal ${set.goal.distanceM.toFixed(1)} m away`);
  await shot("goal");
  const near = set.goal.distanceM - 3;
  const going = await until("way made", ["KeyG"], (now) => {
    return now.goal?.state === "going" && now.goal.distanceM < near && now.autonomy.drives && now.speedMps > 0.1;
  });
  await shot("going");
  progress(`takes over ${going.goal.distanceM.toFixed(1)} m before it`);
  const byHand = await until("obedience", ["KeyG", "KeyS"], (now) => {
    return now.goal?.state === "taken_over" && now.speedMps < -0.1;
  });
  await shot("taken-over");
  const takenOverWords = (await byTest("goal").textContent())?.trim() ?? null;
  await until("rest", [], (now) => Math.abs(now.speedMps) < 0.02 && now.state === "ready");
  // Another goal, by keyboard alone.
  await page.keyboard.press("KeyM");
  await until("cross", [], (now) => now.aim !== null);
  await page.keyboard.press("ArrowUp");
  await page.keyboard.press("Enter");
  const second = await until("second goal", [], (now) => now.goal?.state === "set");
  await until("second drive", ["KeyG"], (now) => now.goal?.state === "going" && now.autonomy.drives);
  await until("pause", [], (now) => now.goal?.state === "paused" && Math.abs(now.speedMps) < 0.02);
  await page.keyboard.press("Escape");
  await until("end of the goal", [], (now) => now.goal?.state === "cancelled");
  return {
    standing_mps: standing,
    set_m: set.goal.distanceM,
    left_m: going.goal.distanceM,
    by_hand_mps: byHand.speedMps,
    taken_over_words: takenOverWords,
    second_m: second.goal.distanceM,
  };
}

/** Within `seconds`, the loudest tone that the robot's sound has above 100 Hz. */
async function loudestTone(seconds) {
  return page.evaluate(async (seconds) => {
    const stream = document.querySelector('[data-testid="robot-sound"]').srcObject;
    const context = new AudioContext();
    await context.resume();
    const analyser = context.createAnalyser();
    analyser.fftSize = 8192;
    context.createMediaStreamSource(stream).connect(analyser);
    const bins = new Float32Array(analyser.frequencyBinCount);
    const hzPerBin = context.sampleRate / analyser.fftSize;
    let loudest = { hz: 0, db: -200 };
    for (const until = Date.now() + seconds * 1000; Date.now() < until; ) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      analyser.getFloatFrequencyData(bins);
      for (const [n, db] of bins.entries()) {
        if (n * hzPerBin > 100 && db > loudest.db) loudest = { hz: n * hzPerBin, db };
      }
    }
    await context.close();
    return loudest;
  }, seconds);
}

/** Listens to the robot, and talks through it while it turns. */
async function talk() {
  const loud = (tone) => tone.db > -60;
  await byTest("listen").waitFor({ timeout: 10_000 });
  const before = await loudestTone(1);
  await byTest("listen").click();
  let heard = await loudestTone(1);
  for (let n = 0; n < 10 && !loud(heard); n += 1) heard = await loudestTone(1);
  await shot("listens");
  progress(`hears ${heard.hz.toFixed(0)} Hz at ${heard.db.toFixed(0)} dB`);
  await byTest("listen").click();
  await page.waitForTimeout(1_000);
  const after = await loudestTone(1);
  // The first press opens the browser's microphone.
  const pressed = () => page.locator('[data-testid="push-to-talk"][aria-pressed="true"]');
  await page.keyboard.down("KeyT");
  await pressed().waitFor({ timeout: 10_000 });
  const pressedAt = Date.now();
  const driving = await until("drive while talking", ["KeyA"], (now) => now.state === "driving");
  await shot("talks");
  while (Date.now() - pressedAt < 3_000) {
    await hold(LET_GO_FIRST.includes((await view()).reason) ? [] : ["KeyA"]);
    await page.waitForTimeout(60);
  }
  await page.keyboard.up("KeyT");
  const talkedMs = Date.now() - pressedAt;
  await turn(2);
  return { before, heard, after, talked_ms: talkedMs, state: driving.state };
}

async function drive() {
  const deadline = Date.now() + Number(args["max-seconds"]) * 1000;
  let blockedSince = 0;
  let announced = -1;
  while (Date.now() < deadline) {
    const now = await view();
    if (!now?.connected) throw new Error("the page lost its connection to the robot");
    const next = now.nextCheckpoint;
    if (!next) {
      await hold([]);
      return;
    }
    if (next.index !== announced) {
      announced = next.index;
      progress(`towards checkpoint ${next.index + 1}, ${next.distanceM.toFixed(1)} m away`);
    }
    const reason = now.reason;
    if (reason === "obstacle-ahead") {
      // Somebody is in the way: wait with the keys released, and after a while back away and turn.
      blockedSince ||= Date.now();
      const blockedMs = Date.now() - blockedSince;
      if (blockedMs < 4000) await hold([]);
      else if (blockedMs < 5500) await hold(["KeyS"]);
      else if (blockedMs < 6500) await hold(["KeyW", "KeyD"]);
      else blockedSince = 0;
    } else if (LET_GO_FIRST.includes(reason)) {
      blockedSince = 0;
      await hold([]);
      await page.waitForTimeout(150);
    } else {
      blockedSince = 0;
      await hold(steer(next.bearingDeg, now.headingDeg));
    }
    await page.waitForTimeout(60);
  }
  await hold([]);
  throw new Error(`the mission was not done within ${args["max-seconds"]} s`);
}

let failed = false;
try {
  progress("joins by invitation");
  if (args.hold) await listen();
  if (args.relay) await onlyRelays(args.relay);
  if (args["plain-frames"]) await plainFrames();
  await page.goto(args.join);
  await byTest("join-name").fill("Headless Pilot");
  await shot("join");
  await byTest("join-accept").click();
  const card = page.locator(`[data-testid="mission-card"][data-mission="${args.mission}"]`);
  await card.waitFor({ timeout: 20_000 });
  await shot("board");
  const clicked = Date.now();
  await card.locator('[data-testid="mission-take"]').click();
  await byTest("video-front").waitFor({ timeout: 20_000 });
  await page.waitForFunction(
    () => {
      const v = globalThis.__longrein;
      return v?.connected && v.nextCheckpoint && v.headingDeg !== null && v.latencySamplesMs.length > 0;
    },
    null,
    { timeout: 30_000 },
  );
  const firstPictureMs = await page.evaluate(() => globalThis.__longrein.firstFrameMs ?? null);
  progress(`sees the street ${Date.now() - clicked} ms after taking the mission`);
  await shot("ready");
  const ways = { hold: holdOn, turn: () => turn(Number(args.turn)), goal: goals, talk };
  const way = Object.keys(ways).find((name) => args[name]);
  if (way === undefined) await greet();
  const driving = way === undefined ? drive() : ways[way]();
  if (args.screenshots) {
    setTimeout(() => shot("driving").catch(() => {}), 6000);
  }
  const drove = await driving;
  const { latencySamplesMs: samples, link } = await view();
  const frames = args["plain-frames"] ? await frameReport() : null;
  await shot("arrived");
  progress("ends the drive");
  await byTest("end-drive").click();
  await byTest("episode-verified").waitFor({ timeout: 60_000 });
  // A drive that was never meant to arrive earns nothing.
  const earns = way === undefined;
  if (earns) await byTest("earned").waitFor({ timeout: 30_000 });
  await shot("ended");
  const report = {
    episode: (await byTest("episode-id").first().textContent())?.trim() ?? null,
    verified_words: (await byTest("episode-verified").first().textContent())?.trim() ?? null,
    earned_words: !earns ? null : ((await byTest("earned").first().textContent())?.trim() ?? null),
    first_frame_ms: firstPictureMs,
    loop_ms_p50: percentile(samples, 0.5),
    loop_ms_p99: percentile(samples, 0.99),
    loop_samples: samples.length,
    console_errors: consoleErrors,
    goals: args.goal ? drove : null,
    sound: args.talk ? drove : null,
    codec: link.codec,
    frames,
  };
  if (args.screenshots) {
    for (const [path, name] of [
      ["/", "board-after"],
      ["/episodes", "episodes"],
      [`/episodes/${report.episode}`, "episode"],
      ["/account", "account"],
    ]) {
      await page.goto(new URL(path, args.join).href);
      // A page that listens to news is never idle for some browsers.
      await page.waitForLoadState("networkidle", { timeout: 3_000 }).catch(() => {});
      await shot(name);
    }
  }
  process.stdout.write(`${JSON.stringify(report)}\n`);
} catch (error) {
  failed = true;
  await shot("failed").catch(() => {});
  process.stderr.write(`    pilot: ${error}\n`);
  for (const line of consoleErrors.slice(-10)) process.stderr.write(`    pilot: console: ${line}\n`);
} finally {
  await close();
}
process.exit(failed ? 1 : 0);
