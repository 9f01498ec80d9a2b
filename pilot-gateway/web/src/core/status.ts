/**
 * The one sentence that says how things are: what the robot does, why, and what to do next. It is made here from
 * what the robot says and from what this page knows itself, the graver one first.
 */
import type { Telemetry } from "../protocol/telemetry";
import { type Deadman, TELEMETRY_AGE_MS_MAX, VIDEO_AGE_MS_MAX } from "./deadman";
import type { Say } from "./say";

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

function ofRobot(t: Telemetry, facts: StatusFacts, say: Say): Status {
  const m = say.m.status;
  const reason = say.reason(t.reason);
  const next = reason.whatNext === "" ? "" : ` ${reason.whatNext}.`;
  switch (t.state) {
    case "idle":
      return status("hold", m.notDriving, `${reason.words}.${next}`);
    case "ready":
      if (facts.deadman.letGoFirst) return status("hold", m.letGo, m.letGoDetail);
      return status("calm", m.ready, facts.hint);
    case "driving": {
      if (t.autonomous) return status("drive", m.itself, m.itselfDetail);
      const limit = say.reason(t.limitReason);
      const speed = say.speed(t.limitMmps / 1000);
      if (limit.code === "latency") return status("drive", m.driving, m.heldByLatency(speed));
      if (limit.code === "none" || limit.code === "policy-cap")
        return status("drive", m.driving, m.upTo(speed));
      return status("drive", m.driving, m.atMost(speed, say.m.within(limit.words)));
    }
    case "stopped": {
      const late = reason.code === "video-stale" && t.loopLatencyMs !== null;
      const words = late ? m.pictureIs(say.age(t.loopLatencyMs ?? 0)) : say.m.within(reason.words);
      return status(LIVE_HAZARDS.has(reason.code) ? "hold" : "stop", m.stopped(words), `${m.waits}${next}`);
    }
    case "emergency_stopped":
      return status("stop", m.emergency, m.emergencyDetail);
  }
}

export function statusOf(facts: StatusFacts, say: Say): Status {
  const { telemetry, telemetryAgeMs, videoAgeMs } = facts;
  const m = say.m.status;
  switch (facts.connection) {
    case "opening":
      return status("hold", m.connecting, facts.connectionWords);
    case "ended":
      return status("hold", m.over, facts.connectionWords);
    case "lost":
      return status("stop", m.lost, m.lostDetail(facts.connectionWords));
    case "open":
      break;
  }
  if (telemetry === null) return status("hold", m.connected, m.firstWord);
  if (telemetryAgeMs === null || telemetryAgeMs > TELEMETRY_AGE_MS_MAX) {
    const title = telemetryAgeMs === null ? m.notHeard : m.notHeardFor(say.age(telemetryAgeMs));
    return status("stop", title, m.notHeardDetail);
  }
  if (telemetry.state === "emergency_stopped") return ofRobot(telemetry, facts, say);
  if (facts.estopAsked) return status("stop", m.stopping, m.stoppingDetail);
  if (videoAgeMs === null) return status("hold", m.connected, m.firstPicture);
  if (videoAgeMs > VIDEO_AGE_MS_MAX) {
    return status("stop", m.pictureOld(say.age(videoAgeMs)), m.pictureOldDetail);
  }
  const { release } = facts.deadman;
  if (release !== null && telemetry.state === "ready") {
    return status("hold", `${say.m.release[release]}.`, m.countAgain);
  }
  return ofRobot(telemetry, facts, say);
}

/** How good the link is, for a word beside the number; never colour alone. */
export function latencyWord(latencyMs: number | null, ageMs: number): "good" | "fair" | "slow" | "lost" {
  if (latencyMs === null || ageMs > TELEMETRY_AGE_MS_MAX) return "lost";
  if (latencyMs <= 150) return "good";
  return latencyMs <= 350 ? "fair" : "slow";
}

/** What sets the speed limit, in a few words; empty when nothing does. */
export function limitWords(t: Telemetry, say: Say): string {
  const reason = say.reason(t.limitReason);
  switch (reason.code) {
    case "none":
    case "policy-cap":
      return "";
    case "latency":
      return t.loopLatencyMs === null ? say.m.limit.latency : say.m.limit.latencyOf(say.age(t.loopLatencyMs));
    case "obstacle-near":
    case "obstacle-ahead":
      return say.m.limit.obstacle;
    case "blind-cap":
      return say.m.limit.blind;
    default:
      return say.m.within(reason.words);
  }
}

/** Why a drive ended, in words, from the stable code that the robot gives. */
export function endedWords(why: string, say: Say): string {
  const m = say.m.ended;
  switch (why) {
    case "released":
      return m.released;
    case "driver-gone":
      return m.driverGone;
    case "expired":
      return m.expired;
    case "fenced":
      return m.fenced;
    case "stopping":
      return m.stopping;
    default:
      return m.other(why);
  }
}
