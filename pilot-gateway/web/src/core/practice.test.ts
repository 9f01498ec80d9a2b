import { describe, expect, it } from "vitest";
import { CONES, GATES, type Practice, START, scoreOf, stepPractice, type Wheels, walkerAt } from "./practice";

const DT_S = 0.025;

/** Drives to a place before each gate, then straight through it, and stops in the box. */
function autopilot(state: Practice): Wheels {
  const gate = GATES[state.gate];
  if (gate === undefined) return { held: false, linearMps: 0, angularRadps: 0 };
  const before = state.northM < gate.northM - 1.6 ? 1.5 : -0.5;
  const turn = Math.atan2(gate.eastM - state.eastM, gate.northM - before - state.northM) - state.headingRad;
  const error = Math.atan2(Math.sin(turn), Math.cos(turn));
  const linearMps = Math.abs(error) > 0.3 ? 0.2 : 1;
  return { held: true, linearMps, angularRadps: -Math.max(-1, Math.min(1, 3 * error)) };
}

function run(drive: (state: Practice, n: number) => Wheels, seconds: number): Practice {
  let state = START;
  for (let n = 0; n < seconds / DT_S; n++) state = stepPractice(state, drive(state, n), 1.5, DT_S);
  return state;
}

describe("the practice course", () => {
  it("can be driven, and well", () => {
    const end = run(autopilot, 90);
    expect(end.finished).toBe(true);
    expect(end.gate).toBe(GATES.length);
    expect(end.touched).toEqual([]);
    expect(scoreOf(end).points).toBeGreaterThan(700);
    // Somebody crossed meanwhile, and was not run over.
    expect(end.walkerM).not.toBeNull();
  });

  it("moves nothing without the deadman, and stops at once when it is let go", () => {
    expect(run(() => ({ held: false, linearMps: 1.5, angularRadps: 1 }), 5)).toMatchObject({
      eastM: 0,
      northM: 0,
      ranS: 0,
    });
    const end = run((_, n) => ({ held: n < 80, linearMps: 1.5, angularRadps: 0 }), 4);
    expect(end.speedMps).toBe(0);
  });

  it("counts a cone that is touched, and only once", () => {
    const cone = CONES[1] ?? START;
    const beside: Practice = { ...START, eastM: cone.eastM + 0.4, northM: cone.northM - 0.1 };
    let state = beside;
    for (let n = 0; n < 40; n++)
      state = stepPractice(state, { held: false, linearMps: 0, angularRadps: 0 }, 1.5, DT_S);
    expect(state.touched).toEqual([1]);
    expect(scoreOf(state).cones).toBe(60);
  });

  it("stops before what is ahead, and takes points for it", () => {
    const gate = GATES[0];
    const aimed = Math.atan2((gate?.widthM ?? 0) / 2, gate?.northM ?? 1);
    let state: Practice = { ...START, headingRad: aimed };
    for (let n = 0; n < 400; n++)
      state = stepPractice(state, { held: true, linearMps: 1.5, angularRadps: 0 }, 1.5, DT_S);
    expect(state.touched).toEqual([]);
    expect(state.saves).toBe(1);
    expect(scoreOf(state).saves).toBe(80);
  });

  it("goes slower where the latency asks for it", () => {
    let state = START;
    for (let n = 0; n < 80; n++)
      state = stepPractice(state, { held: true, linearMps: 1.5, angularRadps: 0 }, 0.6, DT_S);
    expect(state.speedMps).toBeCloseTo(0.6, 6);
  });

  it("lets the one who crosses leave", () => {
    expect(walkerAt(START)).toBeNull();
    expect(walkerAt({ ...START, walkerM: 0 })).toMatchObject({ eastM: 4 });
    expect(walkerAt({ ...START, walkerM: 20 })).toBeNull();
  });

  it("takes points for what was not driven", () => {
    expect(scoreOf(START)).toMatchObject({ points: 100, missed: 900, time: 0 });
  });
});
