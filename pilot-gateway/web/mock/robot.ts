/**
 * A pretended robot: takes drive packets, moves a point along a street, answers with telemetry and pictures. It
 * shows what the cockpit must show; the real rules are the robot agent's.
 */
import { STANDARD_CAMERA } from "../src/core/camera";
import { type GeoPoint, offsetM } from "../src/core/geo";
import { approach } from "../src/core/units";
import type { LinkEvents } from "../src/io/backend";
import { drawStreet, type Pose } from "../src/practice/street";
import { type DriveCommand, decodeDrive } from "../src/protocol/drive";
import { decodeEstop, encodeEstop } from "../src/protocol/estop";
import { createMockAutonomy } from "./autonomy";

const TICK_MS = 25;
const STATES = { idle: 0, ready: 1, driving: 2, stopped: 3, emergency: 4 } as const;
const REASONS = {
  none: 0,
  estop: 2,
  commandStale: 3,
  videoStale: 4,
  latency: 5,
  obstacle: 7,
  released: 10,
  rearm: 11,
};

/** What goes wrong on this drive. */
export type Fault = "none" | "slow-link" | "frozen-picture" | "obstacle" | "link-loss";

export interface MockRobot {
  readonly drive: (packet: Uint8Array) => void;
  readonly estop: (packet: Uint8Array) => void;
  readonly estopNow: () => void;
  readonly setGoal: (id: number, to: GeoPoint) => void;
  readonly cancelGoal: () => void;
  readonly position: () => GeoPoint;
  readonly odometerM: () => number;
  readonly streams: () => readonly MediaStream[];
  readonly close: () => void;
}

export function createMockRobot(
  origin: GeoPoint,
  events: LinkEvents,
  fault: Fault,
  epoch: bigint,
): MockRobot {
  let pose: Pose = { eastM: -0.6, northM: 0, headingRad: 0 };
  let speed = 0;
  let yaw = 0;
  let odometerM = 0;
  let latched = false;
  let needsRest = false;
  let command: DriveCommand | null = null;
  let commandAtMs = 0;
  let seq = 0;
  const startMs = performance.now();
  const autonomy = createMockAutonomy(events.session);
  const here = () => offsetM(origin, pose.eastM, pose.northM);
  const headingDeg = () => (((pose.headingRad * 180) / Math.PI + 3600) % 360) % 360;
  const canvases = [
    [1280, 720],
    [640, 360],
  ].map(([width = 0, height = 0]) => Object.assign(document.createElement("canvas"), { width, height }));

  const latencyMs = (ms: number): number => {
    const wave = 14 * Math.sin(ms / 300) + 9 * Math.sin(ms / 97);
    if (fault === "slow-link") return Math.round(330 + 3 * wave);
    if (fault === "frozen-picture" && ms > 6_000) return Math.min(60_000, Math.round(86 + ms - 6_000));
    return Math.round(86 + wave);
  };

  const decide = (ms: number): { state: number; reason: number } => {
    if (latched) return { state: STATES.emergency, reason: REASONS.estop };
    if (command === null || performance.now() - commandAtMs > 300) {
      return { state: STATES.stopped, reason: REASONS.commandStale };
    }
    if (latencyMs(ms) > 500) {
      needsRest = true;
      return { state: STATES.stopped, reason: REASONS.videoStale };
    }
    if (fault === "obstacle" && pose.northM > 6 && command.linearMmps > 0) {
      return { state: STATES.stopped, reason: REASONS.obstacle };
    }
    if (!command.deadman) needsRest = false;
    if (needsRest) return { state: STATES.stopped, reason: REASONS.rearm };
    if (!command.deadman) return { state: STATES.ready, reason: REASONS.released };
    return { state: STATES.driving, reason: REASONS.none };
  };

  const step = () => {
    const ms = performance.now() - startMs;
    const { state, reason } = decide(ms);
    const limit = Math.min(1.5, 0.35 / (latencyMs(ms) / 1000));
    const goes = state === STATES.driving && command !== null;
    const own = autonomy.velocity(command, here(), headingDeg());
    const wantSpeed = goes && command ? Math.min(limit, own?.mps ?? command.linearMmps / 1000) : 0;
    const wantYaw = goes && command ? (own?.radps ?? command.angularMradps / 1000) : 0;
    const dt = TICK_MS / 1000;
    speed = approach(speed, wantSpeed, dt * (wantSpeed === 0 ? 3 : 1.5));
    yaw = approach(yaw, wantYaw, dt * 5);
    odometerM += Math.abs(speed) * dt;
    const headingRad = pose.headingRad - yaw * dt;
    pose = {
      headingRad,
      eastM: pose.eastM + Math.sin(headingRad) * speed * dt,
      northM: pose.northM + Math.cos(headingRad) * speed * dt,
    };
    if (seq++ % 2 === 0 && !(fault === "link-loss" && ms > 8_000)) sendTelemetry(ms, state, reason, limit);
  };

  function sendTelemetry(ms: number, state: number, reason: number, limit: number): void {
    const at = here();
    const bytes = new Uint8Array(80);
    const v = new DataView(bytes.buffer);
    const limited = latencyMs(ms) > 233 ? REASONS.latency : REASONS.none;
    bytes.set([2, 1, state, reason]);
    v.setUint32(4, seq, true);
    v.setBigUint64(8, epoch, true);
    v.setBigUint64(16, BigInt(Math.round(ms) + 1_000), true);
    v.setUint32(28, command?.clientMs ?? 0, true);
    v.setUint32(32, command?.seq ?? 0, true);
    // The path to the pretended robot takes no time: pretend a round trip as well.
    v.setUint16(36, Math.max(0, performance.now() - commandAtMs - 61), true);
    v.setUint16(38, Math.min(65_534, latencyMs(ms)), true);
    v.setInt16(40, Math.round(speed * 1000), true);
    v.setInt16(42, Math.round(yaw * 1000), true);
    v.setUint16(44, Math.round((state === STATES.emergency ? 0 : limit) * 1000), true);
    bytes.set([state === STATES.emergency ? REASONS.estop : limited, 78], 46);
    v.setInt32(48, Math.round(at.latDeg * 1e7), true);
    v.setInt32(52, Math.round(at.lonDeg * 1e7), true);
    v.setUint16(56, Math.round(headingDeg() * 100) % 36_000, true);
    v.setUint16(58, 120, true);
    bytes.set([1, 14], 60);
    v.setUint16(62, 0xffff, true);
    v.setUint32(64, Math.round(odometerM * 10), true);
    v.setUint32(68, 30_000 - (Math.round(ms) % 10_000), true);
    bytes[72] = 1 | 16 | (autonomy.drives() ? 32 : 0);
    v.setUint32(76, Math.round(ms * 0.34), true);
    events.telemetry(bytes);
  }

  const draw = () => {
    if (fault === "frozen-picture" && performance.now() - startMs > 6_000) return;
    if (fault === "link-loss" && performance.now() - startMs > 8_000) return;
    canvases.forEach((canvas, camera) => {
      const context = canvas.getContext("2d");
      if (context === null) return;
      context.setTransform(canvas.width / 1280, 0, 0, canvas.height / 720, 0, 0);
      drawStreet(context, camera === 0 ? pose : { ...pose, headingRad: pose.headingRad + Math.PI });
      // A still scene would not be sent again: a pixel at the horizon changes with every frame.
      context.fillStyle = `rgb(${seq % 255} 150 150)`;
      context.fillRect(0, STANDARD_CAMERA.horizonPx, 1, 1);
    });
  };

  draw();
  const timers = [setInterval(step, TICK_MS), setInterval(draw, 50)];
  return {
    drive: (packet) => {
      const decoded = decodeDrive(packet);
      if (!decoded.ok) return;
      command = decoded.value;
      commandAtMs = performance.now();
    },
    estop: (packet) => {
      const decoded = decodeEstop(packet);
      if (!decoded.ok) return;
      const { action, seq: asked } = decoded.value;
      if (action === "stop") latched = true;
      const refuse = action === "clear" && command?.deadman === true;
      if (action === "clear" && !refuse) latched = false;
      const answer = action === "stop" ? "stopped" : refuse ? "clear-refused" : "cleared";
      events.estop(encodeEstop({ action: answer, seq: asked, epoch }));
    },
    estopNow: () => {
      latched = true;
    },
    setGoal: (id, to) => autonomy.set(id, to, here()),
    cancelGoal: autonomy.cancel,
    position: here,
    odometerM: () => odometerM,
    streams: () => canvases.map((canvas) => canvas.captureStream(20)),
    close: () => timers.forEach(clearInterval),
  };
}
