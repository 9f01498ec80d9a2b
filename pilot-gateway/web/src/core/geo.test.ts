import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  aheadOf,
  bearingDeg,
  distanceM,
  enuM,
  offsetM,
  placeAhead,
  routeLengthM,
  turnDeg,
  turnWords,
} from "./geo";
import { nextCheckpoint, progressWords } from "./progress";
import { createSay, SI } from "./say";

const say = createSay("en", SI);
const HOME = { latDeg: 52.52, lonDeg: 13.405 };

describe("geo", () => {
  it("offset and back", () => {
    const metres = fc.double({ min: -500, max: 500, noNaN: true });
    fc.assert(
      fc.property(metres, metres, (east, north) => {
        const back = enuM(offsetM(HOME, east, north), HOME);
        expect(back.eastM).toBeCloseTo(east, 4);
        expect(back.northM).toBeCloseTo(north, 4);
      }),
    );
  });

  it.each([
    [0, 10, 0],
    [10, 0, 90],
    [0, -10, 180],
    [-10, 0, 270],
  ])("bearing to %d m east, %d m north is %d°", (east, north, bearing) => {
    const there = offsetM(HOME, east, north);
    expect(bearingDeg(HOME, there)).toBeCloseTo(bearing, 4);
    expect(distanceM(HOME, there)).toBeCloseTo(10, 4);
  });

  it("turns the short way", () => {
    expect(turnDeg(350, 10)).toBe(20);
    expect(turnDeg(10, 350)).toBe(-20);
    expect(turnDeg(0, 270)).toBe(-90);
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 360, noNaN: true }),
        fc.double({ min: 0, max: 360, noNaN: true }),
        (a, b) => {
          expect(Math.abs(turnDeg(a, b))).toBeLessThanOrEqual(180);
        },
      ),
    );
  });

  it("says where in words", () => {
    expect(turnWords(3, say.m.turn)).toBe("straight ahead");
    expect(turnWords(-20, say.m.turn)).toBe("slightly left");
    expect(turnWords(90, say.m.turn)).toBe("to the right");
    expect(turnWords(-170, say.m.turn)).toBe("behind you");
  });

  it("adds up a route", () => {
    expect(routeLengthM([])).toBe(0);
    expect(routeLengthM([HOME, offsetM(HOME, 3, 4), offsetM(HOME, 3, 14)])).toBeCloseTo(15, 3);
  });
});

describe("as the robot sees it", () => {
  it("ahead is ahead and left is left, and back again", () => {
    const seen = aheadOf(HOME, 90, offsetM(HOME, 5, 2));
    expect(seen.forwardM).toBeCloseTo(5, 3);
    expect(seen.leftM).toBeCloseTo(2, 3);
    const back = placeAhead(HOME, 217, { forwardM: 7, leftM: -3 });
    const again = aheadOf(HOME, 217, back);
    expect(again.forwardM).toBeCloseTo(7, 3);
    expect(again.leftM).toBeCloseTo(-3, 3);
  });
});

describe("progress", () => {
  const checkpoints = [10, 30].map((north) => ({
    position: offsetM(HOME, 0, north),
    radiusM: 2,
    dwellMs: 0,
  }));

  it("measures the way to the next checkpoint", () => {
    const next = nextCheckpoint(checkpoints, 0, offsetM(HOME, 0, 5), 90, HOME);
    expect(next).toMatchObject({ index: 0, inside: false });
    expect(next?.distanceM).toBeCloseTo(5, 3);
    expect(next?.turnDeg).toBeCloseTo(-90, 3);
    expect(next?.share).toBeCloseTo(0.5, 3);
    expect(progressWords(2, next, 0, 30, say)).toBe("Checkpoint 1 of 2, 5.0 m, to the left");
  });

  it("gives no distance from where the robot was", () => {
    const next = nextCheckpoint(checkpoints, 0, offsetM(HOME, 0, 5), 90, HOME);
    expect(progressWords(2, next, 0, 4_000, say)).toBe("Checkpoint 1 of 2, position 4.0 s old");
  });

  it("knows arrival, the end, and what it does not know", () => {
    const inside = nextCheckpoint(checkpoints, 1, offsetM(HOME, 0, 29), null, null);
    expect(inside).toMatchObject({ inside: true, turnDeg: null });
    expect(progressWords(2, inside, 1, 30, say)).toContain("you are there");
    expect(nextCheckpoint(checkpoints, null, HOME, 0, null)).toBeNull();
    expect(nextCheckpoint(checkpoints, 0, null, 0, null)).toBeNull();
    expect(progressWords(2, null, 2, 30, say)).toContain("All checkpoints reached");
    expect(progressWords(2, null, 0, 30, say)).toContain("waiting for a position");
  });
});
