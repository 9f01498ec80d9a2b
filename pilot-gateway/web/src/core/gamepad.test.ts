import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  atRest,
  mappingOf,
  type PadState,
  parseMapping,
  readPad,
  STANDARD,
  shaped,
  skipStep,
  TEACH,
  type Teaching,
  teach,
} from "./gamepad";
import { GAMEPADS_MAX, PREFERENCES, parsePreferences, withGamepad } from "./preferences";

const REST: PadState = { axes: [0, 0, 0, 0], buttons: new Array<number>(17).fill(0) };

function pad(axes: Partial<Record<number, number>>, buttons: Partial<Record<number, number>> = {}): PadState {
  return {
    axes: REST.axes.map((value, i) => axes[i] ?? value),
    buttons: REST.buttons.map((value, i) => buttons[i] ?? value),
  };
}

describe("a stick's shape", () => {
  const shape = fc.record({
    deadZone: fc.double({ min: 0, max: 0.5, noNaN: true }),
    expo: fc.double({ min: 0, max: 1, noNaN: true }),
  });
  it("keeps rest and the ends, both ways alike, and never turns back", () => {
    const value = fc.double({ min: -1, max: 1, noNaN: true });
    fc.assert(
      fc.property(shape, value, value, (of, a, b) => {
        expect(shaped(0, of)).toBe(0);
        expect(shaped(1, of)).toBeCloseTo(1, 9);
        expect(shaped(-a, of)).toBeCloseTo(-shaped(a, of), 12);
        if (Math.abs(a) <= of.deadZone) expect(shaped(a, of)).toBe(0);
        if (a <= b) expect(shaped(a, of)).toBeLessThanOrEqual(shaped(b, of) + 1e-12);
        expect(Math.abs(shaped(a, of))).toBeLessThanOrEqual(1);
      }),
    );
  });

  it("is gentle around the middle with expo", () => {
    expect(shaped(0.5, { deadZone: 0, expo: 1 })).toBeCloseTo(0.125, 9);
    expect(shaped(0.5, { deadZone: 0, expo: 0 })).toBeCloseTo(0.5, 9);
  });
});

describe("the standard layout", () => {
  it("drives with the left stick while a shoulder button is held", () => {
    const now = readPad(STANDARD, pad({ 0: 1, 1: -1 }, { 5: 1 }));
    expect(now.deadman).toBe(true);
    expect(now.stick.forward).toBeCloseTo(1, 9);
    expect(now.stick.left).toBeCloseTo(-1, 9);
    expect(readPad(STANDARD, pad({ 1: -1 })).deadman).toBe(false);
    expect(readPad(STANDARD, pad({}, { 1: 1 })).estop).toBe(true);
    expect(readPad(STANDARD, pad({}, { 0: 1 })).go).toBe(true);
  });

  it("is at rest with a gamepad that lacks what it names", () => {
    expect(readPad(STANDARD, { axes: [], buttons: [] })).toEqual({
      stick: { forward: 0, left: 0 },
      deadman: false,
      estop: false,
      go: false,
    });
  });
});

/** Shows the wizard each picture for a while, with rest in between. */
function taught(moves: readonly (PadState | "skip")[], rest = REST): Teaching {
  let now = 0;
  let wizard = atRest(TEACH, rest);
  const show = (state: PadState, times: number) => {
    for (let i = 0; i < times; i++) {
      now += 16;
      wizard = teach(wizard, state, now);
    }
  };
  for (const move of moves) {
    if (move === "skip") wizard = skipStep(wizard);
    else show(move, 30);
    show(rest, 5);
  }
  return wizard;
}

describe("the wizard", () => {
  it("learns sticks, whichever way they run", () => {
    const wizard = taught([pad({ 3: 0.9 }), pad({ 2: -0.8 }), pad({}, { 9: 1 }), pad({}, { 2: 1 }), "skip"]);
    expect(wizard.step).toBe("done");
    const mapping = mappingOf(wizard, { deadZone: 0, expo: 0 });
    if (mapping === null) throw new Error("nothing was learnt");
    expect(readPad(mapping, pad({ 3: 1, 2: -1 }, { 9: 1 }))).toEqual({
      stick: { forward: 1, left: 1 },
      deadman: true,
      estop: false,
      go: false,
    });
    expect(readPad(mapping, pad({ 3: -0.5 })).stick.forward).toBeCloseTo(-0.5, 9);
    expect(readPad(mapping, pad({}, { 2: 1 })).estop).toBe(true);
    expect(parseMapping(JSON.parse(JSON.stringify(mapping)))).toEqual(mapping);
  });

  it("learns buttons, with one for each way, and a trigger that rests at −1", () => {
    const rest: PadState = { axes: [0, 0, -1, 0], buttons: REST.buttons };
    const at = (axes: Partial<Record<number, number>>, buttons: Partial<Record<number, number>>) => ({
      ...pad({ 2: -1, ...axes }, buttons),
    });
    const wizard = taught(
      [
        at({}, { 12: 1 }),
        at({}, { 13: 1 }),
        at({}, { 14: 1 }),
        at({}, { 15: 1 }),
        at({ 2: 1 }, {}),
        at({}, { 1: 1 }),
        at({}, { 0: 1 }),
      ],
      rest,
    );
    const mapping = mappingOf(wizard, { deadZone: 0, expo: 0 });
    if (mapping === null) throw new Error("nothing was learnt");
    expect(readPad(mapping, at({}, { 13: 1, 14: 1 })).stick).toEqual({ forward: -1, left: 1 });
    expect(readPad(mapping, rest).deadman).toBe(false);
    expect(readPad(mapping, at({ 2: 0.4 }, {})).deadman).toBe(true);
  });

  it("learns a trigger that says 0 until it is touched and rests at −1 then", () => {
    const untouched = REST;
    const rests: PadState = { ...pad({ 2: -1 }) };
    let now = 0;
    let wizard = atRest(TEACH, untouched);
    const show = (state: PadState, ms: number) => {
      for (const end = now + ms; now < end; now += 16) wizard = teach(wizard, state, now);
    };
    for (const move of [pad({ 1: -1 }), pad({ 0: -1 })]) {
      show(move, 400);
      show(untouched, 100);
    }
    show(pad({ 2: 1 }), 400);
    expect(wizard).toMatchObject({ step: "estop", settling: true });
    // Held on, it is not taken for rest.
    show(pad({ 2: 1 }), 3_000);
    expect(wizard.settling).toBe(true);
    show(rests, 1_000);
    expect(wizard.settling).toBe(false);
    show(pad({ 2: -1 }, { 1: 1 }), 400);
    show(rests, 100);
    wizard = skipStep(wizard);
    const mapping = mappingOf(wizard, { deadZone: 0, expo: 0 });
    if (mapping === null) throw new Error("nothing was learnt");
    expect(readPad(mapping, rests).deadman).toBe(false);
    expect(readPad(mapping, pad({ 2: 0.5 })).deadman).toBe(true);
    expect(mapping.deadman).toEqual([{ kind: "axis", index: 2, rest: -1, full: 1 }]);
  });

  it("takes no control twice, nor either way of a stick that drives", () => {
    const forward = taught([pad({ 1: -1 })]);
    const again = taught([pad({ 1: -1 }), pad({ 1: 1 })]);
    expect(forward.step).toBe("left");
    expect(again.step).toBe("left");
    const deadman = taught([pad({ 1: -1 }), pad({ 0: -1 }), pad({}, { 5: 1 }), pad({}, { 5: 1 })]);
    expect(deadman.step).toBe("estop");
  });

  it("hears no short touch, waits for rest, and skips no stop", () => {
    let wizard = atRest(TEACH, REST);
    wizard = teach(wizard, pad({ 1: -1 }), 0);
    wizard = teach(wizard, pad({ 1: -1 }), 100);
    wizard = teach(wizard, REST, 120);
    expect(wizard.step).toBe("forward");
    // Held on, a stick that was learnt is not learnt as the next thing.
    for (let t = 200; t < 2_000; t += 16) wizard = teach(wizard, pad({ 1: -1 }), t);
    expect(wizard).toMatchObject({ step: "left", settling: true, taken: false });
    expect(skipStep({ ...wizard, step: "estop" }).step).toBe("estop");
    expect(skipStep({ ...wizard, step: "deadman" }).step).toBe("deadman");
    expect(mappingOf(wizard, STANDARD.shape)).toBeNull();
  });
});

describe("what is kept", () => {
  it("has no mapping without a deadman or a stop", () => {
    expect(parseMapping({ ...STANDARD, deadman: [] })).toBeNull();
    expect(parseMapping({ ...STANDARD, estop: null })).toBeNull();
    expect(parseMapping({ ...STANDARD, forward: { kind: "axis", index: 0, rest: 1, full: 1 } })).toBeNull();
    expect(parseMapping({ ...STANDARD, estop: { kind: "button", index: 1e9 } })).toBeNull();
  });

  it("is read whatever it is", () => {
    fc.assert(
      fc.property(fc.anything(), (odd) => {
        expect(parsePreferences(odd).inputs.touch.deadZone).toBeGreaterThanOrEqual(0);
      }),
    );
    expect(parsePreferences(null)).toEqual(PREFERENCES);
    const kept = { ...PREFERENCES, language: "de", speed: "km/h", length: "ft" } as const;
    expect(parsePreferences(JSON.parse(JSON.stringify(kept)))).toEqual(kept);
    expect(parsePreferences({ speed: "knots", language: "tlh" })).toEqual(PREFERENCES);
  });

  it("remembers so many gamepads, the newest", () => {
    let all = PREFERENCES;
    for (let i = 0; i < GAMEPADS_MAX + 3; i++) all = withGamepad(all, `pad ${i}`, STANDARD);
    expect(Object.keys(all.inputs.gamepads)).toHaveLength(GAMEPADS_MAX);
    expect(Object.keys(all.inputs.gamepads).at(-1)).toBe(`pad ${GAMEPADS_MAX + 2}`);
    expect(withGamepad(all, "pad 10", null).inputs.gamepads["pad 10"]).toBeUndefined();
  });
});
