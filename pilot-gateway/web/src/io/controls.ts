/** Keyboard, gamepad and focus of the page, gathered for the control loop. */
import { type GoalKey, goalKey } from "../core/goal";
import { type Controls, type DriveKey, driveKey, type Stick } from "../core/input";
import { nowMs } from "./clock";

/** After a gamepad vanished in the driver's hand, nothing is held for this long. */
const GAMEPAD_LOST_MS = 1_000;
/** Shoulder buttons and triggers of the standard layout: any of them is the deadman. */
const DEADMAN_BUTTONS = [4, 5, 6, 7];
const ESTOP_BUTTON = 1;
/** A of the standard layout: held, it lets the robot's own autonomy drive. */
const GO_BUTTON = 0;
const GO_KEY = "KeyG";

export interface ControlsReading {
  readonly controls: Controls;
  readonly focused: boolean;
  readonly visible: boolean;
  readonly gamepadLost: boolean;
  readonly gamepadThere: boolean;
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
  readonly goalKey: (key: GoalKey) => void;
  /** Whether the cross of a goal is being moved: then drive keys move it. */
  readonly aiming: () => boolean;
}

/** Whether keys go into a text now. They drive nothing then; the stop still works by its button. */
function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLInputElement || target instanceof HTMLTextAreaElement;
}

export function openControls(presses: Presses): ControlsSource {
  const keys = new Set<DriveKey>();
  let slow = false;
  let pad: Stick | null = null;
  let goKey = false;
  let goPointer = false;
  let lostAtMs = Number.NEGATIVE_INFINITY;
  let gamepadHeld = false;
  let estopButtonDown = false;
  const stop = new AbortController();
  const { signal } = stop;

  const releaseAll = () => {
    keys.clear();
    slow = false;
    pad = null;
    goKey = false;
    goPointer = false;
  };
  const onKey = (event: KeyboardEvent) => {
    if (isTyping(event.target)) return;
    const down = event.type === "keydown";
    if (event.code === "Space") {
      // Also keeps Space from pressing whatever button has the focus.
      event.preventDefault();
      if (down && !event.repeat) presses.estop();
      return;
    }
    slow = event.shiftKey;
    if (event.code === "KeyH" && down && !event.repeat && !event.ctrlKey && !event.altKey && !event.metaKey) {
      presses.horn();
      return;
    }
    if (!down && event.code === GO_KEY) goKey = false;
    const key = driveKey(event.code);
    if (!down && key !== null) keys.delete(key);
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const act = goalKey(event.code, presses.aiming(), event.shiftKey);
    if (act !== null) {
      event.preventDefault();
      const aimed = presses.aiming();
      if (down && (!event.repeat || act.act === "move")) presses.goalKey(act);
      // What was held to drive is not held to aim.
      if (!aimed && presses.aiming()) releaseAll();
      return;
    }
    if (event.code === GO_KEY) {
      event.preventDefault();
      if (down && !event.repeat) goKey = true;
      return;
    }
    if (key === null) return;
    event.preventDefault();
    // A key that repeats was pressed before focus was lost: it must be pressed anew.
    if (down && !event.repeat) keys.add(key);
  };
  window.addEventListener("keydown", onKey, { signal, capture: true });
  window.addEventListener("keyup", onKey, { signal, capture: true });
  window.addEventListener("blur", releaseAll, { signal });
  // A key that is held while the focus goes into a text would never be released.
  window.addEventListener("focusin", (event) => isTyping(event.target) && releaseAll(), { signal });
  window.addEventListener("pagehide", releaseAll, { signal });
  document.addEventListener("visibilitychange", releaseAll, { signal });

  const gamepad = (): { there: boolean; stick: Stick | null; go: boolean } => {
    const found = navigator.getGamepads().find((g) => g?.connected && g.mapping === "standard") ?? null;
    if (found === null) return { there: false, stick: null, go: false };
    const pressed = (index: number) => found.buttons[index]?.pressed === true;
    if (pressed(ESTOP_BUTTON) && !estopButtonDown) presses.estop();
    estopButtonDown = pressed(ESTOP_BUTTON);
    const go = pressed(GO_BUTTON);
    if (!DEADMAN_BUTTONS.some(pressed)) return { there: true, stick: null, go };
    return { there: true, go, stick: { forward: -(found.axes[1] ?? 0), left: -(found.axes[0] ?? 0) } };
  };

  return {
    read: () => {
      const { there, stick, go } = gamepad();
      if (gamepadHeld && !there) lostAtMs = nowMs();
      gamepadHeld = stick !== null || go;
      return {
        controls: { keys: new Set(keys), slow, gamepad: stick, pad, go: go || goKey || goPointer },
        focused: document.hasFocus(),
        visible: document.visibilityState === "visible",
        gamepadLost: nowMs() - lostAtMs < GAMEPAD_LOST_MS,
        gamepadThere: there,
      };
    },
    setPad: (stick) => {
      pad = stick;
    },
    setGo: (held) => {
      goPointer = held;
    },
    close: () => stop.abort(),
  };
}
