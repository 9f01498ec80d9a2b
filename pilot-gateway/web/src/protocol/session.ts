/** The session lane: JSON text, reliable and ordered. */
import type { Envelope } from "./dsse";

/** What became of a goal; the last five are its end. */
export const GOAL_STATES = [
  "set",
  "going",
  "paused",
  "arrived",
  "taken_over",
  "cancelled",
  "failed",
  "refused",
] as const;
export type GoalState = (typeof GOAL_STATES)[number];

/** Longest message in characters; longer ones are refused unread. */
export const SESSION_LEN_MAX = 64 * 1024;
/** Bytes of a packet's digest in a receipt. */
export const PACKET_DIGEST_LEN = 8;
export const RECEIPT_EVERY_MS = 2_000;
export const RECEIPT_PACKETS_MAX = 1_000;
/** How often the driver renews its lease. */
export const RENEW_EVERY_MS = 10_000;

/** Data channels, negotiated: both sides create them with these ids. */
export const CHANNELS = { drive: 1, telemetry: 2, session: 3, estop: 4 } as const;

export type ToRobot =
  | { type: "renew"; lease: Envelope }
  | { type: "receipt"; receipt: Envelope }
  | { type: "release" }
  | { type: "lamp"; level: number }
  | { type: "horn" }
  | { type: "say"; text: string }
  | { type: "listen"; active: boolean }
  | { type: "talk"; active: boolean }
  | { type: "goal"; id: number; position: { lat_deg: number; lon_deg: number } }
  | { type: "cancel_goal" }
  | {
      type: "link_stats";
      fps: number;
      bitrate_bps: number;
      loss: number;
      rtt_ms: number;
      seen_age_ms: number;
    };

/** What the robot has beside wheels and cameras. */
export interface Equipment {
  readonly lamp: boolean;
  readonly horn: boolean;
  readonly voice: boolean;
  /** 0 (off) to LAMP_LEVEL_MAX, as it was last set. */
  readonly lampLevel: number;
  /** The driver can listen to the robot. */
  readonly microphone: boolean;
  /** The driver can talk through the robot. */
  readonly loudspeaker: boolean;
}
/** How often a driver that talks says that it still holds its button. */
export const TALK_EVERY_MS = 500;
export const LAMP_LEVEL_MAX = 3;
/** Longest text that the robot says aloud, in characters. */
export const SAY_CHARS_MAX = 500;

export type FromRobot =
  | { type: "opened"; episode: string }
  | { type: "equipment"; equipment: Equipment }
  | { type: "renewed"; renewal: number }
  | { type: "ended"; why: string }
  | { type: "goal"; id: number; state: GoalState; detail: string; distance_m: number | null }
  | { type: "refused"; code: string; detail: string };

/** Reads a message of the robot; null when it is none that we know. */
export function parseFromRobot(text: string): FromRobot | null {
  if (text.length > SESSION_LEN_MAX) return null;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof value !== "object" || value === null) return null;
  const { type, episode, renewal, why, code, detail, id, state, distance_m } = value as Record<
    string,
    unknown
  >;
  switch (type) {
    case "equipment":
      return parseEquipment(value as Record<string, unknown>);
    case "opened":
      return typeof episode === "string" ? { type, episode } : null;
    case "renewed":
      return typeof renewal === "number" ? { type, renewal } : null;
    case "ended":
      return typeof why === "string" ? { type, why } : null;
    case "goal": {
      const known = GOAL_STATES.find((name) => name === state);
      const distance = distance_m === null || typeof distance_m === "number" ? distance_m : null;
      if (known === undefined || typeof id !== "number" || typeof detail !== "string") return null;
      return { type, id, state: known, detail, distance_m: distance };
    }
    case "refused":
      return typeof code === "string" && typeof detail === "string" ? { type, code, detail } : null;
    default:
      return null;
  }
}

function parseEquipment(value: Record<string, unknown>): FromRobot | null {
  const { lamp, horn, voice, lamp_level: level } = value;
  if (typeof lamp !== "boolean" || typeof horn !== "boolean" || typeof voice !== "boolean") return null;
  if (typeof level !== "number" || !(level >= 0 && level <= LAMP_LEVEL_MAX)) return null;
  // A robot of before there was sound says nothing of it.
  const microphone = value["microphone"] === true;
  const loudspeaker = value["loudspeaker"] === true;
  return { type: "equipment", equipment: { lamp, horn, voice, lampLevel: level, microphone, loudspeaker } };
}
