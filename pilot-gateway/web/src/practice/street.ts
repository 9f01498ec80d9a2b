/** A street to drive in while there is no robot: flat shading, painter's algorithm, the cockpit's own camera. */
import { STANDARD_CAMERA as CAMERA } from "../core/camera";

export interface Pose {
  readonly eastM: number;
  readonly northM: number;
  readonly headingRad: number;
}

type Point = readonly [number, number, number];

export interface Box {
  readonly east: readonly [number, number];
  readonly north: readonly [number, number];
  readonly up: readonly [number, number];
  readonly colour: readonly [number, number, number];
}

/** Nearer than this, ahead of the robot's middle, the lens sees nothing. */
const NEAR_M = 0.45;

export function box(
  e0: number,
  e1: number,
  n0: number,
  n1: number,
  up: number,
  colour: Box["colour"],
  from = 0,
): Box {
  return { east: [e0, e1], north: [n0, n1], up: [from, up], colour };
}

const HOUSES: readonly Box[] = [
  ...Array.from({ length: 9 }, (_, i) =>
    box(-14, -3 - (i % 3) * 0.4, -20 + i * 13, -8.5 + i * 13, 6 + ((i * 7) % 5), [
      138 - i * 3,
      130 - (i % 4) * 7,
      120,
    ]),
  ),
  ...[0, 1, 2, 4, 5, 6].map((i) =>
    box(13, 24, -20 + i * 15, -7 + i * 15, 7 + ((i * 5) % 4), [150, 122 + i * 2, 102]),
  ),
];

/** Trees, a bin and people. */
const FURNITURE: readonly Box[] = [
  ...[8, 22, 55, 70].map((n) => box(1.5, 1.75, n, n + 0.25, 3, [78, 62, 48])),
  ...[8, 22, 55, 70].map((n) => box(0.6, 2.6, n - 0.8, n + 1.1, 5, [52, 74, 58], 2.6)),
  box(-1.9, -1.4, 12, 12.5, 1, [60, 92, 110]),
  box(-0.9, -0.45, 33, 33.4, 1.7, [43, 69, 98]),
  box(0.7, 1.1, 26, 26.3, 1.65, [140, 59, 59]),
];

interface Strip {
  readonly east: readonly [number, number];
  readonly colour: string;
}

const STRIPS: readonly Strip[] = [
  { east: [-3, 2], colour: "#9b988f" },
  { east: [2, 2.3], colour: "#c9c5ba" },
  { east: [2.3, 10], colour: "#4c4f52" },
  { east: [10, 13], colour: "#95928a" },
];

/** `things`: what stands between the houses. */
export function drawStreet(canvas: CanvasRenderingContext2D, pose: Pose, things = FURNITURE): void {
  const sin = Math.sin(pose.headingRad);
  const cos = Math.cos(pose.headingRad);
  const local = (east: number, north: number, up: number): Point => {
    const [e, n] = [east - pose.eastM, north - pose.northM];
    return [e * sin + n * cos, n * sin - e * cos, up];
  };
  const fill = (points: readonly Point[], colour: string) => {
    const clipped = clip(points);
    if (clipped.length < 3) return;
    canvas.fillStyle = colour;
    canvas.beginPath();
    for (const [forward, left, up] of clipped) {
      const pixel = CAMERA.project(forward, left, up);
      if (pixel !== null) canvas.lineTo(pixel.x, pixel.y);
    }
    canvas.fill();
  };

  const sky = canvas.createLinearGradient(0, 0, 0, CAMERA.horizonPx);
  sky.addColorStop(0, "#8fb0c6");
  sky.addColorStop(1, "#dfe3df");
  canvas.fillStyle = sky;
  canvas.fillRect(0, 0, CAMERA.widthPx, CAMERA.horizonPx + 1);
  canvas.fillStyle = "#7f7c74";
  canvas.fillRect(0, CAMERA.horizonPx, CAMERA.widthPx, CAMERA.heightPx);
  for (const { east, colour } of STRIPS) {
    for (let n = Math.floor(pose.northM) - 12; n < pose.northM + 90; n += 6) {
      fill(
        [local(east[0], n, 0), local(east[1], n, 0), local(east[1], n + 6, 0), local(east[0], n + 6, 0)],
        colour,
      );
    }
  }
  for (let n = Math.floor(pose.northM) - 6; n < pose.northM + 30; n += 1.5) {
    fill([local(-3, n, 0), local(2, n, 0), local(2, n + 0.03, 0), local(-3, n + 0.03, 0)], "#7d7a72");
  }
  for (const e of [-1.3, 0.35]) {
    fill(
      [
        local(e, pose.northM - 6, 0),
        local(e + 0.03, pose.northM - 6, 0),
        local(e + 0.03, 100, 0),
        local(e, 100, 0),
      ],
      "#7d7a72",
    );
  }
  const far = (b: Box) => {
    const e = (b.east[0] + b.east[1]) / 2 - pose.eastM;
    const n = (b.north[0] + b.north[1]) / 2 - pose.northM;
    return Math.hypot(e, n);
  };
  for (const b of [...HOUSES, ...things].sort((x, y) => far(y) - far(x))) drawBox(b, pose, local, fill);
}

function drawBox(
  b: Box,
  pose: Pose,
  local: (east: number, north: number, up: number) => Point,
  fill: (points: readonly Point[], colour: string) => void,
): void {
  const { east, north, up } = b;
  const shade = (k: number) => `rgb(${b.colour.map((c) => Math.round(c * k)).join(" ")})`;
  const wall = (e0: number, n0: number, e1: number, n1: number, k: number) => {
    fill([local(e0, n0, up[0]), local(e1, n1, up[0]), local(e1, n1, up[1]), local(e0, n0, up[1])], shade(k));
    const length = Math.hypot(e1 - e0, n1 - n0);
    if (length < 5) return;
    for (let d = 1.2; d + 1.2 < length; d += 2.6) {
      for (let z = 1.2; z + 1.4 < up[1]; z += 2.8) {
        const at = (s: number): [number, number] => [
          e0 + ((e1 - e0) * s) / length,
          n0 + ((n1 - n0) * s) / length,
        ];
        const [ea, na] = at(d);
        const [eb, nb] = at(d + 1.2);
        fill([local(ea, na, z), local(eb, nb, z), local(eb, nb, z + 1.4), local(ea, na, z + 1.4)], "#3f474d");
      }
    }
  };
  if (pose.northM < north[0]) wall(east[0], north[0], east[1], north[0], 0.8);
  if (pose.northM > north[1]) wall(east[0], north[1], east[1], north[1], 0.7);
  if (pose.eastM < east[0]) wall(east[0], north[0], east[0], north[1], 1.05);
  if (pose.eastM > east[1]) wall(east[1], north[0], east[1], north[1], 0.95);
}

/** Cuts a polygon at the near plane. */
function clip(points: readonly Point[]): readonly Point[] {
  const out: Point[] = [];
  points.forEach((a, i) => {
    const b = points[(i + 1) % points.length] ?? a;
    if (a[0] >= NEAR_M) out.push(a);
    if (a[0] >= NEAR_M !== b[0] >= NEAR_M) {
      const k = (NEAR_M - a[0]) / (b[0] - a[0]);
      out.push([NEAR_M, a[1] + (b[1] - a[1]) * k, a[2] + (b[2] - a[2]) * k]);
    }
  });
  return out;
}
