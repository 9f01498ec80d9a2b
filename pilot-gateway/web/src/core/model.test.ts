import { describe, expect, it } from "vitest";
import { canClearEstop, canDrive } from "./can";
import * as format from "./format";
import { parseEpisode, parseItems, parseMission, parseProblem, parseRobot, parseSession } from "./model";
import { createSay, SI } from "./say";

const say = createSay("en", SI);

const MISSION = {
  id: "msn_1",
  name: "Pharmacy run",
  robot: "demo-rover-1",
  checkpoints: [{ position: { lat_deg: 52.5, lon_deg: 13.4 }, radius_m: 2.5, dwell_ms: 300 }],
  state: "open",
  reward: 1200,
  reached: [],
  next_checkpoint: 0,
  driver: null,
};
const ROBOT = {
  id: "demo-rover-1",
  name: "Demo rover",
  online: true,
  state: { battery: 0.8 },
  age_ms: 9,
  lease: null,
};
const ME = { did: "did:key:me", role: "pilot" };

function mission(change: object = {}) {
  const parsed = parseMission({ ...MISSION, ...change });
  if (parsed === null) throw new Error("not a mission");
  return parsed;
}

function why(missionChange: object, robot: unknown = ROBOT, me = ME): string {
  const can = canDrive(mission(missionChange), parseRobot(robot), me, say.m);
  return can.ok ? "" : can.why;
}

describe("what the fleet says", () => {
  it("is read", () => {
    expect(mission()).toMatchObject({ reward: 1200, next: 0, reached: 0, driver: null });
    expect(mission({ reached: [{ index: 0, at: 1 }], next_checkpoint: null }).next).toBeNull();
    expect(parseRobot(ROBOT)).toMatchObject({ online: true, battery: 0.8, holder: null });
    expect(
      parseEpisode({
        id: "eps_1",
        state: "refused",
        reason: { code: "not-verified", detail: "a block differs", file: "telemetry.mcap", from: 0, to: 9 },
        verification: { checks: [{ name: "driver-signature", outcome: "passed", detail: "ok" }] },
      }),
    ).toMatchObject({
      verified: false,
      reason: "a block differs (telemetry.mcap, bytes 0 to 9)",
      checks: [{ name: "driver signature", outcome: "passed" }],
    });
  });

  it("is refused when it is something else", () => {
    for (const odd of [null, 1, "x", [], {}, { id: 7 }]) {
      expect(parseMission(odd)).toBeNull();
      expect(parseRobot(odd)).toBeNull();
      expect(parseEpisode(odd)).toBeNull();
      expect(parseSession(odd)).toBeNull();
      expect(parseItems(odd, parseRobot)).toEqual([]);
    }
    expect(parseProblem(502, "<html>")).toMatchObject({ status: 502, code: "unknown" });
  });
});

describe("whether one may drive", () => {
  it.each([
    ["", {}],
    ["Done and paid", { state: "settled" }],
    ["Someone else is driving it", { state: "active", driver: { did: "did:key:other", name: "Kim" } }],
    ["", { state: "active", driver: { did: ME.did, name: "Me" } }],
    ["The mission is draft", { state: "draft" }],
  ])("%s", (reason, change) => {
    expect(why(change)).toBe(reason);
  });

  it("depends on the robot and on who asks", () => {
    expect(why({}, { ...ROBOT, online: false })).toBe("Demo rover is offline");
    expect(why({}, null)).toBe("Nobody knows the robot demo-rover-1");
    const lease = { holder: "did:key:other", holder_name: "Kim", state: "live" };
    expect(why({}, { ...ROBOT, lease })).toBe("Kim drives Demo rover now");
    expect(why({}, { ...ROBOT, lease: { ...lease, state: "ended" } })).toBe("");
    expect(why({}, ROBOT, { did: "x", role: "owner" })).toContain("Only pilots drive");
  });

  it("clears the stop only at rest", () => {
    expect(canClearEstop({ connected: true, wants: false }, say.m).ok).toBe(true);
    expect(canClearEstop({ connected: true, wants: true }, say.m)).toEqual({
      ok: false,
      why: "Release all keys first",
    });
    expect(canClearEstop({ connected: false, wants: false }, say.m).ok).toBe(false);
  });
});

describe("numbers in words", () => {
  it("are short", () => {
    expect(say.credits(1234567)).toBe("1\u2009234\u2009567");
    expect(say.credits(-5)).toBe("−5");
    expect(say.distance(4.2)).toBe("4.2 m");
    expect(say.distance(42.4)).toBe("42 m");
    expect(say.distance(5_120)).toBe("5.1 km");
    expect(say.bytes(12_300_000)).toBe("12.3 MB");
    expect(say.duration(431)).toBe("7 min 11 s");
    expect(say.timeLeft(15 * 60_000, 60_000)).toBe("14 min left");
    expect(say.timeLeft(0, 1)).toBe("over");
    expect(format.degrees(359.7)).toBe("000°");
    expect(format.shortId("lse_0190b5c6f1e27d3a8b4c5d6e7f809112")).toBe("lse_0190b5c6…9112");
  });
});
