// Glass to glass and data-channel round trip against one peer program (tests/bench/README.md).
//
// node bench-peer.mjs --chromium PATH --seconds 20 -- PROGRAM ARGS…
//
// Prints one JSON object: {glass_ms: [...], echo_ms: [...], first_frame_ms, frames}
import { spawn } from "node:child_process";
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { launch } from "./launch.mjs";
import { installStamp } from "./stamp.mjs";

const { values: args, positionals } = parseArgs({
  options: { chromium: { type: "string" }, seconds: { type: "string", default: "20" } },
  allowPositionals: true,
});

const server = createServer((_request, response) => {
  response.setHeader("content-type", "text/html");
  response.end("<!doctype html><video id=v autoplay muted playsinline width=1280 height=720></video>");
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));

const [program, ...programArgs] = positionals;
const peer = spawn(program, programArgs, { stdio: ["pipe", "pipe", "inherit"] });
const answerLine = new Promise((resolve, reject) => {
  createInterface({ input: peer.stdout }).once("line", resolve);
  peer.once("exit", (code) => reject(new Error(`${program} ended (${code})`)));
});

const { page, close } = await launch(args.chromium);
let result = null;
try {
  await page.addInitScript(installStamp);
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  await page.exposeFunction("exchange", async (sdp) => {
    peer.stdin.write(`${JSON.stringify({ type: "offer", sdp })}\n`);
    return JSON.parse(await answerLine).sdp;
  });
  result = await page.evaluate(async (seconds) => {
    const video = document.getElementById("v");
    const started = performance.now();
    const connection = new RTCPeerConnection();
    connection.addTransceiver("video", { direction: "recvonly" });
    const channel = connection.createDataChannel("echo", {
      negotiated: true,
      id: 1,
      ordered: false,
      maxRetransmits: 0,
    });
    channel.binaryType = "arraybuffer";
    connection.ontrack = (event) => {
      video.srcObject = new MediaStream([event.track]);
    };
    await connection.setLocalDescription(await connection.createOffer());
    await new Promise((resolve) => {
      if (connection.iceGatheringState === "complete") resolve();
      connection.onicegatheringstatechange = () =>
        connection.iceGatheringState === "complete" && resolve();
    });
    const answer = await globalThis.exchange(connection.localDescription.sdp);
    await connection.setRemoteDescription({ type: "answer", sdp: answer });

    const glass = [];
    const echo = [];
    let frames = 0;
    let firstFrame = null;
    const onFrame = () => {
      // As in bench-cockpit.mjs: when the callback runs, not when the display's tick began.
      const shown = performance.timeOrigin + performance.now();
      frames += 1;
      firstFrame ??= performance.now() - started;
      const made = globalThis.readStamp(video);
      // The first second is start-up.
      if (made !== null && performance.now() - started > 2000) glass.push(shown - made);
      video.requestVideoFrameCallback(onFrame);
    };
    video.requestVideoFrameCallback(onFrame);
    channel.onmessage = (event) => {
      echo.push(performance.now() - new Float64Array(event.data)[0]);
    };
    const timer = setInterval(() => {
      if (channel.readyState === "open") channel.send(new Float64Array([performance.now(), 0, 0, 0]));
    }, 20);
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    clearInterval(timer);
    connection.close();
    return { glass_ms: glass, echo_ms: echo, first_frame_ms: firstFrame, frames };
  }, Number(args.seconds));
} finally {
  await close();
  server.close();
  peer.stdin.end();
  peer.kill();
}
process.stdout.write(`${JSON.stringify(result)}\n`);
process.exit(0);
