/**
 * Whether the deadman counts as held. Releasing is the default: holding needs every fact, in every tick. After a
 * fact was missing while the driver held on, the driver must let go once before holding counts again, so that
 * nothing starts to move because a picture came back.
 */

export interface DeadmanFacts {
  /** A key, button or thumb is held. */
  readonly wants: boolean;
  readonly focused: boolean;
  readonly visible: boolean;
  readonly connected: boolean;
  /** Since the last picture of the front camera was shown; null before the first. */
  readonly videoAgeMs: number | null;
  /** Since the last telemetry packet; null before the first. */
  readonly telemetryAgeMs: number | null;
  /** The gamepad that was held has gone. */
  readonly gamepadLost: boolean;
  /** The emergency stop is latched, or was asked for. */
  readonly estopped: boolean;
}

export type Release =
  | "not-connected"
  | "hidden"
  | "unfocused"
  | "no-video"
  | "no-telemetry"
  | "gamepad-lost"
  | "estop";

export interface Deadman {
  readonly held: boolean;
  /** Something released it: the driver must let go first. */
  readonly letGoFirst: boolean;
  readonly release: Release | null;
}

export const RELEASED: Deadman = { held: false, letGoFirst: false, release: null };

/** The robot has its own, tighter bounds; these keep this page from holding on blindly. */
export const VIDEO_AGE_MS_MAX = 700;
export const TELEMETRY_AGE_MS_MAX = 700;

function missing(facts: DeadmanFacts): Release | null {
  if (!facts.connected) return "not-connected";
  if (!facts.visible) return "hidden";
  if (!facts.focused) return "unfocused";
  if (facts.estopped) return "estop";
  if (facts.gamepadLost) return "gamepad-lost";
  if (facts.videoAgeMs === null || !(facts.videoAgeMs <= VIDEO_AGE_MS_MAX)) return "no-video";
  if (facts.telemetryAgeMs === null || !(facts.telemetryAgeMs <= TELEMETRY_AGE_MS_MAX)) return "no-telemetry";
  return null;
}

export function nextDeadman(before: Deadman, facts: DeadmanFacts): Deadman {
  const release = missing(facts);
  if (release !== null) return { held: false, letGoFirst: facts.wants || before.letGoFirst, release };
  if (!facts.wants) return RELEASED;
  if (before.letGoFirst) return { held: false, letGoFirst: true, release: null };
  return { held: true, letGoFirst: false, release: null };
}
