import { describe, expect, it } from "vitest";
import type { Telemetry } from "../protocol/telemetry";
import { RELEASED } from "./deadman";
import { createSay, SI } from "./say";
import { latencyWord, limitWords, type StatusFacts, statusOf } from "./status";

const say = createSay("en", SI);

const TELEMETRY: Telemetry = {
  state: "driving",
  reason: 0,
  seq: 1,
  epoch: 7n,
  robotMs: 1_000n,
  hazards: 0,
  echoClientMs: 0,
  echoSeq: 0,
  echoHoldMs: 0,
  loopLatencyMs: 86,
  speedMmps: 900,
  yawMradps: 0,
  limitMmps: 1_200,
  limitReason: 5,
  batteryPct: 78,
  lat1e7: null,
  lon1e7: null,
  headingCdeg: null,
  hAccCm: null,
  fix: null,
  satellites: null,
  obstacleCm: null,
  odometerDm: 0,
  leaseLeftMs: 30_000,
  recording: true,
  recorderLost: false,
  baseSilent: false,
  minimalRisk: false,
  autonomy: false,
  autonomous: false,
  flags: 1,
  recordedKib: 0,
};

const FACTS: StatusFacts = {
  connection: "open",
  connectionWords: "",
  telemetry: TELEMETRY,
  telemetryAgeMs: 30,
  videoAgeMs: 30,
  deadman: { ...RELEASED, held: true },
  estopAsked: false,
  hint: "Hold W to drive.",
};

function said(change: Partial<StatusFacts>, telemetry: Partial<Telemetry> = {}): string {
  const { gravity, title, detail } = statusOf(
    {
      ...FACTS,
      telemetry: { ...TELEMETRY, ...telemetry },
      ...change,
    },
    say,
  );
  return `${gravity}: ${title} ${detail}`;
}

describe("the sentence", () => {
  it.each<[string, Partial<StatusFacts>, Partial<Telemetry>]>([
    ["drive: Driving speed held to 1.2 m/s by latency", {}, {}],
    ["drive: Driving up to 1.5 m/s", {}, { limitReason: 17, limitMmps: 1_500 }],
    ["drive: Driving at most 0.4 m/s: something is close ahead", {}, { limitReason: 6, limitMmps: 400 }],
    ["calm: Ready. Hold W to drive.", { deadman: RELEASED }, { state: "ready", reason: 10 }],
    [
      "hold: This tab was hidden. Keys count again after that.",
      { deadman: { held: false, letGoFirst: false, release: "hidden" } },
      { state: "ready", reason: 10 },
    ],
    [
      "hold: Let go first. Release all keys, then drive again.",
      { deadman: { held: false, letGoFirst: true, release: null } },
      { state: "ready", reason: 10 },
    ],
    [
      "stop: Stopped: the picture is 740 ms old. The robot waits. Release all keys; drive again when the picture is fresh.",
      {},
      { state: "stopped", reason: 4, loopLatencyMs: 740 },
    ],
    [
      "hold: Stopped: something is right ahead. The robot waits. Back away from it or turn.",
      {},
      { state: "stopped", reason: 7 },
    ],
    [
      "stop: Emergency stop. The wheels are held. Release all keys, then clear the stop.",
      { estopAsked: true },
      { state: "emergency_stopped", reason: 2 },
    ],
    ["stop: Stopping. The emergency stop was sent; waiting for the robot.", { estopAsked: true }, {}],
    ["hold: Not driving. Nobody has the robot. Take a mission to drive.", {}, { state: "idle", reason: 1 }],
  ])("%s", (words, change, telemetry) => {
    expect(said(change, telemetry)).toBe(words);
  });

  it("speaks German, in the pilot's units", () => {
    const de = createSay("de", { speed: "km/h", length: "m" });
    const words = (t: Partial<Telemetry>) => {
      const { title, detail } = statusOf({ ...FACTS, telemetry: { ...TELEMETRY, ...t } }, de);
      return `${title} ${detail}`;
    };
    expect(words({})).toBe("Fahrt durch die Verzögerung auf 4,3 km/h begrenzt");
    expect(words({ state: "stopped", reason: 7 })).toBe(
      "Angehalten: Direkt voraus ist etwas. Der Roboter wartet. Setzen Sie zurück oder drehen Sie.",
    );
  });

  it("never shows an old word of the robot as live", () => {
    for (const state of ["ready", "driving", "stopped", "emergency_stopped"] as const) {
      expect(said({ telemetryAgeMs: 1_500 }, { state })).toBe(
        "stop: The robot is not heard for 1.5 s. It stops by itself. Release all keys and wait.",
      );
    }
    expect(said({ videoAgeMs: 2_000 })).toContain("stop: Stopped: the picture is 2.0 s old.");
    expect(said({ connection: "lost", connectionWords: "Trying again." })).toContain(
      "stop: Connection lost.",
    );
  });
});

describe("words beside numbers", () => {
  it("for the latency", () => {
    expect([80, 300, 600, null].map((ms) => latencyWord(ms, 10))).toEqual(["good", "fair", "slow", "lost"]);
    expect(latencyWord(80, 2_000)).toBe("lost");
  });

  it("for the limit", () => {
    expect(limitWords(TELEMETRY, say)).toBe("by latency (86 ms)");
    expect(limitWords({ ...TELEMETRY, limitReason: 0 }, say)).toBe("");
    expect(limitWords({ ...TELEMETRY, limitReason: 13 }, say)).toBe("the battery is nearly empty");
  });
});
