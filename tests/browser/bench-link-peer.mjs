// A peer (tests/bench/README.md) behind a relay, measured at the driver's end.
//
// node bench-link-peer.mjs --chromium PATH --relay PORT [--shown FILE] -- PROGRAM ARGS…
//
// The two get to know no address but the relay's: the program none at all, so that it answers to whoever speaks to it; the page that
// UDP port of 127.0.0.1. Says {"streams": true} when pictures come, goes on until a line comes on standard input, and then prints
// what bench-link.mjs prints.
import { spawn } from "node:child_process";
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { launch } from "./launch.mjs";
import { installStamp } from "./stamp.mjs";
import { watchLink, watchPictures, writeKept, written } from "./watch-link.mjs";

const { values: args, positionals } = parseArgs({
  options: { chromium: { type: "string" }, relay: { type: "string" }, shown: { type: "string" } },
  allowPositionals: true,
});

const say = (words) => process.stdout.write(`${JSON.stringify(words)}\n`);
const withoutCandidates = (sdp) => sdp.replace(/^a=(candidate|end-of-candidates).*\r?\n/gm, "");
// Somebody must be named: a peer may give up at once when there is nobody to try. At the discard port nobody answers.
const nobody = "a=candidate:1 1 udp 1 127.0.0.1 9 typ host\r\na=end-of-candidates\r\n";
const relay = `a=candidate:1 1 udp 2130706431 127.0.0.1 ${args.relay} typ host\r\na=end-of-candidates\r\n`;
const only = (sdp, candidate) =>
  withoutCandidates(sdp)
    .split(/(?=^m=)/m)
    .map((part) => (part.startsWith("m=") ? part + candidate : part))
    .join("");

const server = createServer((_request, response) => {
  response.setHeader("content-type", "text/html");
  response.end("<!doctype html><video id=peer autoplay muted playsinline width=1280 height=720></video>");
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));

const [program, ...programArgs] = positionals;
const peer = spawn(program, programArgs, { stdio: ["pipe", "pipe", "inherit"] });
const answerLine = new Promise((resolve, reject) => {
  createInterface({ input: peer.stdout }).once("line", resolve);
  peer.once("exit", (code) => reject(new Error(`${program} ended (${code})`)));
});
answerLine.catch(() => {});
const ended = new Promise((resolve) => createInterface({ input: process.stdin }).once("line", resolve));

/** Runs in the page: connects, shows the pictures, sends a command 50 times a second as a cockpit does. */
async function connect() {
  const video = document.getElementById("peer");
  const connection = new RTCPeerConnection();
  connection.addTransceiver("video", { direction: "recvonly" });
  const lane = { negotiated: true, ordered: false, maxRetransmits: 0 };
  const commands = connection.createDataChannel("drive", { ...lane, id: 1 });
  connection.createDataChannel("telemetry", { ...lane, id: 2 }).binaryType = "arraybuffer";
  connection.ontrack = (event) => {
    video.srcObject = new MediaStream([event.track]);
  };
  await connection.setLocalDescription(await connection.createOffer());
  await new Promise((resolve) => {
    if (connection.iceGatheringState === "complete") resolve();
    connection.onicegatheringstatechange = () => connection.iceGatheringState === "complete" && resolve();
  });
  const answer = await globalThis.exchange(connection.localDescription.sdp);
  await connection.setRemoteDescription({ type: "answer", sdp: answer });
  let seq = 0;
  setInterval(() => {
    if (commands.readyState !== "open" || commands.bufferedAmount >= 4096) return;
    // Of protocol/src/drive.rs as much as a peer looks at.
    const command = new DataView(new ArrayBuffer(32));
    command.setUint32(4, ++seq, true);
    commands.send(command);
  }, 20);
}

const { page, close } = await launch(args.chromium);
let failed = false;
try {
  await page.addInitScript(installStamp);
  await page.addInitScript(watchLink);
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  await page.exposeFunction("exchange", async (sdp) => {
    peer.stdin.write(`${JSON.stringify({ type: "offer", sdp: only(sdp, nobody) })}\n`);
    return only(JSON.parse(await answerLine).sdp, relay);
  });
  await page.evaluate(connect);
  await page.evaluate(watchPictures);
  await page.waitForFunction(() => globalThis.benchLink.frames.length > 30, null, { timeout: 15_000 });
  say({ streams: true });
  await ended;
  const seen = await written(page);
  if (args.shown) await writeKept(page, args.shown);
  say({ ...seen, lost: [] });
} catch (error) {
  failed = true;
  process.stderr.write(`    peer: ${error}\n`);
} finally {
  await close();
  server.close();
  peer.stdin.end();
  peer.kill();
}
process.exit(failed ? 1 : 0);
