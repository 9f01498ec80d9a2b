/** The gamepads that the browser sees now. */
import { type GamepadMapping, type PadState, STANDARD } from "../core/gamepad";

export interface FoundPad {
  readonly id: string;
  readonly state: PadState;
  /** How it is read; null while nobody taught it. */
  readonly mapping: GamepadMapping | null;
  /** The pilot taught it. */
  readonly taught: boolean;
}

type Mappings = Readonly<Record<string, GamepadMapping>>;

function found(pad: Gamepad, mappings: Mappings): FoundPad {
  const taught = Object.hasOwn(mappings, pad.id) ? mappings[pad.id] : undefined;
  return {
    id: pad.id,
    state: {
      axes: pad.axes,
      // Some drivers say "pressed" without a value.
      buttons: pad.buttons.map((b) => (b.pressed ? Math.max(b.value, 0.51) : b.value)),
    },
    mapping: taught ?? (pad.mapping === "standard" ? STANDARD : null),
    taught: taught !== undefined,
  };
}

/** All gamepads, those first that can drive. Empty where the browser gives none to this page. */
export function gamepads(mappings: Mappings): readonly FoundPad[] {
  if (typeof navigator.getGamepads !== "function") return [];
  let pads: readonly (Gamepad | null)[];
  try {
    pads = [...navigator.getGamepads()];
  } catch {
    // A page may be forbidden to see gamepads.
    return [];
  }
  const all = pads.filter((pad) => pad?.connected === true).map((pad) => found(pad as Gamepad, mappings));
  const rank = (pad: FoundPad) => (pad.taught ? 0 : pad.mapping !== null ? 1 : 2);
  return all.sort((a, b) => rank(a) - rank(b));
}
