/** Looks at this browser, and measures the way to the gateway. */
import type { BrowserFacts } from "../core/check";
import { didOf } from "../protocol/did";
import type { Api } from "./api";
import { nowMs, startTicker } from "./clock";
import { streamOf, tellsFrames, watchFrames } from "./media";

const ROUND_TRIPS = 9;
/** The first request pays for the connection. */
const WARM_UP = 2;
/** Long enough that a slow start of the connection does not count for much, short enough to wait for. */
const DOWNLOAD_MS_MAX = 4_000;
const DOWNLOAD_BYTES_MAX = 4_000_000;
const LOOP_MS_MAX = 4_000;
const WORKER_MS_MAX = 2_000;
const TICK_MS = 20;

async function hasEd25519(): Promise<boolean> {
  try {
    const pair = (await crypto.subtle.generateKey("Ed25519", false, ["sign", "verify"])) as CryptoKeyPair;
    const raw = await crypto.subtle.exportKey("raw", pair.publicKey);
    return didOf(new Uint8Array(raw)) !== "";
  } catch {
    return false;
  }
}

/** Whether the worker that keeps the commands' pace runs. */
function hasModuleWorker(): Promise<boolean> {
  return new Promise((resolve) => {
    let stop: (() => void) | null = null;
    const end = (runs: boolean) => {
      clearTimeout(timer);
      stop?.();
      resolve(runs);
    };
    const timer = setTimeout(end, WORKER_MS_MAX, false);
    try {
      stop = startTicker(TICK_MS, () => end(true));
    } catch {
      end(false);
    }
  });
}

function codecs(): readonly string[] | null {
  if (typeof RTCRtpReceiver === "undefined" || typeof RTCRtpReceiver.getCapabilities !== "function")
    return null;
  const all = RTCRtpReceiver.getCapabilities("video")?.codecs ?? [];
  const names = all.map(({ mimeType }) => mimeType.replace(/^video\//i, ""));
  // What is in the list for repair only, is no codec.
  const repair = /^(rtx|red|ulpfec|flexfec.*)$/i;
  return [...new Set(names.filter((name) => !repair.test(name)))];
}

/** Sends itself a few pictures and looks whether each tells its stamp, as the robot's must. */
async function seesStamps(): Promise<boolean | null> {
  if (typeof RTCPeerConnection !== "function") return null;
  const canvas = Object.assign(document.createElement("canvas"), { width: 160, height: 90 });
  if (typeof canvas.captureStream !== "function") return null;
  const context = canvas.getContext("2d");
  let n = 0;
  const draw = setInterval(() => {
    n += 1;
    if (context === null) return;
    context.fillStyle = `rgb(${n % 255} 90 90)`;
    context.fillRect(0, 0, canvas.width, canvas.height);
  }, 40);
  const [from, to] = [new RTCPeerConnection(), new RTCPeerConnection()];
  try {
    return await Promise.race([
      stampOf(from, to, canvas.captureStream(25)),
      new Promise<null>((resolve) => setTimeout(resolve, LOOP_MS_MAX, null)),
    ]);
  } catch (error) {
    console.warn("this browser can't send itself pictures", error);
    return null;
  } finally {
    clearInterval(draw);
    from.close();
    to.close();
  }
}

async function stampOf(
  from: RTCPeerConnection,
  to: RTCPeerConnection,
  stream: MediaStream,
): Promise<boolean> {
  const video = Object.assign(document.createElement("video"), { muted: true, playsInline: true });
  const seen = new Promise<boolean>((resolve) => {
    to.ontrack = ({ receiver }) => {
      video.srcObject = streamOf(receiver);
      video.play().catch(() => undefined);
      const stop = watchFrames(video, ({ rtp }) => {
        resolve(rtp !== null);
        stop();
      });
    };
  });
  from.onicecandidate = ({ candidate }) => candidate && to.addIceCandidate(candidate);
  to.onicecandidate = ({ candidate }) => candidate && from.addIceCandidate(candidate);
  for (const track of stream.getTracks()) from.addTrack(track, stream);
  const offer = await from.createOffer();
  await from.setLocalDescription(offer);
  await to.setRemoteDescription(offer);
  const answer = await to.createAnswer();
  await to.setLocalDescription(answer);
  await from.setRemoteDescription(answer);
  return seen;
}

export async function browserFacts(): Promise<BrowserFacts> {
  return {
    secure: window.isSecureContext,
    ed25519: await hasEd25519(),
    webrtc: typeof RTCPeerConnection === "function",
    codecs: codecs(),
    frameCallback: tellsFrames(),
    stamps: await seesStamps(),
    moduleWorker: await hasModuleWorker(),
    touch: matchMedia("(pointer: coarse)").matches,
    widthPx: window.innerWidth,
    heightPx: window.innerHeight,
  };
}

/** Round trips of small requests, milliseconds; empty when nothing answers. */
export async function roundTrips(api: Api): Promise<readonly number[]> {
  const spans: number[] = [];
  for (let n = 0; n < ROUND_TRIPS; n++) {
    const from = nowMs();
    const answered = await api.config();
    if (!answered.ok) return [];
    if (n >= WARM_UP) spans.push(nowMs() - from);
  }
  return spans;
}

/** This page's own files, which the gateway has: what is left of them is what a browser downloads. */
function ownFiles(): readonly string[] {
  const files = [...document.querySelectorAll<HTMLScriptElement>("script[src]")].map((script) => script.src);
  return files.length > 0 ? files : [location.href];
}

/** Bits a second of a download from the gateway; null when it does not answer. */
export async function bandwidth(): Promise<number | null> {
  const from = nowMs();
  let bytes = 0;
  let transferMs = 0;
  try {
    while (nowMs() - from < DOWNLOAD_MS_MAX && bytes < DOWNLOAD_BYTES_MAX) {
      for (const file of ownFiles()) {
        const response = await fetch(file, { cache: "no-store" });
        // Counted from the first byte on: the round trip has a line of its own.
        const begun = nowMs();
        bytes += (await response.arrayBuffer()).byteLength;
        transferMs += nowMs() - begun;
      }
    }
  } catch {
    return null;
  }
  return bytes === 0 ? null : (bytes * 8 * 1000) / Math.max(1, transferMs);
}
