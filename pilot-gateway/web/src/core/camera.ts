/**
 * The front camera, so that things on the ground can be drawn into its picture: pinhole, 0.6 m above the ground,
 * looking 5° down, 90° wide, a little ahead of the robot's middle. Coordinates are the robot's: metres forward and to
 * the left of its middle, and up from the ground.
 */
export const CAMERA = {
  heightM: 0.6,
  forwardM: 0.25,
  pitchDeg: -5,
  hfovDeg: 90,
  widthPx: 1280,
  heightPx: 720,
} as const;

const PITCH_RAD = (CAMERA.pitchDeg * Math.PI) / 180;
const FOCAL_PX = CAMERA.widthPx / 2 / Math.tan((CAMERA.hfovDeg * Math.PI) / 360);
/** Nothing nearer than this to the lens is drawn: its pixel would run away to infinity. */
const NEAR_M = 0.15;

export interface Pixel {
  readonly x: number;
  readonly y: number;
  /** Distance along the optical axis, metres. */
  readonly depthM: number;
}

/** Where a point appears in the picture (it may lie outside); null when it is behind the lens. */
export function project(forwardM: number, leftM: number, upM = 0): Pixel | null {
  const up = upM - CAMERA.heightM;
  const ahead = forwardM - CAMERA.forwardM;
  const depthM = ahead * Math.cos(PITCH_RAD) + up * Math.sin(PITCH_RAD);
  const rise = -ahead * Math.sin(PITCH_RAD) + up * Math.cos(PITCH_RAD);
  if (depthM < NEAR_M) return null;
  return {
    x: CAMERA.widthPx / 2 - (leftM / depthM) * FOCAL_PX,
    y: CAMERA.heightPx / 2 - (rise / depthM) * FOCAL_PX,
    depthM,
  };
}

/** The place on flat ground that a pixel shows; null at and above the horizon. */
export function groundAt(x: number, y: number): { readonly forwardM: number; readonly leftM: number } | null {
  const left = (CAMERA.widthPx / 2 - x) / FOCAL_PX;
  const rise = (CAMERA.heightPx / 2 - y) / FOCAL_PX;
  const up = Math.sin(PITCH_RAD) + rise * Math.cos(PITCH_RAD);
  if (up > -1e-3) return null;
  const depthM = -CAMERA.heightM / up;
  const ahead = (Math.cos(PITCH_RAD) - rise * Math.sin(PITCH_RAD)) * depthM;
  return { forwardM: ahead + CAMERA.forwardM, leftM: left * depthM };
}

/** The part of the picture that a screen shows which it fills: the rest is cut off on two sides. */
export interface Crop {
  /** Screen pixels for one of the picture. */
  readonly scale: number;
  readonly leftPx: number;
  readonly topPx: number;
  readonly rightPx: number;
  readonly bottomPx: number;
}

export function cropOf(widthPx: number, heightPx: number): Crop {
  const scale = Math.max(widthPx / CAMERA.widthPx, heightPx / CAMERA.heightPx) || 1;
  const [half, tall] = [widthPx / scale / 2, heightPx / scale / 2];
  const [x, y] = [CAMERA.widthPx / 2, CAMERA.heightPx / 2];
  return { scale, leftPx: x - half, rightPx: x + half, topPx: y - tall, bottomPx: y + tall };
}

export const WHOLE: Crop = cropOf(CAMERA.widthPx, CAMERA.heightPx);

/** The picture's row of the horizon. */
export const HORIZON_PX = CAMERA.heightPx / 2 + Math.tan(PITCH_RAD) * FOCAL_PX;
