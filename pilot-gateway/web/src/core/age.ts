/**
 * Numbers with their age. What is too old is not a number any more: it is shown as stale, in words, with how old it is,
 * and never as if it were live.
 */
import { TELEMETRY_AGE_MS_MAX } from "./deadman";
import type { Say } from "./say";

/** How old each kind of number may be before it is stale. */
export const STALE_MS = {
  /** 20 a second. */
  telemetry: TELEMETRY_AGE_MS_MAX,
  /** Measured once a second. */
  link: 2_500,
  /** Asked for every 1.5 s, and after every event. */
  mission: 6_000,
  /** Once a second while the robot drives to it. */
  goal: 3_000,
} as const;

export type Freshness = "never" | "live" | "stale";

export function freshness(ageMs: number | null, staleMs: number): Freshness {
  if (ageMs === null) return "never";
  return ageMs <= staleMs ? "live" : "stale";
}

export interface Shown {
  readonly freshness: Freshness;
  /** The number, or in its place that it is stale or was never there. */
  readonly text: string;
  /** How old it is, beside the number; empty when the text says it already. */
  readonly age: string;
}

/** A number as it is shown: `words` makes it, and is asked only while it is live. */
export function shown(ageMs: number | null, staleMs: number, words: () => string, say: Say): Shown {
  const fresh = freshness(ageMs, staleMs);
  switch (fresh) {
    case "never":
      return { freshness: fresh, text: say.m.age.never, age: "" };
    case "stale":
      return { freshness: fresh, text: say.m.age.stale(say.roughAge(ageMs ?? 0)), age: "" };
    case "live":
      return { freshness: fresh, text: words(), age: say.roughAge(ageMs ?? 0) };
  }
}
