/**
 * The one sentence that says how things are: what the robot does, why, and what to do next. It is made here from
 * what the robot says and from what this page knows itself, the graver one first.
 */
import { reasonOf } from "../protocol/safety";
import type { Telemetry } from "../protocol/telemetry";
import { type Deadman, releaseWords, TELEMETRY_AGE_MS_MAX, VIDEO_AGE_MS_MAX } from "./deadman";

export type Connection = "opening" | "open" | "lost" | "ended";

/** `calm`: all well. `drive`: moving. `hold`: the robot waits, the picture is live. `stop`: don't trust the
 * picture, or the emergency stop. */
export type Gravity = "calm" | "drive" | "hold" | "stop";

export interface Status {
  readonly gravity: Gravity;
  readonly title: string;
  /** The rest of the sentence: why, and what to do. */
  readonly detail: string;
}

export interface StatusFacts {
  readonly connection: Connection;
  /** What the connection is doing or why it is lost, in words. */
  readonly connectionWords: string;
  readonly telemetry: Telemetry | null;
  readonly telemetryAgeMs: number | null;
  readonly videoAgeMs: number | null;
  readonly deadman: Deadman;
  /** The driver pressed stop and the robot has not said so yet. */
  readonly estopAsked: boolean;
  /** What this driver holds in hand, for the hint. */
  readonly hint: string;
}

/** Reasons for which the driver must see the picture to get out of them. */
const LIVE_HAZARDS = new Set([
  "obstacle-ahead",
  "geofence",
  "position-unknown",
  "tilt",
  "tipped",
  "battery-low",
  "battery-critical",
  "recorder-full",
  "rearm-needed",
]);

function status(gravity: Gravity, title: string, detail: string): Status {
  return { gravity, title, detail };
}

function seconds(ageMs: number): string {
  return ageMs < 1000 ? `${Math.round(ageMs)} ms` : `${(ageMs / 1000).toFixed(1)} s`;
}

function ofRobot(t: Telemetry, facts: StatusFacts): Status {
  const reason = reasonOf(t.reason);
  const next = reason.whatNext === "" ? "" : ` ${reason.whatNext}.`;
  switch (t.state) {
    case "idle":
      return status("hold", "Not driving.", `${reason.words}.${next}`);
    case "ready":
      if (facts.deadman.letGoFirst)
        return status("hold", "Let go first.", "Release all keys, then drive again.");
      return status("calm", "Ready.", facts.hint);
    case "driving": {
      if (t.autonomous)
        return status("drive", "The robot drives itself.", "Let go to stop; steer to take over.");
      const limit = reasonOf(t.limitReason);
      const speed = `${(t.limitMmps / 1000).toFixed(1)} m/s`;
      if (limit.code === "latency") return status("drive", "Driving", `speed held to ${speed} by latency`);
      if (limit.code === "none" || limit.code === "policy-cap")
        return status("drive", "Driving", `up to ${speed}`);
      return status("drive", "Driving", `at most ${speed}: ${limit.words.toLowerCase()}`);
    }
    case "stopped": {
      const late = reason.code === "video-stale" && t.loopLatencyMs !== null;
      const words = late ? `the picture is ${t.loopLatencyMs} ms old` : lower(reason.words);
      return status(
        LIVE_HAZARDS.has(reason.code) ? "hold" : "stop",
        `Stopped: ${words}.`,
        `The robot waits.${next}`,
      );
    }
    case "emergency_stopped":
      return status("stop", "Emergency stop.", "The wheels are held. Release all keys, then clear the stop.");
  }
}

function lower(words: string): string {
  return words.charAt(0).toLowerCase() + words.slice(1);
}

export function statusOf(facts: StatusFacts): Status {
  const { telemetry, telemetryAgeMs, videoAgeMs } = facts;
  switch (facts.connection) {
    case "opening":
      return status("hold", "Connecting.", facts.connectionWords);
    case "ended":
      return status("hold", "The drive is over.", facts.connectionWords);
    case "lost":
      return status("stop", "Connection lost.", `The robot stops by itself. ${facts.connectionWords}`);
    case "open":
      break;
  }
  if (telemetry === null) return status("hold", "Connected.", "Waiting for the robot's first word.");
  if (telemetryAgeMs === null || telemetryAgeMs > TELEMETRY_AGE_MS_MAX) {
    const age = telemetryAgeMs === null ? "" : ` for ${seconds(telemetryAgeMs)}`;
    return status("stop", `The robot is not heard${age}.`, "It stops by itself. Release all keys and wait.");
  }
  if (telemetry.state === "emergency_stopped") return ofRobot(telemetry, facts);
  if (facts.estopAsked)
    return status("stop", "Stopping.", "The emergency stop was sent; waiting for the robot.");
  if (videoAgeMs === null) return status("hold", "Connected.", "Waiting for the first picture.");
  if (videoAgeMs > VIDEO_AGE_MS_MAX) {
    return status(
      "stop",
      `Stopped: the picture is ${seconds(videoAgeMs)} old.`,
      "The robot waits. Release all keys; drive again when the picture is fresh.",
    );
  }
  const { release } = facts.deadman;
  if (release !== null && telemetry.state === "ready") {
    return status("hold", `${releaseWords(release)}.`, "Keys count again after that.");
  }
  return ofRobot(telemetry, facts);
}

/** How good the link is, for a word beside the number; never colour alone. */
export function latencyWord(latencyMs: number | null, ageMs: number): "good" | "fair" | "slow" | "lost" {
  if (latencyMs === null || ageMs > TELEMETRY_AGE_MS_MAX) return "lost";
  if (latencyMs <= 150) return "good";
  return latencyMs <= 350 ? "fair" : "slow";
}

/** What sets the speed limit, in a few words; empty when nothing does. */
export function limitWords(t: Telemetry): string {
  switch (reasonOf(t.limitReason).code) {
    case "none":
    case "policy-cap":
      return "";
    case "latency":
      return "by latency";
    case "obstacle-near":
    case "obstacle-ahead":
      return "obstacle ahead";
    case "blind-cap":
      return "no picture";
    default:
      return lower(reasonOf(t.limitReason).words);
  }
}

/** Why a drive ended, in words, from the stable code that the robot gives. */
export function endedWords(why: string): string {
  switch (why) {
    case "released":
      return "You ended it.";
    case "driver-gone":
      return "The robot did not hear from you for 5 seconds.";
    case "expired":
      return "The lease ran out.";
    case "fenced":
      return "Someone else took over.";
    case "stopping":
      return "The robot is being shut down.";
    default:
      return `The robot ended it (${why}).`;
  }
}
