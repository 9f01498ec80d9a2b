/** Looks at this browser, and measures the way to the gateway. */
import type { BrowserFacts } from "../core/check";
import { didOf } from "../protocol/did";
import type { Api } from "./api";
import { nowMs } from "./clock";

const ROUND_TRIPS = 9;
/** The first request pays for the connection. */
const WARM_UP = 2;
/** Long enough that a slow start of the connection does not count for much, short enough to wait for. */
const DOWNLOAD_MS_MAX = 4_000;
const DOWNLOAD_BYTES_MAX = 4_000_000;

async function hasEd25519(): Promise<boolean> {
  try {
    const pair = (await crypto.subtle.generateKey("Ed25519", false, ["sign", "verify"])) as CryptoKeyPair;
    const raw = await crypto.subtle.exportKey("raw", pair.publicKey);
    return didOf(new Uint8Array(raw)) !== "";
  } catch {
    return false;
  }
}

function hasModuleWorker(): boolean {
  let asked = false;
  try {
    // A browser that knows module workers reads the option.
    const options = {
      get type(): WorkerType {
        asked = true;
        return "module";
      },
    };
    new Worker("data:text/javascript,", options).terminate();
  } catch {
    // Refused for its address; whether the option was read says what is asked.
  }
  return asked;
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

export async function browserFacts(): Promise<BrowserFacts> {
  return {
    secure: window.isSecureContext,
    ed25519: await hasEd25519(),
    webrtc: typeof RTCPeerConnection === "function",
    codecs: codecs(),
    frameCallback: "requestVideoFrameCallback" in HTMLVideoElement.prototype,
    moduleWorker: hasModuleWorker(),
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
