import { expect, test } from "vitest";
import {
  AFTER_MS,
  CHANGE_MS,
  COMMAND_NEVER_MS,
  mps,
  PICTURE_NONE_MS,
  PRESETS,
  parsePlayed,
  scenarioOf,
  WELL,
  zeroAfterMs,
} from "./safety-try";
import { createSay, SI } from "./say";

interface Asked {
  readonly phases: readonly Record<string, unknown>[];
}

function last(scene: object): Record<string, unknown> {
  const asked = scenarioOf({ ...WELL, ...scene }) as Asked;
  return asked.phases.at(-1) ?? {};
}

test("a scene comes after a drive in which all was well", () => {
  const { phases } = scenarioOf({ ...WELL, lease: false, tiltDeg: 50 }) as Asked;
  expect(phases.map((phase) => phase["for_ms"])).toEqual([300, 3000, AFTER_MS]);
  expect(phases.slice(0, 2).every((phase) => !("lease" in phase) && !("tilt_deg" in phase))).toBe(true);
  expect(phases.at(-1)).toMatchObject({ lease: false, tilt_deg: 50 });
});

test("the last notches mean never", () => {
  expect(last({ commandEveryMs: COMMAND_NEVER_MS })["command_every_ms"]).toBeNull();
  expect(last({ pictureAgeMs: PICTURE_NONE_MS })["seen_age_ms"]).toBeNull();
  expect(last({})).toMatchObject({ command_every_ms: 20, seen_age_ms: 90 });
});

test("only a robot with an area is told where its edge is", () => {
  expect(last({})).not.toHaveProperty("edge_m");
  const area = last({ area: true, bearing: "away", edgeM: -2 });
  expect(area).toMatchObject({ edge_m: -2, edge_bearing_deg: 180 });
  expect(last({ area: true, bearing: "unknown" })["edge_bearing_deg"]).toBeNull();
});

test("every preset names other controls than the first", () => {
  expect(new Set(PRESETS.map((preset) => JSON.stringify(preset.scene))).size).toBe(PRESETS.length);
});

function played(wheels: readonly number[]) {
  return parsePlayed({
    end: { state: "driving" },
    samples: wheels.map((wheels_mmps, n) => ({ t_ms: CHANGE_MS + (n - 2) * 20, wheels_mmps })),
  });
}

test("an answer without an end is none", () => {
  expect(parsePlayed({ samples: [] })).toBeNull();
  expect(played([1])?.samples[0]?.atMs).toBe(-40);
});

test("how long the wheels took to be told zero for good", () => {
  const after = (wheels: readonly number[]) => {
    const answer = played(wheels);
    return answer === null ? undefined : zeroAfterMs(answer);
  };
  expect(after([1500, 1500, 1500, 1500, 0, 0])).toBe(40);
  expect(after([1500, 1500, 1500, 0, 700, 0])).toBe(60);
  expect(after([1500, 1500, 1500, 1500])).toBeNull();
  expect(after([0, 0, 0, 0])).toBeNull();
});

test("speeds for people", () => {
  const say = createSay("en", SI);
  expect([mps(1500, say), mps(-4, say), mps(-800, say)]).toEqual(["1.50", "0.00", "-0.80"]);
});
