/** Places on the ground, on the sphere that protocol/src/units.rs uses. */
import type { Messages } from "./words/words";

export interface GeoPoint {
  readonly latDeg: number;
  readonly lonDeg: number;
}

const EARTH_RADIUS_M = 6_371_008.8;
const RAD = Math.PI / 180;

/** Metres east and north of `origin`, in the plane that touches the sphere there. */
export function enuM(point: GeoPoint, origin: GeoPoint): { eastM: number; northM: number } {
  return {
    eastM: (point.lonDeg - origin.lonDeg) * RAD * Math.cos(origin.latDeg * RAD) * EARTH_RADIUS_M,
    northM: (point.latDeg - origin.latDeg) * RAD * EARTH_RADIUS_M,
  };
}

export function offsetM(origin: GeoPoint, eastM: number, northM: number): GeoPoint {
  return {
    latDeg: origin.latDeg + northM / EARTH_RADIUS_M / RAD,
    lonDeg: origin.lonDeg + eastM / (EARTH_RADIUS_M * Math.cos(origin.latDeg * RAD)) / RAD,
  };
}

/** A place as a robot sees it that looks towards `headingDeg`: metres ahead of it and to its left. */
export function aheadOf(
  robot: GeoPoint,
  headingDeg: number,
  point: GeoPoint,
): { forwardM: number; leftM: number } {
  const { eastM, northM } = enuM(point, robot);
  const [sin, cos] = [Math.sin(headingDeg * RAD), Math.cos(headingDeg * RAD)];
  return { forwardM: eastM * sin + northM * cos, leftM: northM * sin - eastM * cos };
}

/** The inverse of `aheadOf`. */
export function placeAhead(
  robot: GeoPoint,
  headingDeg: number,
  { forwardM, leftM }: { readonly forwardM: number; readonly leftM: number },
): GeoPoint {
  const [sin, cos] = [Math.sin(headingDeg * RAD), Math.cos(headingDeg * RAD)];
  return offsetM(robot, forwardM * sin - leftM * cos, forwardM * cos + leftM * sin);
}

export function distanceM(a: GeoPoint, b: GeoPoint): number {
  const { eastM, northM } = enuM(b, a);
  return Math.hypot(eastM, northM);
}

/** Direction from `a` to `b`, clockwise from true north, 0 to 360. */
export function bearingDeg(a: GeoPoint, b: GeoPoint): number {
  const { eastM, northM } = enuM(b, a);
  return (Math.atan2(eastM, northM) / RAD + 360) % 360;
}

/** The smallest turn from one heading to another, −180 to 180, positive to the right. */
export function turnDeg(fromDeg: number, toDeg: number): number {
  return ((((toDeg - fromDeg) % 360) + 540) % 360) - 180;
}

/** A direction in words, for a turn in degrees (positive right). */
export function turnWords(turn: number, m: Messages["turn"]): string {
  const size = Math.abs(turn);
  if (size < 8) return m.straight;
  if (size < 30) return turn > 0 ? m.slightlyRight : m.slightlyLeft;
  if (size < 120) return turn > 0 ? m.right : m.left;
  return m.behind;
}

/** Length of a route in metres. */
export function routeLengthM(points: readonly GeoPoint[]): number {
  return points.reduce((sum, point, i) => {
    const before = points[i - 1];
    return before === undefined ? 0 : sum + distanceM(before, point);
  }, 0);
}
