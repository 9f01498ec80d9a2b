/** Keyboard, gamepad and focus of the page, gathered for the control loop. */
import { readPad, shapedStick } from "../core/gamepad";
import { GO_UP, type GoalKey, type GoButton, goalKey, nextGo } from "../core/goal";
import { type Controls, type DriveKey, driveKey, type Stick } from "../core/input";
import type { InputSettings } from "../core/preferences";
import { nowMs } from "./clock";
import { type FoundPad, gamepads } from "./gamepads";

/** After a gamepad vanished in the driver's hand, nothing is held for this long. */
const GAMEPAD_LOST_MS = 1_000;
const GO_KEY = "KeyG";
const HORN_KEY = "KeyH";
const REPLAY_KEY = "KeyR";
/** How fast a full stick moves the cross of a goal. */
const AIM_MPS = 4;

/** What the driver has in hand beside the keyboard: `untaught` is a gamepad that this page can't read yet. */
export type GamepadKind = "none" | "standard" | "taught" | "untaught";

export interface ControlsReading {
  readonly controls: Controls;
  readonly focused: boolean;
  readonly visible: boolean;
  readonly gamepadLost: boolean;
  readonly gamepad: GamepadKind;
}

export interface ControlsSource {
  readonly read: () => ControlsReading;
  readonly setPad: (stick: Stick | null) => void;
  /** The button on the page that lets the robot drive is held. */
  readonly setGo: (held: boolean) => void;
  readonly close: () => void;
}

/** What keys and buttons do at once. */
export interface Presses {
  readonly estop: () => void;
  readonly horn: () => void;
  readonly replay: () => void;
  readonly goalKey: (key: GoalKey) => void;
  /** Whether the cross of a goal is being moved: then drive keys move it. */
  readonly aiming: () => boolean;
  /** Whether there is a goal that the robot can still drive to. */
  readonly goalOpen: () => boolean;
}

/** Whether keys go into a text now. They drive nothing then; the stop still works by its button. */
function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLInputElement || target instanceof HTMLTextAreaElement;
}

/** A slider takes the arrows, but no text: Space stops the robot there too. */
function isSlider(target: EventTarget | null): boolean {
  return target instanceof HTMLInputElement && target.type === "range";
}

interface Held {
  readonly keys: Set<DriveKey>;
  slow: boolean;
  pad: Stick | null;
  goKey: boolean;
  goPointer: boolean;
}

function releaseAll(held: Held): void {
  held.keys.clear();
  held.slow = false;
  held.pad = null;
  held.goKey = false;
  held.goPointer = false;
}

/** A key down or up. */
function onKey(event: KeyboardEvent, held: Held, presses: Presses): void {
  if (isTyping(event.target) && !(event.code === "Space" && isSlider(event.target))) return;
  const down = event.type === "keydown";
  const first = down && !event.repeat;
  if (event.code === "Space") {
    // Also keeps Space from pressing whatever button has the focus.
    event.preventDefault();
    if (first) presses.estop();
    return;
  }
  held.slow = event.shiftKey;
  if (!down && event.code === GO_KEY) held.goKey = false;
  const key = driveKey(event.code);
  if (!down && key !== null) held.keys.delete(key);
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.code === HORN_KEY && first) presses.horn();
  if (event.code === REPLAY_KEY && first) presses.replay();
  // Enter on a button presses the button, unless a goal is being placed.
  const act = goalKey(event.code, presses.aiming(), event.shiftKey);
  if (act !== null) {
    event.preventDefault();
    const aimed = presses.aiming();
    if (down && (!event.repeat || act.act === "move")) presses.goalKey(act);
    // What was held to drive is not held to aim.
    if (!aimed && presses.aiming()) releaseAll(held);
    return;
  }
  if (event.code === GO_KEY) {
    event.preventDefault();
    if (first) held.goKey = true;
    return;
  }
  if (key === null) return;
  event.preventDefault();
  // A key that repeats was pressed before focus was lost: it must be pressed anew.
  if (first) held.keys.add(key);
}

function listen(held: Held, presses: Presses): AbortController {
  const stop = new AbortController();
  const { signal } = stop;
  const release = () => releaseAll(held);
  const key = (event: KeyboardEvent) => onKey(event, held, presses);
  window.addEventListener("keydown", key, { signal, capture: true });
  window.addEventListener("keyup", key, { signal, capture: true });
  window.addEventListener("blur", release, { signal });
  // A key that is held while the focus goes into a text would never be released.
  window.addEventListener("focusin", (event) => isTyping(event.target) && release(), { signal });
  window.addEventListener("pagehide", release, { signal });
  document.addEventListener("visibilitychange", release, { signal });
  return stop;
}

interface PadNow {
  readonly kind: GamepadKind;
  /** The stick while the deadman is held. */
  readonly stick: Stick | null;
  readonly go: boolean;
}

const NO_PAD: PadNow = { kind: "none", stick: null, go: false };

function padReader(presses: Presses): (pad: FoundPad | undefined, dtS: number) => PadNow {
  let estopDown = false;
  let goButton: GoButton = GO_UP;
  return (pad, dtS) => {
    if (pad === undefined) return NO_PAD;
    if (pad.mapping === null) return { ...NO_PAD, kind: "untaught" };
    const now = readPad(pad.mapping, pad.state);
    if (now.estop && !estopDown) presses.estop();
    estopDown = now.estop;
    const aiming = presses.aiming();
    const pressed = nextGo(goButton, now.go, { aiming, goalOpen: presses.goalOpen() });
    goButton = pressed.button;
    if (pressed.act !== null) presses.goalKey({ act: pressed.act });
    const moved = now.stick.forward !== 0 || now.stick.left !== 0;
    if (aiming && now.deadman) presses.goalKey({ act: "leave" });
    else if (aiming && moved) {
      const [northM, eastM] = [now.stick.forward * AIM_MPS * dtS, -now.stick.left * AIM_MPS * dtS];
      presses.goalKey({ act: "move", eastM, northM });
    }
    const kind = pad.taught ? "taught" : "standard";
    return { kind, go: pressed.go, stick: now.deadman ? now.stick : null };
  };
}

export function openControls(presses: Presses, settings: () => InputSettings): ControlsSource {
  const held: Held = { keys: new Set(), slow: false, pad: null, goKey: false, goPointer: false };
  const stop = listen(held, presses);
  const readPadNow = padReader(presses);
  let lostAtMs = Number.NEGATIVE_INFINITY;
  let padHeld = false;
  let readAtMs: number = nowMs();
  return {
    read: () => {
      const { gamepads: mappings, touch, slowShare } = settings();
      const now = nowMs();
      const dtS = Math.min(0.1, (now - readAtMs) / 1000);
      readAtMs = now;
      const pad = readPadNow(gamepads(mappings)[0], dtS);
      if (padHeld && (pad.kind === "none" || pad.kind === "untaught")) lostAtMs = now;
      padHeld = pad.stick !== null || pad.go;
      return {
        controls: {
          keys: new Set(held.keys),
          scale: held.slow ? slowShare : 1,
          gamepad: pad.stick,
          pad: held.pad === null ? null : shapedStick(held.pad, touch),
          go: pad.go || held.goKey || held.goPointer,
        },
        focused: document.hasFocus(),
        visible: document.visibilityState === "visible",
        gamepadLost: now - lostAtMs < GAMEPAD_LOST_MS,
        gamepad: pad.kind,
      };
    },
    setPad: (stick) => {
      held.pad = stick;
    },
    setGo: (on) => {
      held.goPointer = on;
    },
    close: () => stop.abort(),
  };
}
