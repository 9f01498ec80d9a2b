/** Where the next checkpoint is, as seen from the robot. */
import { TELEMETRY_AGE_MS_MAX } from "./deadman";
import { bearingDeg, distanceM, type GeoPoint, turnDeg, turnWords } from "./geo";
import type { Checkpoint } from "./model";
import type { Say } from "./say";

export interface NextCheckpoint {
  readonly index: number;
  readonly distanceM: number;
  readonly bearingDeg: number;
  /** Positive to the right; null without a heading. */
  readonly turnDeg: number | null;
  readonly inside: boolean;
  /** Share of the way from the checkpoint before, 0 to 1. */
  readonly share: number;
}

export function nextCheckpoint(
  checkpoints: readonly Checkpoint[],
  next: number | null,
  at: GeoPoint | null,
  headingDeg: number | null,
  start: GeoPoint | null,
): NextCheckpoint | null {
  const target = next === null ? undefined : checkpoints[next];
  if (next === null || target === undefined || at === null) return null;
  const away = distanceM(at, target.position);
  const bearing = bearingDeg(at, target.position);
  const from = checkpoints[next - 1]?.position ?? start;
  const whole = from === null ? 0 : distanceM(from, target.position);
  return {
    index: next,
    distanceM: away,
    bearingDeg: bearing,
    turnDeg: headingDeg === null ? null : turnDeg(headingDeg, bearing),
    inside: away <= target.radiusM,
    share: whole > 0 ? Math.min(1, Math.max(0, 1 - away / whole)) : 0,
  };
}

export function progressWords(
  count: number,
  next: NextCheckpoint | null,
  reached: number,
  positionAgeMs: number | null,
  say: Say,
): string {
  const m = say.m.mission;
  if (count === 0) return m.free;
  if (reached >= count) return m.allReached;
  if (next === null) return m.noPosition(reached + 1, count);
  const name = m.of(next.index + 1, count);
  // Where the robot was is not where it is.
  if (positionAgeMs === null || positionAgeMs > TELEMETRY_AGE_MS_MAX) {
    return m.stalePosition(name, say.roughAge(positionAgeMs ?? 0));
  }
  if (next.inside) return m.inside(name);
  const where = next.turnDeg === null ? m.somewhere : turnWords(next.turnDeg, say.m.turn);
  return m.away(name, say.distance(next.distanceM), where);
}
