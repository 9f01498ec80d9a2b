/**
 * The practice robot: drives the course of core/practice.ts inside this page, with the delay of a real link put in between.
 * Its rules are simpler than a real robot's safety core; its packets are the same.
 */
import { STANDARD_CAMERA } from "../core/camera";
import { type GeoPoint, offsetM } from "../core/geo";
import { CONES, type Practice, START, stepPractice, walkerAt } from "../core/practice";
import type { LinkEvents } from "../io/backend";
import { nowMs } from "../io/clock";
import { type DriveCommand, decodeDrive } from "../protocol/drive";
import { decodeEstop, encodeEstop } from "../protocol/estop";
import { type Box, box, drawStreet } from "./street";

const TICK_MS = 25;
const STATES = { ready: 1, driving: 2, stopped: 3, emergency: 4 } as const;
const REASONS = { none: 0, estop: 2, commandStale: 3, latency: 5, near: 6, ahead: 7, released: 10 } as const;
const COMMAND_MS_MAX = 300;
/** Way that may pass unseen: above it, latency holds the speed down. */
const BLIND_M = 0.35;
const ORANGE = [226, 110, 40] as const;
const CLOTHES = [150, 60, 90] as const;
/** What the picture's own way into this page takes. */
const OWN_MS = 40;

export interface PracticeRobot {
  readonly drive: (packet: Uint8Array) => void;
  readonly estop: (packet: Uint8Array) => void;
  readonly estopNow: () => void;
  readonly streams: () => readonly MediaStream[];
  readonly close: () => void;
}

function things(state: Practice): readonly Box[] {
  const cones = CONES.map(({ eastM: e, northM: n }) => box(e - 0.1, e + 0.1, n - 0.1, n + 0.1, 0.6, ORANGE));
  const walker = walkerAt(state);
  if (walker === null) return cones;
  const { eastM: e, northM: n } = walker;
  return [...cones, box(e - 0.22, e + 0.22, n - 0.18, n + 0.18, 1.7, CLOTHES)];
}

export function createPracticeRobot(
  origin: GeoPoint,
  events: LinkEvents,
  epoch: bigint,
  delayMs: number,
  changed: (state: Practice) => void,
): PracticeRobot {
  const halfMs = delayMs / 2;
  const latencyMs = delayMs + OWN_MS;
  const startMs = nowMs();
  let state: Practice = START;
  let past: readonly { readonly atMs: number; readonly state: Practice }[] = [];
  let latched = false;
  let command: DriveCommand | null = null;
  let commandAtMs = Number.NEGATIVE_INFINITY;
  let seq = 0;
  let closed = false;
  const canvases = [
    [1280, 720],
    [640, 360],
  ].map(([width = 0, height = 0]) => Object.assign(document.createElement("canvas"), { width, height }));
  const later = (act: () => void) => {
    setTimeout(() => {
      if (!closed) act();
    }, halfMs);
  };

  const decide = (now: number): { state: number; reason: number } => {
    if (latched) return { state: STATES.emergency, reason: REASONS.estop };
    if (command === null || now - commandAtMs > COMMAND_MS_MAX) {
      return { state: STATES.stopped, reason: REASONS.commandStale };
    }
    if (!command.deadman) return { state: STATES.ready, reason: REASONS.released };
    if (state.blocked) return { state: STATES.stopped, reason: REASONS.ahead };
    return { state: STATES.driving, reason: REASONS.none };
  };

  const step = () => {
    const now = nowMs();
    const decided = decide(now);
    const held = decided.state === STATES.driving || decided.reason === REASONS.ahead;
    const wheels = {
      held,
      linearMps: (command?.linearMmps ?? 0) / 1000,
      angularRadps: (command?.angularMradps ?? 0) / 1000,
    };
    state = stepPractice(state, wheels, BLIND_M / (latencyMs / 1000), TICK_MS / 1000);
    past = [...past.filter((each) => now - each.atMs <= halfMs + 100), { atMs: now, state }];
    seq += 1;
    if (seq % 2 === 0) {
      const bytes = telemetry(now, decided);
      later(() => events.telemetry(bytes));
    }
    if (seq % 4 === 0) later(() => changed(state));
  };

  const telemetry = (now: number, { state: code, reason }: { state: number; reason: number }): Uint8Array => {
    const ms = now - startMs;
    const { latDeg, lonDeg } = offsetM(origin, state.eastM, state.northM);
    const headingDeg = (((state.headingRad * 180) / Math.PI) % 360) + 360;
    const bytes = new Uint8Array(80);
    const v = new DataView(bytes.buffer);
    const near = state.limitMps < Math.min(1.5, BLIND_M / (latencyMs / 1000)) - 0.01;
    const limitReason = near ? REASONS.near : latencyMs > 233 ? REASONS.latency : REASONS.none;
    bytes.set([2, 1, code, reason]);
    v.setUint32(4, seq, true);
    v.setBigUint64(8, epoch, true);
    v.setBigUint64(16, BigInt(Math.round(ms) + 1_000), true);
    v.setUint32(28, command?.clientMs ?? 0, true);
    v.setUint32(32, command?.seq ?? 0, true);
    v.setUint16(36, Math.min(65_000, Math.max(0, now - commandAtMs)), true);
    v.setUint16(38, latencyMs, true);
    v.setInt16(40, Math.round(state.speedMps * 1000), true);
    v.setInt16(42, Math.round(state.yawRadps * 1000), true);
    v.setUint16(44, Math.round((latched ? 0 : state.limitMps) * 1000), true);
    bytes.set([latched ? REASONS.estop : limitReason, 100], 46);
    v.setInt32(48, Math.round(latDeg * 1e7), true);
    v.setInt32(52, Math.round(lonDeg * 1e7), true);
    v.setUint16(56, Math.round(headingDeg * 100) % 36_000, true);
    v.setUint16(58, 10, true);
    bytes.set([1, 14], 60);
    v.setUint16(62, 0xffff, true);
    v.setUint32(64, Math.round(state.odometerM * 10), true);
    v.setUint32(68, 30_000, true);
    return bytes;
  };

  const draw = () => {
    const seen = past.find((each) => nowMs() - each.atMs <= halfMs)?.state ?? state;
    canvases.forEach((canvas, camera) => {
      const context = canvas.getContext("2d");
      if (context === null) return;
      context.setTransform(canvas.width / 1280, 0, 0, canvas.height / 720, 0, 0);
      const headingRad = camera === 0 ? seen.headingRad : seen.headingRad + Math.PI;
      drawStreet(context, { eastM: seen.eastM, northM: seen.northM, headingRad }, things(seen));
      // A still scene would not be sent again: a pixel at the horizon changes with every frame.
      context.fillStyle = `rgb(${seq % 255} 150 150)`;
      context.fillRect(0, STANDARD_CAMERA.horizonPx, 1, 1);
    });
  };

  draw();
  const timers = [setInterval(step, TICK_MS), setInterval(draw, 40)];
  return {
    drive: (packet) => {
      const decoded = decodeDrive(packet);
      if (!decoded.ok) return;
      later(() => {
        command = decoded.value;
        commandAtMs = nowMs();
      });
    },
    estop: (packet) => {
      const decoded = decodeEstop(packet);
      if (!decoded.ok) return;
      const { action, seq: asked } = decoded.value;
      later(() => {
        const refuse = action === "clear" && command?.deadman === true;
        if (action === "stop") latched = true;
        else if (!refuse) latched = false;
        const answer = action === "stop" ? "stopped" : refuse ? "clear-refused" : "cleared";
        later(() => events.estop(encodeEstop({ action: answer, seq: asked, epoch })));
      });
    },
    estopNow: () => {
      latched = true;
    },
    streams: () => canvases.map((canvas) => canvas.captureStream(25)),
    close: () => {
      closed = true;
      timers.forEach(clearInterval);
    },
  };
}
