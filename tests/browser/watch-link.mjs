// What a page under measurement writes down, for bench-link.mjs and bench-link-peer.mjs. Times are in milliseconds since the Unix
// epoch.
import { openSync, writeSync, closeSync } from "node:fs";

/** Runs in the page before its own scripts: keeps the connections, notes packets of both drive lanes. */
export function watchLink() {
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

/** Runs in the page: notes every picture and, twice a second, what the browser counts; keeps the luma of one picture a second. */
export function watchPictures() {
  const seen = globalThis.benchLink;
  Object.assign(seen, { frames: [], link: [], kept: [] });
  const now = () => performance.timeOrigin + performance.now();
  let watched = null;
  let keepAt = 0;
  // As decoded, before anything turns it into colours. A minute of them is 55 MB.
  const keep = async (video) => {
    const frame = new VideoFrame(video);
    try {
      const data = new Uint8Array(frame.allocationSize());
      const [{ offset, stride }] = await frame.copyTo(data);
      const { width, height } = frame.visibleRect;
      const luma = new Uint8Array(width * height);
      for (let y = 0; y < height; y++) luma.set(data.subarray(offset + y * stride, offset + y * stride + width), y * width);
      seen.kept.push({ width, height, luma });
    } finally {
      frame.close();
    }
  };
  const onFrame = (video) => () => {
    if (video !== watched) return;
    // As in bench-cockpit.mjs: when the callback runs, not when the display's tick began.
    const at = now();
    seen.frames.push([at, globalThis.readStamp(video)]);
    if (at >= keepAt && seen.kept.length < 120) {
      keepAt = at + 1000;
      keep(video).catch(() => {});
    }
    video.requestVideoFrameCallback(onFrame(video));
  };
  const look = async () => {
    // A drive that is taken up again may have another element.
    const video = document.querySelector('[data-testid="video-front"], video#peer');
    if (video !== null && video !== watched) {
      watched = video;
      video.requestVideoFrameCallback(onFrame(video));
    }
    // A page that doubts its link opens another beside it, and may drop either: the one that counts is the one that is on the screen.
    const track = watched?.srcObject?.getVideoTracks()[0];
    const shown = seen.connections.findLastIndex((one) => one.getReceivers().some((receiver) => receiver.track === track));
    const index = shown < 0 ? seen.connections.length - 1 : shown;
    const connection = seen.connections[index];
    const line = { at: now(), state: connection.connectionState, connections: index + 1 };
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

/** Writes the pictures that the page kept: width and height as 32-bit little-endian numbers, then the luma, one after the other. */
export async function writeKept(page, path) {
  const count = await page.evaluate(() => globalThis.benchLink.kept.length);
  const file = openSync(path, "w");
  for (let n = 0; n < count; n++) {
    const { width, height, text } = await page.evaluate((at) => {
      const { width, height, luma } = globalThis.benchLink.kept[at];
      let text = "";
      for (let from = 0; from < luma.length; from += 32_768) {
        text += String.fromCharCode(...luma.subarray(from, from + 32_768));
      }
      return { width, height, text: btoa(text) };
    }, n);
    const sides = Buffer.alloc(8);
    sides.writeUInt32LE(width, 0);
    sides.writeUInt32LE(height, 4);
    writeSync(file, sides);
    writeSync(file, Buffer.from(text, "base64"));
  }
  closeSync(file);
}

/** What the page wrote down. */
export const written = (page) =>
  page.evaluate(() => {
    const { frames, link, telemetry, commands } = globalThis.benchLink;
    return { frames, link, telemetry, commands };
  });
