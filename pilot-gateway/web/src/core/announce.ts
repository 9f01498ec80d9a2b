/**
 * What a screen reader says of the drive: every new thing once, none of the numbers that count up, and the quiet things
 * no oftener than one can listen.
 */
import type { Gravity } from "./status";

export interface Announced {
  /** The last thing that was said. */
  readonly words: string;
  readonly urgent: boolean;
  readonly key: string;
  readonly atMs: number;
}

export const SILENCE: Announced = { words: "", urgent: false, key: "", atMs: Number.NEGATIVE_INFINITY };

/** Between two things that can wait. */
const QUIET_MS = 2_000;

/** The same sentence with other numbers is nothing new. */
function keyOf(words: string): string {
  return words.replaceAll(/[\d.,]+\s?(ms|s|m\/s|km\/h|mph|m|ft|%)?/g, "#");
}

export function announce(
  before: Announced,
  now: { readonly gravity: Gravity; readonly words: string },
  nowMs: number,
): Announced {
  const key = `${now.gravity} ${keyOf(now.words)}`;
  if (key === before.key) return before;
  const urgent = now.gravity === "stop";
  if (!urgent && nowMs - before.atMs < QUIET_MS) return before;
  return { words: now.words, urgent, key, atMs: nowMs };
}
