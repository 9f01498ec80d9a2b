import fc from "fast-check";
import { expect, test } from "vitest";
import { frameAt, type Kept, keep, REPLAY_BYTES_MAX, REPLAY_FRAMES_MAX, REPLAY_SPAN_MS } from "./replay";

test("the ring is bounded in time, number and bytes, and keeps the newest", () => {
  const frame = fc.record({ stepMs: fc.nat(3_000), bytes: fc.nat(REPLAY_BYTES_MAX) });
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 300 }), (steps) => {
      let frames: readonly Kept<number>[] = [];
      let atMs = 0;
      for (const [item, step] of steps.entries()) {
        atMs += step.stepMs;
        frames = keep(frames, { atMs, bytes: step.bytes, item });
        expect(frames.at(-1)?.item).toBe(item);
        expect(atMs - (frames[0]?.atMs ?? 0)).toBeLessThanOrEqual(REPLAY_SPAN_MS);
        expect(frames.length).toBeLessThanOrEqual(REPLAY_FRAMES_MAX);
        expect(frames.reduce((sum, each) => sum + each.bytes, 0)).toBeLessThanOrEqual(REPLAY_BYTES_MAX);
      }
    }),
  );
});

test("ten seconds are all there, also at ten pictures a second", () => {
  let frames: readonly Kept<number>[] = [];
  for (let i = 0; i < 200; i++) frames = keep(frames, { atMs: i * 100, bytes: 20_000, item: i });
  expect(frames).toHaveLength(101);
  expect(frames[0]?.item).toBe(99);
});

test("the picture of a moment is the newest not after it", () => {
  const frames = [0, 100, 200].map((atMs) => ({ atMs, bytes: 1, item: atMs }));
  expect(frameAt(frames, 150)?.item).toBe(100);
  expect(frameAt(frames, 5_000)?.item).toBe(200);
  expect(frameAt(frames, -1)?.item).toBe(0);
  expect(frameAt([], 1)).toBeNull();
});
