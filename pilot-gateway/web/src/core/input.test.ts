import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { AT_REST, type Controls, type DriveKey, driveKey, nextWish, REACH, type Wish } from "./input";

const NOTHING: Controls = { keys: new Set(), scale: 1, gamepad: null, pad: null, go: false };

function keys(...held: DriveKey[]): Controls {
  return { ...NOTHING, keys: new Set(held) };
}

function afterTicks(controls: Controls, ticks: number, from: Wish = AT_REST): Wish {
  let wish = from;
  for (let i = 0; i < ticks; i++) wish = nextWish(wish, controls, REACH, 20);
  return wish;
}

describe("keys", () => {
  it("are places on the keyboard", () => {
    expect(driveKey("KeyW")).toBe("forward");
    expect(driveKey("ArrowLeft")).toBe("left");
    expect(driveKey("KeyQ")).toBeNull();
  });

  it("ramp up and reach full speed", () => {
    const first = afterTicks(keys("forward"), 1);
    expect(first.linearMps).toBeGreaterThan(0);
    expect(first.linearMps).toBeLessThan(0.1);
    expect(afterTicks(keys("forward"), 60)).toEqual({
      wants: true,
      letsDrive: false,
      linearMps: REACH.forwardMps,
      angularRadps: 0,
    });
    expect(afterTicks(keys("back"), 60).linearMps).toBe(-REACH.backMps);
    expect(afterTicks(keys("left"), 60).angularRadps).toBe(REACH.turnRadps);
    expect(afterTicks(keys("right"), 60).angularRadps).toBe(-REACH.turnRadps);
  });

  it("let go is at once", () => {
    expect(nextWish(afterTicks(keys("forward"), 60), NOTHING, REACH, 20)).toEqual(AT_REST);
  });

  it("against each other cancel, but the driver is there", () => {
    expect(afterTicks(keys("forward", "back"), 60)).toEqual({
      wants: true,
      letsDrive: false,
      linearMps: 0,
      angularRadps: 0,
    });
  });

  it("let the robot drive only while nothing is steered by hand", () => {
    const go = { ...NOTHING, go: true };
    const lets = { wants: true, letsDrive: true, linearMps: 0, angularRadps: 0 };
    expect(nextWish(AT_REST, go, REACH, 20)).toEqual(lets);
    expect(nextWish(afterTicks(keys("forward"), 60), go, REACH, 20)).toEqual(lets);
    expect(nextWish(AT_REST, { ...go, gamepad: { forward: 0, left: 0 } }, REACH, 20)).toEqual(lets);
    const byHand = nextWish(AT_REST, { ...keys("back"), go: true }, REACH, 20);
    expect(byHand.letsDrive).toBe(false);
    expect(byHand.linearMps).toBeLessThan(0);
    expect(nextWish(AT_REST, { ...go, pad: { forward: 0, left: 1 } }, REACH, 20).letsDrive).toBe(false);
    expect(nextWish(AT_REST, { ...keys("forward", "back"), go: true }, REACH, 20).letsDrive).toBe(false);
  });

  it("with Shift are slow", () => {
    const slow = afterTicks({ ...keys("forward"), scale: 0.4 }, 60);
    expect(slow.linearMps).toBeLessThan(REACH.forwardMps / 2);
  });
});

describe("sticks", () => {
  it("at rest but held keep the driver there", () => {
    expect(afterTicks({ ...NOTHING, pad: { forward: 0, left: 0 } }, 9)).toEqual({
      wants: true,
      letsDrive: false,
      linearMps: 0,
      angularRadps: 0,
    });
  });

  it("never ask for more than the reach", () => {
    const axis = fc.double({ min: -1, max: 1, noNaN: true });
    const stick = fc.option(fc.record({ forward: axis, left: axis }));
    const key = fc.constantFrom<DriveKey>("forward", "back", "left", "right");
    const controls = fc.record({
      keys: fc.array(key).map((held) => new Set(held)),
      scale: fc.double({ min: 0, max: 1, noNaN: true }),
      gamepad: stick,
      pad: stick,
      go: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(fc.tuple(controls, fc.double({ min: 0, max: 1_000, noNaN: true }))), (ticks) => {
        let wish = AT_REST;
        for (const [now, dtMs] of ticks) {
          wish = nextWish(wish, now, REACH, dtMs);
          expect(wish.linearMps).toBeLessThanOrEqual(REACH.forwardMps);
          expect(wish.linearMps).toBeGreaterThanOrEqual(-REACH.backMps);
          expect(Math.abs(wish.angularRadps)).toBeLessThanOrEqual(REACH.turnRadps);
          if (!wish.wants) expect(wish).toEqual(AT_REST);
          if (wish.letsDrive) expect(wish).toEqual({ ...AT_REST, wants: true, letsDrive: true });
        }
      }),
    );
  });
});
