import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type DeadmanFacts, nextDeadman, RELEASED, TELEMETRY_AGE_MS_MAX, VIDEO_AGE_MS_MAX } from "./deadman";

const WELL: DeadmanFacts = {
  wants: true,
  focused: true,
  visible: true,
  connected: true,
  videoAgeMs: 20,
  telemetryAgeMs: 20,
  gamepadLost: false,
  estopped: false,
};

const facts: fc.Arbitrary<DeadmanFacts> = fc.record({
  wants: fc.boolean(),
  focused: fc.boolean(),
  visible: fc.boolean(),
  connected: fc.boolean(),
  videoAgeMs: fc.oneof(fc.constant(null), fc.double({ min: 0, max: 2_000 })),
  telemetryAgeMs: fc.oneof(fc.constant(null), fc.double({ min: 0, max: 2_000 })),
  gamepadLost: fc.boolean(),
  estopped: fc.boolean(),
});

describe("deadman", () => {
  it("holds when all is well and the driver holds", () => {
    expect(nextDeadman(RELEASED, WELL).held).toBe(true);
    expect(nextDeadman(RELEASED, { ...WELL, wants: false })).toEqual(RELEASED);
  });

  it.each<[string, Partial<DeadmanFacts>]>([
    ["hidden", { visible: false }],
    ["unfocused", { focused: false }],
    ["not-connected", { connected: false }],
    ["gamepad-lost", { gamepadLost: true }],
    ["estop", { estopped: true }],
    ["no-video", { videoAgeMs: VIDEO_AGE_MS_MAX + 1 }],
    ["no-video", { videoAgeMs: null }],
    ["no-video", { videoAgeMs: Number.NaN }],
    ["no-telemetry", { telemetryAgeMs: TELEMETRY_AGE_MS_MAX + 1 }],
    ["no-telemetry", { telemetryAgeMs: null }],
  ])("%s releases, and the driver must let go before it holds again", (release, change) => {
    const released = nextDeadman(nextDeadman(RELEASED, WELL), { ...WELL, ...change });
    expect(released).toMatchObject({ held: false, letGoFirst: true, release });
    const stillHolding = nextDeadman(released, WELL);
    expect(stillHolding).toMatchObject({ held: false, letGoFirst: true });
    const letGo = nextDeadman(stillHolding, { ...WELL, wants: false });
    expect(nextDeadman(letGo, WELL).held).toBe(true);
  });

  it("is never held without every fact, and never again without letting go, whatever happens", () => {
    fc.assert(
      fc.property(fc.array(facts, { maxLength: 60 }), (ticks) => {
        let deadman = RELEASED;
        let mustLetGo = false;
        for (const tick of ticks) {
          deadman = nextDeadman(deadman, tick);
          const well =
            tick.focused &&
            tick.visible &&
            tick.connected &&
            !tick.gamepadLost &&
            !tick.estopped &&
            tick.videoAgeMs !== null &&
            tick.videoAgeMs <= VIDEO_AGE_MS_MAX &&
            tick.telemetryAgeMs !== null &&
            tick.telemetryAgeMs <= TELEMETRY_AGE_MS_MAX;
          if (!well && tick.wants) mustLetGo = true;
          if (well && !tick.wants) mustLetGo = false;
          expect(deadman.held).toBe(well && tick.wants && !mustLetGo);
        }
      }),
    );
  });
});
