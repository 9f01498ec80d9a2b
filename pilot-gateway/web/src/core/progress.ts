/** Where the next checkpoint is, as seen from the robot. */
import { bearingDeg, distanceM, type GeoPoint, turnDeg, turnWords } from "./geo";
import type { Checkpoint } from "./model";

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

export function progressWords(count: number, next: NextCheckpoint | null, reached: number): string {
  if (count === 0) return "No checkpoints: drive freely";
  if (reached >= count) return "All checkpoints reached. End the drive to be paid";
  if (next === null) return `Checkpoint ${reached + 1} of ${count}, waiting for a position`;
  const name = `Checkpoint ${next.index + 1} of ${count}`;
  if (next.inside) return `${name}: you are there, wait a moment`;
  const where = next.turnDeg === null ? "away" : turnWords(next.turnDeg);
  return `${name}, ${Math.round(next.distanceM)} m, ${where}`;
}
