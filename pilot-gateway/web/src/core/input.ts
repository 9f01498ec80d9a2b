/**
 * Keyboard, gamepad and thumb pad become one wish: speed and turn rate, and whether the driver is there.
 * Keys are on or off, so a wish from keys is ramped; a stick is already smooth.
 */
import { approach, clamp } from "./units";

export type DriveKey = "forward" | "back" | "left" | "right";

const KEYS: Readonly<Record<string, DriveKey>> = {
  KeyW: "forward",
  ArrowUp: "forward",
  KeyS: "back",
  ArrowDown: "back",
  KeyA: "left",
  ArrowLeft: "left",
  KeyD: "right",
  ArrowRight: "right",
};

/** The drive key of a `KeyboardEvent.code`. Codes are places on the keyboard, so WASD works on any layout. */
export function driveKey(code: string): DriveKey | null {
  return KEYS[code] ?? null;
}

/** A stick or pad: −1 to 1, forward and left positive; its dead zone and curve are applied already. */
export interface Stick {
  readonly forward: number;
  readonly left: number;
}

export interface Controls {
  readonly keys: ReadonlySet<DriveKey>;
  /** Share of the full speed and turn that is asked for: less while Shift is held. */
  readonly scale: number;
  /** A gamepad whose deadman button is held, with its stick; null when it is not held. */
  readonly gamepad: Stick | null;
  /** The thumb pad while a thumb is on it. */
  readonly pad: Stick | null;
  /** What lets the robot's own autonomy drive is held. */
  readonly go: boolean;
}

export interface Wish {
  /** The driver asks to drive, or lets the robot: a drive key, the gamepad's deadman, the thumb pad or `go` is held. */
  readonly wants: boolean;
  /** The robot's own autonomy may drive: `go` is held, and nothing is steered by hand. */
  readonly letsDrive: boolean;
  readonly linearMps: number;
  readonly angularRadps: number;
}

export const AT_REST: Wish = { wants: false, letsDrive: false, linearMps: 0, angularRadps: 0 };

export interface Reach {
  readonly forwardMps: number;
  readonly backMps: number;
  readonly turnRadps: number;
}

/** What full stick asks for. The robot decides what it obeys. */
export const REACH: Reach = { forwardMps: 1.5, backMps: 0.6, turnRadps: 1.0 };

const LINEAR_MPS2 = 2.5;
const ANGULAR_RADPS2 = 4;

function target(controls: Controls, reach: Reach): Wish {
  const { keys } = controls;
  const has = (key: DriveKey) => (keys.has(key) ? 1 : 0);
  const stick = controls.pad ?? controls.gamepad;
  const forward = keys.size > 0 ? has("forward") - has("back") : (stick?.forward ?? 0);
  const left = keys.size > 0 ? has("left") - has("right") : (stick?.left ?? 0);
  const scale = clamp(controls.scale, 0, 1);
  return {
    wants: keys.size > 0 || stick !== null || controls.go,
    letsDrive: controls.go && keys.size === 0 && forward === 0 && left === 0,
    linearMps: forward * scale * (forward < 0 ? reach.backMps : reach.forwardMps),
    // Left turns the picture to the left, also backwards: the driver looks forward all the time.
    angularRadps: left * scale * reach.turnRadps,
  };
}

/**
 * The wish after `dtMs`. Rising is ramped; letting go is at once, for nothing may delay a stop.
 */
export function nextWish(before: Wish, controls: Controls, reach: Reach, dtMs: number): Wish {
  const wanted = target(controls, reach);
  if (!wanted.wants) return AT_REST;
  // At rest at once: what comes now is the autonomy's, not the rest of a hand's.
  if (wanted.letsDrive) return { ...AT_REST, wants: true, letsDrive: true };
  const dtS = clamp(dtMs, 0, 100) / 1000;
  const slowing = Math.abs(wanted.linearMps) < Math.abs(before.linearMps);
  return {
    wants: true,
    letsDrive: false,
    linearMps: approach(before.linearMps, wanted.linearMps, dtS * LINEAR_MPS2 * (slowing ? 2 : 1)),
    angularRadps: approach(before.angularRadps, wanted.angularRadps, dtS * ANGULAR_RADPS2),
  };
}
