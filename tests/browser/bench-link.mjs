// A drive over a bad network, measured at the driver's end.
//
// node bench-link.mjs --chromium PATH --join URL --mission ID
//
// Drives the mission, then turns on the spot, until a line comes on standard input; keys are let go of and pressed anew
// wherever the robot wants that. Then prints one JSON object, all times in milliseconds since the Unix epoch:
//
//   frames     [[shown_at, made_at]]: each picture on the screen, with the stamp in it (null: unreadable)
//   link       [{at, …}] twice a second: what the browser counts of the video and of the connection
//   telemetry  [[at, robot_ms, echo_seq, echo_hold_ms, loop_latency_ms, state]]
//   commands   [[sent_at, seq, moving]]
//   lost       [{at, words}]: when the page lost its robot
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { LET_GO_FIRST, steer } from "./driving.mjs";
import { launch } from "./launch.mjs";
import { installStamp } from "./stamp.mjs";

const { values: args } = parseArgs({
  options: {
    chromium: { type: "string" },
    join: { type: "string" },
    mission: { type: "string" },
  },
});

const progress = (text) => process.stderr.write(`    pilot: ${text}\n`);

/** Runs in the page before its own scripts: keeps the connections, notes packets of both drive lanes. */
function watchLink() {
  const seen = { connections: [], telemetry: [], commands: [] };
  globalThis.benchLink = seen;
  const now = () => performance.timeOrigin + performance.now();
  const Connection = globalThis.RTCPeerConnection;
  globalThis.RTCPeerConnection = class extends Connection {
    constructor(...given) {
      super(...given);
      seen.connections.push(this);
    }
  };
  const create = Connection.prototype.createDataChannel;
  // Layouts: protocol/src/drive.rs and telemetry.rs.
  Connection.prototype.createDataChannel = function (...given) {
    const channel = create.apply(this, given);
    if (channel.id === 2) {
      channel.addEventListener("message", ({ data }) => {
        const view = new DataView(data);
        const stamp = Number(view.getBigUint64(16, true));
        const echo = [view.getUint32(32, true), view.getUint16(36, true), view.getUint16(38, true)];
        seen.telemetry.push([now(), stamp, ...echo, view.getUint8(2)]);
      });
    }
    return channel;
  };
  const send = RTCDataChannel.prototype.send;
  RTCDataChannel.prototype.send = function (data) {
    const bytes = ArrayBuffer.isView(data) ? data : new Uint8Array(data);
    if (this.id === 1 && bytes.byteLength === 32) {
      const view = new DataView(bytes.buffer, bytes.byteOffset, 32);
      const moving = (view.getUint8(2) & 1) === 1 && (view.getInt16(24, true) !== 0 || view.getInt16(26, true) !== 0);
      seen.commands.push([now(), view.getUint32(4, true), moving]);
    }
    return send.call(this, data);
  };
}

/** Runs in the page: notes every picture and, twice a second, what the browser counts. */
function watchPictures() {
  const seen = globalThis.benchLink;
  Object.assign(seen, { frames: [], link: [] });
  const now = () => performance.timeOrigin + performance.now();
  let watched = null;
  const onFrame = (video) => () => {
    if (video !== watched) return;
    // As in bench-cockpit.mjs: when the callback runs, not when the display's tick began.
    seen.frames.push([now(), globalThis.readStamp(video)]);
    video.requestVideoFrameCallback(onFrame(video));
  };
  const look = async () => {
    // A drive that is taken up again may have another element.
    const video = document.querySelector('[data-testid="video-front"]');
    if (video !== null && video !== watched) {
      watched = video;
      video.requestVideoFrameCallback(onFrame(video));
    }
    const connection = seen.connections.at(-1);
    const line = { at: now(), state: connection.connectionState, connections: seen.connections.length };
    for (const report of (await connection.getStats()).values()) {
      if (report.type === "transport") Object.assign(line, { received: report.bytesReceived, sent: report.bytesSent });
      if (report.type === "inbound-rtp" && report.kind === "video" && report.mid === "0") {
        const { bytesReceived, packetsReceived, packetsLost, framesDecoded, framesDropped, frameWidth, frameHeight } = report;
        const { nackCount, pliCount, keyFramesDecoded, freezeCount, totalFreezesDuration, jitterBufferDelay } = report;
        const { jitterBufferEmittedCount, retransmittedPacketsReceived, fecPacketsReceived, qpSum } = report;
        line.video = { bytesReceived, packetsReceived, packetsLost, framesDecoded, framesDropped, frameWidth, frameHeight };
        Object.assign(line.video, { nackCount, pliCount, keyFramesDecoded, freezeCount, totalFreezesDuration });
        Object.assign(line.video, { jitterBufferDelay, jitterBufferEmittedCount, retransmittedPacketsReceived });
        Object.assign(line.video, { fecPacketsReceived, qpSum });
      }
      if (report.type === "candidate-pair" && report.nominated) line.rttMs = report.currentRoundTripTime * 1000;
      if (report.type === "remote-candidate") (line.remote ??= []).push(`${report.address}:${report.port}`);
    }
    seen.link.push(line);
  };
  setInterval(() => look().catch(() => {}), 500);
}

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
  const seen = await page.evaluate(() => {
    const { frames, link, telemetry, commands } = globalThis.benchLink;
    return { frames, link, telemetry, commands };
  });
  process.stdout.write(`${JSON.stringify({ ...seen, lost })}\n`);
} catch (error) {
  failed = true;
  process.stderr.write(`    pilot: ${error}\n`);
} finally {
  await close();
}
process.exit(failed ? 1 : 0);
