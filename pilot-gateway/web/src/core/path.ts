/**
 * Where the robot will go if it keeps speed and turn rate, and where it would come to rest if the link were cut
 * now: it drives on for the loop's latency and the watchdog's margin, then brakes.
 */
import { project } from "./camera";

const BRAKE_MPS2 = 3;
const MARGIN_S = 0.1;
/** The robot is a disc of this radius: its sides make the rails, its nose comes to rest at the line. */
const RADIUS_M = 0.32;
const STEP_M = 0.25;
/** The picture's lower edge, from the robot's middle. */
const NEAREST_M = 1.18;
/** The path is drawn this far even at walking pace, so that a turn can be judged before it is driven. */
const LENGTH_MIN_M = 3;
const LENGTH_MAX_M = 9;

/** Way to rest after a cut, metres. */
export function stoppingDistanceM(speedMps: number, loopLatencyMs: number): number {
  const speed = Math.abs(speedMps);
  return speed * (loopLatencyMs / 1000 + MARGIN_S) + (speed * speed) / (2 * BRAKE_MPS2);
}

/** A point of the arc after `distanceM`, `asideM` to the left of its middle. */
function onArc(distanceM: number, asideM: number, curvature: number): { forwardM: number; leftM: number } {
  const turn = distanceM * curvature;
  const forward = Math.abs(curvature) < 1e-4 ? distanceM : Math.sin(turn) / curvature;
  const left = Math.abs(curvature) < 1e-4 ? 0 : (1 - Math.cos(turn)) / curvature;
  return { forwardM: forward - asideM * Math.sin(turn), leftM: left + asideM * Math.cos(turn) };
}

export interface GroundPath {
  /** SVG path data in pixels of the front picture. */
  readonly left: string;
  readonly right: string;
  readonly stop: string;
  /** Where the words "stops here" go. */
  readonly label: { x: number; y: number } | null;
  readonly stopM: number;
}

/** The path to draw; null when the robot does not go forward. */
export function groundPath(speedMps: number, yawRadps: number, loopLatencyMs: number): GroundPath | null {
  if (speedMps < 0.05) return null;
  const curvature = yawRadps / Math.max(speedMps, 0.2);
  const lengthM = Math.min(LENGTH_MAX_M, Math.max(LENGTH_MIN_M, speedMps * 4));
  // Half a circle is enough: beyond it the path would come back towards the camera.
  const end = Math.min(lengthM, Math.abs(curvature) < 1e-4 ? lengthM : Math.PI / 2 / Math.abs(curvature));
  const side = (asideM: number): string => {
    let data = "";
    for (let d = 0.9; d <= end + 1e-9; d += STEP_M) {
      const { forwardM, leftM } = onArc(d, asideM, curvature);
      const pixel = project(forwardM, leftM);
      if (pixel !== null) data += `${data === "" ? "M" : "L"}${pixel.x.toFixed(1)} ${pixel.y.toFixed(1)}`;
    }
    return data;
  };
  const stopM = stoppingDistanceM(speedMps, loopLatencyMs);
  // What is nearer than the picture's lower edge is drawn there; its true length is in words.
  const drawnM = Math.min(Math.max(stopM + RADIUS_M, NEAREST_M), end);
  const [a, b] = [RADIUS_M, -RADIUS_M].map((aside) => {
    const { forwardM, leftM } = onArc(drawnM, aside, curvature);
    return project(forwardM, leftM);
  });
  const line = a && b ? `M${a.x.toFixed(1)} ${a.y.toFixed(1)}L${b.x.toFixed(1)} ${b.y.toFixed(1)}` : "";
  return {
    left: side(RADIUS_M),
    right: side(-RADIUS_M),
    stop: line,
    label: b ? { x: b.x + 14, y: b.y + 5 } : null,
    stopM,
  };
}
