/**
 * Where the robot will go if it keeps speed and turn rate, and where it would come to rest if the link were cut
 * now. The picture on the screen is old: since it was taken the robot has driven on, and a command that answers it
 * arrives later still. Both together are the loop's latency; after it comes the watchdog's margin, then the brakes. All
 * of it is measured from where the picture was taken, and drawn into that picture.
 */
import { type Camera, type Crop, cropOf, type Pixel, STANDARD_CAMERA } from "./camera";

const BRAKE_MPS2 = 3;
const MARGIN_S = 0.1;
const WHEEL_M = 0.07;
const STEP_M = 0.2;
/** Words and line keep this far from the picture's lower edge. */
const EDGE_PX = 10;
/** The path is drawn this far even at walking pace, so that a turn can be judged before it is driven. */
const LENGTH_MIN_M = 3;
const LENGTH_MAX_M = 9;

/** Way until the brakes act after a cut, metres. */
export function reactionM(speedMps: number, loopLatencyMs: number): number {
  return Math.abs(speedMps) * (loopLatencyMs / 1000 + MARGIN_S);
}

/** Way to rest after a cut, metres. */
export function stoppingDistanceM(speedMps: number, loopLatencyMs: number): number {
  return reactionM(speedMps, loopLatencyMs) + (speedMps * speedMps) / (2 * BRAKE_MPS2);
}

/** A point of the arc after `distanceM`, `asideM` to the left of its middle. */
function onArc(distanceM: number, asideM: number, curvature: number): { forwardM: number; leftM: number } {
  const turn = distanceM * curvature;
  const forward = Math.abs(curvature) < 1e-4 ? distanceM : Math.sin(turn) / curvature;
  const left = Math.abs(curvature) < 1e-4 ? 0 : (1 - Math.cos(turn)) / curvature;
  return { forwardM: forward - asideM * Math.sin(turn), leftM: left + asideM * Math.cos(turn) };
}

export interface GroundPath {
  /** SVG path data in pixels of the front picture: what each wheel will run over. */
  readonly wheels: readonly string[];
  /** The ground that the robot covers before it can rest. */
  readonly committed: string;
  /** The line at which its nose comes to rest. */
  readonly stop: string;
  /** Where the brakes begin to act; empty below the picture. */
  readonly brakes: string;
  /** Where the words about the brakes go. */
  readonly brakesLabel: { readonly x: number; readonly y: number } | null;
  /** The line's middle; the words about the stop go above it. */
  readonly label: { readonly x: number; readonly y: number } | null;
  readonly stopM: number;
  readonly reactionM: number;
  /** False when the robot would rest nearer than the picture shows: the line stands at its lower edge. */
  readonly stopInPicture: boolean;
}

function data(points: readonly (Pixel | null)[], closed: boolean): string {
  const seen = points.filter((p) => p !== null);
  if (seen.length < 2) return "";
  return `M${seen.map((p) => `${p.x.toFixed(1)} ${p.y.toFixed(1)}`).join("L")}${closed ? "Z" : ""}`;
}

/** The path to draw; null when the robot does not go forward. */
export function groundPath(
  speedMps: number,
  yawRadps: number,
  loopLatencyMs: number,
  camera: Camera = STANDARD_CAMERA,
  crop: Crop = cropOf(camera.widthPx, camera.heightPx, camera),
): GroundPath | null {
  if (speedMps < 0.05) return null;
  const { groundAt, project } = camera;
  // The robot is a disc: its wheels run along its sides, its nose comes to rest at the line.
  const radiusM = camera.calibration.halfWidthM;
  const curvature = yawRadps / Math.max(speedMps, 0.2);
  const nearestM = groundAt((crop.leftPx + crop.rightPx) / 2, crop.bottomPx - EDGE_PX)?.forwardM ?? 1;
  const stopM = stoppingDistanceM(speedMps, loopLatencyMs);
  const lengthM = Math.max(LENGTH_MIN_M, Math.min(LENGTH_MAX_M, speedMps * 4), stopM + radiusM + 1);
  // A quarter of a circle is enough: beyond it the path would come back towards the camera.
  const end = Math.min(lengthM, Math.abs(curvature) < 1e-4 ? lengthM : Math.PI / 2 / Math.abs(curvature));
  const at = (distanceM: number, asideM: number): Pixel | null => {
    const { forwardM, leftM } = onArc(distanceM, asideM, curvature);
    return project(forwardM, leftM);
  };
  const along = (fromM: number, toM: number, asideM: number): (Pixel | null)[] => {
    const points: (Pixel | null)[] = [];
    for (let d = fromM; d < toM; d += STEP_M) points.push(at(d, asideM));
    points.push(at(toM, asideM));
    return points;
  };
  const strip = (fromM: number, toM: number, leftM: number, rightM: number): string =>
    data([...along(fromM, toM, leftM), ...along(fromM, toM, rightM).reverse()], true);
  const beginM = Math.min(0.8, end / 2);
  const noseM = Math.min(stopM + radiusM, end);
  const stopInPicture = noseM >= nearestM;
  const lineM = Math.max(noseM, Math.min(nearestM, end));
  const brakesM = reactionM(speedMps, loopLatencyMs) + radiusM;
  const middle = at(lineM, 0);
  const brakesSeen = brakesM >= nearestM && brakesM < lineM;
  const brakesEnd = brakesSeen ? at(brakesM, -radiusM) : null;
  return {
    wheels: [strip(beginM, end, radiusM, radiusM - WHEEL_M), strip(beginM, end, WHEEL_M - radiusM, -radiusM)],
    committed: strip(Math.min(beginM, lineM), lineM, radiusM, -radiusM),
    stop: data([at(lineM, radiusM + 0.1), at(lineM, -radiusM - 0.1)], false),
    brakes: brakesSeen ? data([at(brakesM, radiusM), brakesEnd], false) : "",
    brakesLabel: brakesEnd === null ? null : { x: brakesEnd.x, y: brakesEnd.y },
    label: middle === null ? null : { x: middle.x, y: middle.y },
    stopM,
    reactionM: brakesM - radiusM,
    stopInPicture,
  };
}
