import { describe, expect, it } from "vitest";
import { type BrowserFacts, browserLines, inputLine, linkLines, type Measured, overall } from "./check";
import { createSay, SI } from "./say";

const say = createSay("en", SI);
const CHROMIUM: BrowserFacts = {
  secure: true,
  ed25519: true,
  webrtc: true,
  codecs: ["VP8", "H264"],
  frameCallback: true,
  stamps: true,
  moduleWorker: true,
  touch: false,
  widthPx: 1440,
  heightPx: 900,
};
const WELL: Measured = { roundTripsMs: [20, 22, 90], bitsPerSecond: 2e7, bandwidthFailed: false };

function verdicts(facts: Partial<BrowserFacts>, measured: Partial<Measured> = {}): Record<string, string> {
  const lines = [
    ...browserLines({ ...CHROMIUM, ...facts }, say),
    ...linkLines({ ...WELL, ...measured }, say),
  ];
  return Object.fromEntries(lines.filter((l) => l.verdict !== "ok").map((l) => [l.key, l.verdict]));
}

describe("the check before a drive", () => {
  it("lets a well browser drive", () => {
    expect(verdicts({})).toEqual({});
  });

  it.each<[Partial<BrowserFacts>, Record<string, string>]>([
    [
      { secure: false, ed25519: false },
      { secure: "fail", keys: "fail" },
    ],
    [
      { webrtc: false, codecs: null },
      { webrtc: "fail", codec: "fail" },
    ],
    [{ codecs: ["VP8", "VP9"] }, {}],
    [{ codecs: ["VP9", "AV1"] }, { codec: "warn" }],
    [{ codecs: [] }, { codec: "fail" }],
    [{ codecs: null }, {}],
    [{ frameCallback: false, stamps: null }, { frames: "fail" }],
    [{ frameCallback: false, stamps: true }, { frames: "warn" }],
    [{ stamps: false }, { frames: "fail" }],
    [{ stamps: null }, {}],
    [{ moduleWorker: false }, { worker: "fail" }],
    [{ widthPx: 390, heightPx: 844 }, {}],
    [{ widthPx: 300, heightPx: 400 }, { screen: "warn" }],
  ])("%j", (facts, found) => {
    expect(verdicts(facts)).toEqual(found);
  });

  it.each<[Partial<Measured>, Record<string, string>]>([
    [
      { roundTripsMs: null, bitsPerSecond: null },
      { "round-trip": "running", bandwidth: "running" },
    ],
    [{ roundTripsMs: [] }, { "round-trip": "fail" }],
    [{ roundTripsMs: [200, 210, 190] }, { "round-trip": "warn" }],
    [{ roundTripsMs: [900, 900, 10] }, { "round-trip": "fail" }],
    [{ bitsPerSecond: 1e6 }, { bandwidth: "warn" }],
    [{ bitsPerSecond: 1e5 }, { bandwidth: "fail" }],
    [{ bitsPerSecond: null, bandwidthFailed: true }, { bandwidth: "fail" }],
  ])("%j", (measured, found) => {
    expect(verdicts({}, measured)).toEqual(found);
  });

  it("knows what is in the hands", () => {
    expect(inputLine({ name: "Odd pad", known: false }, false, say)).toMatchObject({ verdict: "warn" });
    expect(inputLine({ name: "Pad", known: true }, false, say).words).toContain("Pad");
    expect(inputLine(null, true, say).words).toContain("Touch");
  });

  it("says the worst, and is well only when all was looked at", () => {
    const lines = (of: readonly ("ok" | "warn" | "fail" | "running")[]) =>
      of.map((verdict) => ({ key: "", name: "", verdict, words: "" }));
    expect(overall(lines(["ok", "warn", "running", "fail"]))).toBe("fail");
    expect(overall(lines(["ok", "warn", "running"]))).toBe("running");
    expect(overall(lines(["ok", "warn"]))).toBe("warn");
    expect(overall(lines(["ok"]))).toBe("ok");
  });
});
