/** The check before a drive: what was found becomes a verdict and advice for each thing that a drive needs. */
import type { Say } from "./say";

export type Verdict = "ok" | "warn" | "fail" | "running";

export interface CheckLine {
  readonly key: string;
  readonly name: string;
  readonly verdict: Verdict;
  readonly words: string;
}

/** What the browser has. */
export interface BrowserFacts {
  readonly secure: boolean;
  readonly ed25519: boolean;
  readonly webrtc: boolean;
  /** Names of the video codecs that can be received, such as `H264`; null when the browser does not say. */
  readonly codecs: readonly string[] | null;
  readonly frameCallback: boolean;
  /** Whether a picture that came over WebRTC told its stamp; null when that could not be tried. */
  readonly stamps: boolean | null;
  readonly moduleWorker: boolean;
  readonly touch: boolean;
  readonly widthPx: number;
  readonly heightPx: number;
}

export interface Measured {
  /** Round trips, milliseconds; null while measuring, empty when nothing answered. */
  readonly roundTripsMs: readonly number[] | null;
  /** Null while measuring. */
  readonly bitsPerSecond: number | null;
  readonly bandwidthFailed: boolean;
}

export interface PadFacts {
  readonly name: string;
  readonly known: boolean;
}

/** Loop latency costs speed from here on, and above the second the robot would hardly move. */
const ROUND_TRIP_MS_GOOD = 120;
const ROUND_TRIP_MS_MAX = 400;
/** What two cameras want, and what one picture needs. */
const BITS_GOOD = 4e6;
const BITS_MIN = 6e5;
const SIDE_PX_MIN = 320;
const LONG_PX_MIN = 560;
/** What robots send: the second to a browser without the first. */
const CODECS = ["H264", "VP8"];

function line(key: string, name: string, verdict: Verdict, words: string): CheckLine {
  return { key, name, verdict, words };
}

export function median(values: readonly number[]): number | null {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? null;
}

function codecLine({ codecs, webrtc }: BrowserFacts, say: Say): CheckLine {
  const m = say.m.check;
  if (!webrtc || codecs?.length === 0) return line("codec", m.codec, "fail", m.codecFail);
  // A browser that does not list its codecs may have one: the drive will tell.
  const names = (codecs ?? CODECS).join(", ");
  const has = codecs === null || CODECS.some((codec) => codecs.includes(codec));
  return line("codec", m.codec, has ? "ok" : "warn", has ? m.codecOk(names) : m.codecWarn(names));
}

/** A browser that does not tell of each picture can be watched closely enough, where that was tried. */
function framesLine({ frameCallback, stamps }: BrowserFacts, say: Say): CheckLine {
  const m = say.m.check;
  const tried = frameCallback ? stamps !== false : stamps === true;
  if (!tried) return line("frames", m.frames, "fail", m.framesFail);
  return line("frames", m.frames, frameCallback ? "ok" : "warn", frameCallback ? m.framesOk : m.framesWarn);
}

export function browserLines(facts: BrowserFacts, say: Say): readonly CheckLine[] {
  const m = say.m.check;
  const need = (key: string, name: string, has: boolean, yes: string, no: string) =>
    line(key, name, has ? "ok" : "fail", has ? yes : no);
  const long = Math.max(facts.widthPx, facts.heightPx);
  const short = Math.min(facts.widthPx, facts.heightPx);
  const size = `${facts.widthPx} × ${facts.heightPx}`;
  const roomy = long >= LONG_PX_MIN && short >= SIDE_PX_MIN;
  return [
    need("secure", m.secure, facts.secure, m.secureOk, m.secureFail),
    need("keys", m.keys, facts.ed25519, m.keysOk, m.keysFail),
    need("webrtc", m.webrtc, facts.webrtc, m.webrtcOk, m.webrtcFail),
    codecLine(facts, say),
    framesLine(facts, say),
    need("worker", m.worker, facts.moduleWorker, m.workerOk, m.workerFail),
    line("screen", m.screen, roomy ? "ok" : "warn", roomy ? m.screenOk(size) : m.screenWarn(size)),
  ];
}

export function inputLine(pad: PadFacts | null, touch: boolean, say: Say): CheckLine {
  const m = say.m.check;
  if (pad !== null && !pad.known) return line("input", m.input, "warn", m.inputUntaught(pad.name));
  if (pad !== null) return line("input", m.input, "ok", m.inputGamepad(pad.name));
  return line("input", m.input, "ok", touch ? m.inputTouch : m.inputKeys);
}

export function linkLines(measured: Measured, say: Say): readonly CheckLine[] {
  const m = say.m.check;
  return [roundTripLine(measured, say), bandwidthLine(measured, m, say)];
}

function roundTripLine({ roundTripsMs }: Measured, say: Say): CheckLine {
  const m = say.m.check;
  if (roundTripsMs === null) return line("round-trip", m.roundTrip, "running", "");
  const middle = median(roundTripsMs);
  if (middle === null) return line("round-trip", m.roundTrip, "fail", m.noAnswer);
  const [typical, worst] = [say.age(middle), say.age(Math.max(...roundTripsMs))];
  if (middle <= ROUND_TRIP_MS_GOOD)
    return line("round-trip", m.roundTrip, "ok", m.roundTripOk(typical, worst));
  if (middle <= ROUND_TRIP_MS_MAX) {
    return line("round-trip", m.roundTrip, "warn", m.roundTripWarn(typical, worst));
  }
  return line("round-trip", m.roundTrip, "fail", m.roundTripFail(typical, worst));
}

function bandwidthLine(measured: Measured, m: Say["m"]["check"], say: Say): CheckLine {
  const { bitsPerSecond, bandwidthFailed } = measured;
  if (bandwidthFailed) return line("bandwidth", m.bandwidth, "fail", m.noAnswer);
  if (bitsPerSecond === null) return line("bandwidth", m.bandwidth, "running", "");
  const rate = say.bitrate(bitsPerSecond);
  if (bitsPerSecond >= BITS_GOOD) return line("bandwidth", m.bandwidth, "ok", m.bandwidthOk(rate));
  if (bitsPerSecond >= BITS_MIN) return line("bandwidth", m.bandwidth, "warn", m.bandwidthWarn(rate));
  return line("bandwidth", m.bandwidth, "fail", m.bandwidthFail(rate));
}

/** All in one: the worst, but nothing is well before everything was looked at. */
export function overall(lines: readonly CheckLine[]): Verdict {
  for (const verdict of ["fail", "running", "warn"] as const) {
    if (lines.some((each) => each.verdict === verdict)) return verdict;
  }
  return "ok";
}
