/**
 * States and reasons of the robot's safety core, mirrored from protocol/src/safety.rs. A test compares this
 * table with protocol/vectors/reasons.json.
 */

/** In the order of their number on the wire. */
export const SAFETY_STATES = ["idle", "ready", "driving", "stopped", "emergency_stopped"] as const;

export type SafetyState = (typeof SAFETY_STATES)[number];

/** A reason's number on the wire, and its bit in a hazard mask. */
export type ReasonNumber = number;

export interface Reason {
  /** Stable code. */
  readonly code: string;
  /** What is the matter. */
  readonly words: string;
  /** What the driver can do about it; empty when there is nothing to do. */
  readonly whatNext: string;
}

const REASONS = [
  { code: "none", words: "All well", whatNext: "" },
  { code: "no-lease", words: "Nobody has the robot", whatNext: "Take a mission to drive" },
  { code: "estop", words: "Emergency stop", whatNext: "Release all keys, then clear the stop" },
  {
    code: "command-stale",
    words: "Your commands do not arrive",
    whatNext: "Check your connection; release all keys, then drive again",
  },
  {
    code: "video-stale",
    words: "The picture is too old",
    whatNext: "Release all keys; drive again when the picture is fresh",
  },
  { code: "latency", words: "Speed held down by latency", whatNext: "" },
  { code: "obstacle-near", words: "Something is close ahead", whatNext: "Slow down or steer around it" },
  { code: "obstacle-ahead", words: "Something is right ahead", whatNext: "Back away from it or turn" },
  {
    code: "sensor-stale",
    words: "The robot's wheels are not heard",
    whatNext: "Wait; if it stays, end the drive and tell the owner",
  },
  {
    code: "clock-regression",
    words: "The robot's clock is broken",
    whatNext: "End the drive; the robot must be restarted",
  },
  { code: "deadman-released", words: "Waiting for you", whatNext: "Hold a key to drive" },
  {
    code: "rearm-needed",
    words: "Waiting for the stick at rest",
    whatNext: "Release all keys, then drive again",
  },
  {
    code: "recorder-full",
    words: "The robot cannot record",
    whatNext: "End the drive; the robot's disk is full",
  },
  { code: "battery-low", words: "The battery is nearly empty", whatNext: "End the drive" },
  { code: "tilt", words: "The robot leans too far", whatNext: "Stop and look; back away slowly" },
  { code: "geofence", words: "Outside of the allowed area", whatNext: "Turn back" },
  { code: "blind-cap", words: "Speed held down: driving without pictures", whatNext: "" },
  { code: "policy-cap", words: "At the highest allowed speed", whatNext: "" },
  {
    code: "command-held-up",
    words: "Your commands arrive late",
    whatNext: "Release all keys; drive again when the link is well",
  },
  {
    code: "geofence-near",
    words: "Close to the edge of the allowed area",
    whatNext: "Turn away from the edge, or wait for a better position",
  },
  {
    code: "position-unknown",
    words: "The robot does not know where it is",
    whatNext: "Wait for a position; if none comes, end the drive and tell the owner",
  },
  {
    code: "collision-near",
    words: "Something comes towards the robot",
    whatNext: "Let it pass, or back away",
  },
  { code: "bumper", words: "The robot touches something", whatNext: "Drive away from it slowly" },
  { code: "drop", words: "The ground ends there", whatNext: "Back away from the edge" },
  {
    code: "battery-critical",
    words: "The battery is empty",
    whatNext: "End the drive; the robot must be fetched",
  },
  {
    code: "scan-stale",
    words: "The laser scanner is silent",
    whatNext: "Wait; if it stays, end the drive and tell the owner",
  },
  {
    code: "close-stale",
    words: "A bumper or range sensor is silent",
    whatNext: "Wait; if it stays, end the drive and tell the owner",
  },
  {
    code: "tilt-stale",
    words: "The inertial sensor is silent",
    whatNext: "Wait; if it stays, end the drive and tell the owner",
  },
  {
    code: "task-dead",
    words: "A part of the robot's software hangs",
    whatNext: "Wait; if it stays, end the drive and tell the owner",
  },
  {
    code: "clock-jump",
    words: "The robot's computer was frozen",
    whatNext: "Release all keys, then drive again",
  },
  {
    code: "tipped",
    words: "The robot tips over or was picked up",
    whatNext: "Wait; somebody must set it on its wheels",
  },
] as const satisfies readonly Reason[];

export type ReasonCode = (typeof REASONS)[number]["code"];

/** All reasons, in the order of their numbers. */
export const ALL_REASONS: readonly (Reason & { readonly code: ReasonCode })[] = REASONS;

export const REASON_COUNT = REASONS.length;

const UNKNOWN: Reason = {
  code: "unknown",
  words: "The robot gives a reason that this page does not know",
  whatNext: "Reload the page",
};

export function reasonByCode(code: string): Reason {
  return ALL_REASONS.find((reason) => reason.code === code) ?? UNKNOWN;
}

export function reasonOf(number: ReasonNumber): Reason {
  return ALL_REASONS[number] ?? UNKNOWN;
}
