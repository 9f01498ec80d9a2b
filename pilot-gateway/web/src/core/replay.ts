/** The last seconds of the picture: a ring that is bounded in time, number and bytes. */

export interface Kept<T> {
  readonly atMs: number;
  readonly bytes: number;
  readonly item: T;
}

export const REPLAY_SPAN_MS = 10_000;
export const REPLAY_BYTES_MAX = 8_000_000;
export const REPLAY_FRAMES_MAX = 150;
/** Between two pictures that are kept. */
export const REPLAY_EVERY_MS = 200;

/** `frames`, oldest first, with a new one; without what is too old or too much. */
export function keep<T>(frames: readonly Kept<T>[], frame: Kept<T>): readonly Kept<T>[] {
  const all = [...frames, frame];
  let bytes = 0;
  let from = all.length;
  while (from > 0 && all.length - from < REPLAY_FRAMES_MAX) {
    const next = all[from - 1];
    if (next === undefined || frame.atMs - next.atMs > REPLAY_SPAN_MS) break;
    bytes += next.bytes;
    if (bytes > REPLAY_BYTES_MAX && from < all.length) break;
    from -= 1;
  }
  return all.slice(from);
}

/** The picture that was on the screen at `atMs`: the newest one not after it. */
export function frameAt<T>(frames: readonly Kept<T>[], atMs: number): Kept<T> | null {
  return frames.findLast((frame) => frame.atMs <= atMs) ?? frames[0] ?? null;
}
