/** What the page about the safety core asks it, and what it answers. The rules themselves are not here: they run at the
 * gateway, in the same code as on a robot. */
import { list, number, numberOrNull, object, text, textOrNull } from "./json";
import type { Say } from "./say";

/** What the core is told, as the page's controls hold it. */
export interface Scene {
  readonly lease: boolean;
  readonly program: boolean;
  readonly blindPermitted: boolean;
  readonly deadman: boolean;
  readonly wishMps: number;
  readonly estop: boolean;
  /** The last notch of the slider stands for "none arrive". */
  readonly commandEveryMs: number;
  readonly stampAgeMs: number;
  /** The last notch stands for "no picture". */
  readonly pictureAgeMs: number;
  readonly aheadM: number;
  readonly behindM: number;
  readonly approachMps: number;
  readonly bumper: boolean;
  readonly drop: boolean;
  readonly tiltDeg: number;
  readonly batteryPct: number;
  readonly odometryAgeMs: number;
  readonly scanAgeMs: number;
  readonly recorder: boolean;
  readonly heartbeatAgeMs: number;
  readonly area: boolean;
  readonly edgeM: number;
  readonly bearing: Bearing;
  readonly accuracyM: number;
  readonly positionAgeMs: number;
}

export type Bearing = "to" | "along" | "away" | "unknown";

export const WELL: Scene = {
  lease: true,
  program: false,
  blindPermitted: false,
  deadman: true,
  wishMps: 1.5,
  estop: false,
  commandEveryMs: 20,
  stampAgeMs: 60,
  pictureAgeMs: 90,
  aheadM: 12,
  behindM: 12,
  approachMps: 0,
  bumper: false,
  drop: false,
  tiltDeg: 0,
  batteryPct: 90,
  odometryAgeMs: 10,
  scanAgeMs: 30,
  recorder: true,
  heartbeatAgeMs: 50,
  area: false,
  edgeM: 10,
  bearing: "to",
  accuracyM: 1,
  positionAgeMs: 100,
};

export const COMMAND_NEVER_MS = 620;
export const PICTURE_NONE_MS = 720;

/** Scenes that a reader begins with. */
export const PRESETS = [
  { name: "well", scene: {} },
  { name: "cut", scene: { commandEveryMs: COMMAND_NEVER_MS } },
  { name: "frozen", scene: { pictureAgeMs: 560 } },
  { name: "slow", scene: { pictureAgeMs: 420, stampAgeMs: 250 } },
  { name: "walks", scene: { aheadM: 4, approachMps: 1.4 } },
  { name: "wall", scene: { aheadM: 0.8 } },
  { name: "edge", scene: { area: true, edgeM: 2.5 } },
  { name: "estop", scene: { estop: true } },
] as const satisfies readonly { readonly name: string; readonly scene: Partial<Scene> }[];

const REST_MS = 300;
const BEFORE_MS = 3000;
export const AFTER_MS = 3000;
/** When the scene begins: before it, the robot drove and all was well. */
export const CHANGE_MS = REST_MS + BEFORE_MS;

const BEARINGS: Readonly<Record<Bearing, number | null>> = { to: 0, along: 90, away: 180, unknown: null };

/** A robot that rests, then drives well, then the scene. */
export function scenarioOf(scene: Scene): unknown {
  const area = scene.area ? { edge_m: 100, accuracy_m: 1 } : {};
  const before = { program: scene.program, linear_mps: scene.wishMps, ...area };
  return {
    policy: { blind_driving: { permitted: scene.blindPermitted } },
    phases: [
      { ...before, for_ms: REST_MS, deadman: false },
      { ...before, for_ms: BEFORE_MS },
      {
        for_ms: AFTER_MS,
        lease: scene.lease,
        program: scene.program,
        linear_mps: scene.wishMps,
        deadman: scene.deadman,
        estop: scene.estop,
        command_every_ms: scene.commandEveryMs >= COMMAND_NEVER_MS ? null : scene.commandEveryMs,
        stamp_age_ms: scene.stampAgeMs,
        seen_age_ms: scene.pictureAgeMs >= PICTURE_NONE_MS ? null : scene.pictureAgeMs,
        odometry_age_ms: scene.odometryAgeMs,
        scan_age_ms: scene.scanAgeMs,
        ahead_m: scene.aheadM,
        behind_m: scene.behindM,
        approach_mps: scene.approachMps,
        bumper_front: scene.bumper,
        drop_ahead: scene.drop,
        tilt_deg: scene.tiltDeg,
        battery: scene.batteryPct / 100,
        recorder_able: scene.recorder,
        heartbeat_age_ms: scene.heartbeatAgeMs,
        ...(scene.area
          ? {
              edge_m: scene.edgeM,
              edge_bearing_deg: BEARINGS[scene.bearing],
              accuracy_m: scene.accuracyM,
              position_age_ms: scene.positionAgeMs,
            }
          : {}),
      },
    ],
  };
}

export interface Sample {
  readonly atMs: number;
  readonly state: string;
  readonly reason: string;
  readonly limitMmps: number;
  readonly wheelsMmps: number;
}

export interface HeldHazard {
  readonly code: string;
  readonly words: string;
  readonly whatNext: string;
  readonly when: string;
  readonly action: string;
  readonly clears: string;
}

export interface Played {
  readonly samples: readonly Sample[];
  readonly changes: readonly Sample[];
  readonly hazards: readonly HeldHazard[];
  readonly state: string;
  readonly reason: string;
  readonly words: string;
  readonly whatNext: string;
  readonly limitMmps: number;
  readonly limitReason: string;
  readonly limitWords: string;
  readonly latencyMs: number | null;
  readonly wheelsMmps: number;
  readonly minimalRisk: string | null;
}

function sampleOf(json: unknown): Sample {
  const s = object(json);
  return {
    atMs: number(s["t_ms"]) - CHANGE_MS,
    state: text(s["state"]),
    reason: text(s["reason"]),
    limitMmps: number(s["limit_mmps"]),
    wheelsMmps: number(s["wheels_mmps"]),
  };
}

export function parsePlayed(json: unknown): Played | null {
  const body = object(json);
  const end = object(body["end"]);
  if (textOrNull(end["state"]) === null) return null;
  return {
    samples: list(body["samples"]).map(sampleOf),
    changes: list(body["changes"]).map(sampleOf),
    hazards: list(body["hazards"]).map((value) => {
      const h = object(value);
      return {
        code: text(h["code"]),
        words: text(h["words"]),
        whatNext: text(h["what_next"]),
        when: text(h["when"]),
        action: text(h["action"]),
        clears: text(h["clears"]),
      };
    }),
    state: text(end["state"]),
    reason: text(end["reason"]),
    words: text(end["words"]),
    whatNext: text(end["what_next"]),
    limitMmps: number(end["limit_mmps"]),
    limitReason: text(end["limit_reason"]),
    limitWords: text(end["limit_words"]),
    latencyMs: numberOrNull(end["loop_latency_ms"]),
    wheelsMmps: number(end["wheels_mmps"]),
    minimalRisk: textOrNull(end["minimal_risk"]),
  };
}

/** How long after the change the wheels were told zero and stayed at it, ms; null when they were not. */
export function zeroAfterMs(played: Played): number | null {
  const after = played.samples.filter((sample) => sample.atMs > 0);
  const moving = after.findLastIndex((sample) => sample.wheelsMmps !== 0);
  const zero = after[moving + 1];
  const moved = played.samples.some((sample) => sample.wheelsMmps !== 0);
  return zero === undefined || !moved ? null : zero.atMs;
}

/** Metres a second, as the core counts, whatever the reader's units are. */
export function mps(mmps: number, say: Say): string {
  return say.number(mmps / 1000, 2);
}
