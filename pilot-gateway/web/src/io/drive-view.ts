/** What a drive looks like from outside: read-only, replaced as a whole. */
import { type Deadman, RELEASED } from "../core/deadman";
import type { GeoPoint } from "../core/geo";
import type { Goal } from "../core/goal";
import { AT_REST, type DriveKey, type Wish } from "../core/input";
import type { Sample } from "../core/series";
import type { Connection } from "../core/status";
import type { Equipment } from "../protocol/session";
import type { Telemetry } from "../protocol/telemetry";
import type { GamepadKind } from "./controls";

export interface LinkNumbers {
  readonly bitrateBps: number | null;
  readonly fps: number | null;
  /** Share of packets lost in the last second. */
  readonly loss: number | null;
  readonly rttMs: number | null;
  readonly codec: string | null;
}

export interface DriveView {
  readonly connection: Connection;
  readonly connectionWords: string;
  readonly telemetry: Telemetry | null;
  readonly telemetryAgeMs: number | null;
  readonly videoAgeMs: number | null;
  /** Since the link's numbers were measured. */
  readonly linkAgeMs: number | null;
  /** Since the robot said something about a goal. */
  readonly goalAgeMs: number | null;
  readonly nowMs: number;
  readonly latencies: readonly Sample[];
  readonly link: LinkNumbers;
  readonly deadman: Deadman;
  readonly keys: ReadonlySet<DriveKey>;
  readonly wish: Wish;
  readonly gamepad: GamepadKind;
  readonly estopAsked: boolean;
  /** The last goal for the robot's own autonomy, until another is set. */
  readonly goal: Goal | null;
  /** The cross on the map while a goal is placed by keyboard. */
  readonly aim: GeoPoint | null;
  readonly clearRefused: boolean;
  /** What the robot has beside wheels and cameras; null until it said so. */
  readonly equipment: Equipment | null;
  /** What the robot's microphone hears; null without one. */
  readonly sound: MediaStream | null;
  /** The driver listens; holds its button to talk. */
  readonly listens: boolean;
  readonly talks: boolean;
  readonly leaseId: string | null;
  readonly episode: string | null;
  /** Why the drive could not start; it can be tried again. */
  readonly failure: { readonly title: string; readonly detail: string } | null;
  /** A remark for the driver: something did not work, driving goes on. */
  readonly notice: string | null;
}

export const NO_VIEW: DriveView = {
  connection: "opening",
  connectionWords: "",
  telemetry: null,
  telemetryAgeMs: null,
  videoAgeMs: null,
  linkAgeMs: null,
  goalAgeMs: null,
  nowMs: 0,
  latencies: [],
  link: { bitrateBps: null, fps: null, loss: null, rttMs: null, codec: null },
  deadman: RELEASED,
  keys: new Set(),
  wish: AT_REST,
  gamepad: "none",
  estopAsked: false,
  goal: null,
  aim: null,
  clearRefused: false,
  equipment: null,
  sound: null,
  listens: false,
  talks: false,
  leaseId: null,
  episode: null,
  failure: null,
  notice: null,
};

/** How long the latency's line is. */
export const LATENCY_SPAN_MS = 15_000;

/** Every loop latency of this drive, for measurements; bounded to an hour of telemetry. */
export const LATENCY_SAMPLES_MAX = 72_000;
