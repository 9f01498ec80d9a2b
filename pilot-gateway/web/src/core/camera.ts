/**
 * The front camera, so that things on the ground can be drawn into its picture: a pinhole, mounted as the calibration
 * says. Coordinates are the robot's: metres forward and to the left of its middle, and up from the ground.
 */
import { number, object } from "./json";
import { clamp } from "./units";

/** How the camera is mounted, and how wide the robot is. */
export interface Calibration {
  readonly heightM: number;
  /** Ahead of the robot's middle. */
  readonly forwardM: number;
  /** Up is positive. */
  readonly pitchDeg: number;
  readonly hfovDeg: number;
  /** From the robot's middle to the outside of a wheel. */
  readonly halfWidthM: number;
}

/** The simulated robot's, and where a pilot begins with another one. */
export const SIMULATED: Calibration = {
  heightM: 0.6,
  forwardM: 0.25,
  pitchDeg: -5,
  hfovDeg: 90,
  halfWidthM: 0.32,
};

/** What each value may be, and how finely it is set. */
export const CALIBRATION_RANGE: Readonly<Record<keyof Calibration, readonly [number, number, number]>> = {
  heightM: [0.1, 2, 0.01],
  forwardM: [-0.5, 1, 0.01],
  pitchDeg: [-45, 15, 0.5],
  hfovDeg: [40, 150, 1],
  halfWidthM: [0.1, 1, 0.01],
};

/** A calibration as it was kept; what is odd becomes the simulated robot's. */
export function parseCalibration(value: unknown): Calibration {
  const c = object(value);
  const of = (key: keyof Calibration) => {
    const [low, high] = CALIBRATION_RANGE[key];
    return clamp(number(c[key], SIMULATED[key]), low, high);
  };
  return {
    heightM: of("heightM"),
    forwardM: of("forwardM"),
    pitchDeg: of("pitchDeg"),
    hfovDeg: of("hfovDeg"),
    halfWidthM: of("halfWidthM"),
  };
}

export interface Pixel {
  readonly x: number;
  readonly y: number;
  /** Distance along the optical axis, metres. */
  readonly depthM: number;
}

/** A place on the ground as the robot sees it. */
export interface Ahead {
  readonly forwardM: number;
  readonly leftM: number;
}

export interface Camera {
  readonly calibration: Calibration;
  /** The drawing's size; real pictures are larger or smaller, and of the same form. */
  readonly widthPx: number;
  readonly heightPx: number;
  /** The picture's row of the horizon. */
  readonly horizonPx: number;
  /** Where a point appears in the picture (it may lie outside); null when it is behind the lens. */
  readonly project: (forwardM: number, leftM: number, upM?: number) => Pixel | null;
  /** The place on flat ground that a pixel shows; null at and above the horizon. */
  readonly groundAt: (x: number, y: number) => Ahead | null;
}

const WIDTH_PX = 1280;
/** Nothing nearer than this to the lens is drawn: its pixel would run away to infinity. */
const NEAR_M = 0.15;

/** `aspect` is the picture's width over its height. */
export function cameraOf(calibration: Calibration, aspect = 16 / 9): Camera {
  const heightPx = WIDTH_PX / aspect;
  const pitchRad = (calibration.pitchDeg * Math.PI) / 180;
  const [sin, cos] = [Math.sin(pitchRad), Math.cos(pitchRad)];
  const focalPx = WIDTH_PX / 2 / Math.tan((calibration.hfovDeg * Math.PI) / 360);
  return {
    calibration,
    widthPx: WIDTH_PX,
    heightPx,
    horizonPx: heightPx / 2 + (sin / cos) * focalPx,
    project: (forwardM, leftM, upM = 0) => {
      const up = upM - calibration.heightM;
      const ahead = forwardM - calibration.forwardM;
      const depthM = ahead * cos + up * sin;
      const rise = -ahead * sin + up * cos;
      if (depthM < NEAR_M) return null;
      return {
        x: WIDTH_PX / 2 - (leftM / depthM) * focalPx,
        y: heightPx / 2 - (rise / depthM) * focalPx,
        depthM,
      };
    },
    groundAt: (x, y) => {
      const left = (WIDTH_PX / 2 - x) / focalPx;
      const rise = (heightPx / 2 - y) / focalPx;
      const up = sin + rise * cos;
      if (up > -1e-3) return null;
      const depthM = -calibration.heightM / up;
      return { forwardM: (cos - rise * sin) * depthM + calibration.forwardM, leftM: left * depthM };
    },
  };
}

export const STANDARD_CAMERA: Camera = cameraOf(SIMULATED);

/** The part of the picture that a screen shows which it fills: the rest is cut off on two sides. */
export interface Crop {
  /** Screen pixels for one of the picture. */
  readonly scale: number;
  readonly leftPx: number;
  readonly topPx: number;
  readonly rightPx: number;
  readonly bottomPx: number;
}

export function cropOf(widthPx: number, heightPx: number, camera: Camera = STANDARD_CAMERA): Crop {
  const scale = Math.max(widthPx / camera.widthPx, heightPx / camera.heightPx) || 1;
  const [half, tall] = [widthPx / scale / 2, heightPx / scale / 2];
  const [x, y] = [camera.widthPx / 2, camera.heightPx / 2];
  return { scale, leftPx: x - half, rightPx: x + half, topPx: y - tall, bottomPx: y + tall };
}
