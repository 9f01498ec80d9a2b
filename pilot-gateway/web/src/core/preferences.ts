/** What a pilot chose on this browser. Read from whatever was kept: what is odd becomes the default. */
import { type Calibration, parseCalibration } from "./camera";
import { type GamepadMapping, parseMapping, parseShape, type StickShape } from "./gamepad";
import { object } from "./json";
import { LANGUAGES, type Language } from "./language";
import { LENGTH_UNITS, type LengthUnit, SPEED_UNITS, type SpeedUnit } from "./say";
import { clamp } from "./units";

export interface InputSettings {
  /** The thumb pad on a touch screen. */
  readonly touch: StickShape;
  /** The thumb that drives. */
  readonly hand: "left" | "right";
  /** Whether the thumb pad is shown also where no finger is expected. */
  readonly thumbPad: "auto" | "always";
  /** Share of the full speed and turn that Shift leaves. */
  readonly slowShare: number;
  /** By the gamepad's own name. */
  readonly gamepads: Readonly<Record<string, GamepadMapping>>;
}

export interface Preferences {
  /** Null: as the browser asks for. */
  readonly language: Language | null;
  readonly speed: SpeedUnit;
  readonly length: LengthUnit;
  readonly inputs: InputSettings;
  /** How each robot's front camera is mounted, by the robot's id. */
  readonly cameras: Readonly<Record<string, Calibration>>;
}

/** More robots than this are not remembered. */
export const CAMERAS_MAX = 50;

/** More gamepads than this are not remembered: the oldest goes. */
export const GAMEPADS_MAX = 8;

export const PREFERENCES: Preferences = {
  language: null,
  speed: "m/s",
  length: "m",
  inputs: {
    touch: { deadZone: 0.08, expo: 0 },
    hand: "left",
    thumbPad: "auto",
    slowShare: 0.4,
    gamepads: {},
  },
  cameras: {},
};

function one<T extends string>(value: unknown, of: readonly T[], otherwise: T): T {
  return of.find((each) => each === value) ?? otherwise;
}

export function parsePreferences(value: unknown): Preferences {
  const p = object(value);
  const inputs = object(p["inputs"]);
  const was = PREFERENCES.inputs;
  const share = inputs["slowShare"];
  const gamepads = Object.entries(object(inputs["gamepads"])).flatMap(([id, kept]) => {
    const mapping = parseMapping(kept);
    return mapping === null ? [] : [[id, mapping] as const];
  });
  return {
    language: LANGUAGES.find((language) => language === p["language"]) ?? null,
    speed: one(p["speed"], SPEED_UNITS, PREFERENCES.speed),
    length: one(p["length"], LENGTH_UNITS, PREFERENCES.length),
    inputs: {
      touch: parseShape(inputs["touch"], was.touch),
      hand: one(inputs["hand"], ["left", "right"], was.hand),
      thumbPad: one(inputs["thumbPad"], ["auto", "always"], was.thumbPad),
      slowShare: typeof share === "number" && share >= 0 ? clamp(share, 0.1, 1) : was.slowShare,
      gamepads: Object.fromEntries(gamepads.slice(-GAMEPADS_MAX)),
    },
    cameras: Object.fromEntries(
      Object.entries(object(p["cameras"]))
        .slice(-CAMERAS_MAX)
        .map(([robot, kept]) => [robot, parseCalibration(kept)] as const),
    ),
  };
}

/** The preferences with a robot's camera calibrated, or as it was at first with null. */
export function withCamera(
  preferences: Preferences,
  robot: string,
  calibration: Calibration | null,
): Preferences {
  const others = Object.entries(preferences.cameras).filter(([each]) => each !== robot);
  const all = calibration === null ? others : [...others, [robot, calibration] as const];
  return { ...preferences, cameras: Object.fromEntries(all.slice(-CAMERAS_MAX)) };
}

/** The preferences with a gamepad taught, or forgotten with null. */
export function withGamepad(
  preferences: Preferences,
  id: string,
  mapping: GamepadMapping | null,
): Preferences {
  const others = Object.entries(preferences.inputs.gamepads).filter(([each]) => each !== id);
  const all = mapping === null ? others : [...others, [id, mapping] as const];
  const gamepads = Object.fromEntries(all.slice(-GAMEPADS_MAX));
  return { ...preferences, inputs: { ...preferences.inputs, gamepads } };
}
