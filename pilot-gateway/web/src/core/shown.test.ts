import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Handed, NOTHING_SEEN, nextWatch } from "./shown";

/** What is seen at each refresh. */
function seen(all: readonly Handed[]): readonly (number | null)[] {
  let watch = NOTHING_SEEN;
  return all.map((handed) => {
    const next = nextWatch(watch, handed);
    watch = next.watch;
    return next.seen;
  });
}

describe("which picture is on the screen", () => {
  it("is the one that came two refreshes ago", () => {
    const all = [
      { stamp: null, shown: 0 },
      { stamp: 100, shown: 1 },
      { stamp: 100, shown: 1 },
      { stamp: 200, shown: 2 },
      { stamp: 200, shown: 2 },
      { stamp: 300, shown: 3 },
      { stamp: 300, shown: 3 },
      { stamp: 300, shown: 3 },
    ];
    expect(seen(all)).toEqual([null, null, null, 100, null, 200, null, 300]);
  });

  it("is none while the element shows nothing, whatever is handed over", () => {
    const all = Array.from({ length: 30 }, (_, n) => ({ stamp: n * 3_000, shown: 7 }));
    expect(seen([{ stamp: null, shown: 7 }, ...all]).every((one) => one === null)).toBe(true);
  });

  it("is never one that came less than two refreshes ago, never one twice, and none is kept for ever", () => {
    const moment = fc.record({ come: fc.boolean(), drawn: fc.boolean() });
    fc.assert(
      fc.property(fc.array(moment, { maxLength: 200 }), (moments) => {
        let [stamp, shown, watch] = [null as number | null, 0, NOTHING_SEEN];
        const cameAt = new Map<number, number>();
        let newest = -1;
        for (const [at, { come, drawn }] of moments.entries()) {
          if (come) {
            stamp = at;
            cameAt.set(at, at);
          }
          if (drawn) shown += 1;
          const next = nextWatch(watch, { stamp, shown });
          watch = next.watch;
          expect(watch.waiting.length).toBeLessThanOrEqual(8);
          if (next.seen === null) continue;
          expect(at - (cameAt.get(next.seen) ?? Number.POSITIVE_INFINITY)).toBeGreaterThanOrEqual(2);
          expect(next.seen).toBeGreaterThan(newest);
          newest = next.seen;
        }
      }),
    );
  });
});
