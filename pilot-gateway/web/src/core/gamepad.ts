/**
 * Gamepads of any make: what each control means, how a stick's value is shaped, and the wizard that learns a gamepad by
 * watching the pilot's hands. A gamepad drives only while its deadman is held.
 */
import type { Stick } from "./input";
import { list, number, object } from "./json";
import { clamp } from "./units";

/** What a gamepad reports: axes −1 to 1, buttons 0 to 1. */
export interface PadState {
  readonly axes: readonly number[];
  readonly buttons: readonly number[];
}

/** One control. An axis has the value at which it rests and the one that it has when moved as asked. */
export type Source =
  | { readonly kind: "button"; readonly index: number }
  | { readonly kind: "axis"; readonly index: number; readonly rest: number; readonly full: number };

export interface StickShape {
  /** Share of the way that counts as rest. */
  readonly deadZone: number;
  /** 0: as the hand moves; 1: gentle around rest, the full value at the end. */
  readonly expo: number;
}

export interface GamepadMapping {
  readonly forward: Source;
  /** Null: the other way of `forward`. */
  readonly back: Source | null;
  readonly left: Source;
  /** Null: the other way of `left`. */
  readonly right: Source | null;
  /** Any of them held: the driver is there. */
  readonly deadman: readonly Source[];
  readonly estop: Source;
  /** Lets the robot's own autonomy drive while held; null where the pilot wants none. */
  readonly go: Source | null;
  readonly shape: StickShape;
}

export const DEAD_ZONE_MAX = 0.5;
const HELD = 0.5;
const INDEX_MAX = 128;

const axis = (index: number, full: number): Source => ({ kind: "axis", index, rest: 0, full });
const button = (index: number): Source => ({ kind: "button", index });

/** The layout that browsers call "standard": left stick, any shoulder button or trigger, B stops, A lets drive. */
export const STANDARD: GamepadMapping = {
  forward: axis(1, -1),
  back: null,
  left: axis(0, -1),
  right: null,
  deadman: [4, 5, 6, 7].map(button),
  estop: button(1),
  go: button(0),
  shape: { deadZone: 0.08, expo: 0.3 },
};

/** How far a control is moved the way that it was taught: 1 in full, below 0 the other way. */
export function movedTo(source: Source, pad: PadState): number {
  if (source.kind === "button") return clamp(pad.buttons[source.index] ?? 0, 0, 1);
  const value = pad.axes[source.index];
  // An axis that is not there is at rest.
  if (value === undefined || !Number.isFinite(value)) return 0;
  return clamp((value - source.rest) / (source.full - source.rest), -1, 1);
}

/** A stick's value with its dead zone and curve; 0 stays 0 and 1 stays 1. */
export function shaped(value: number, { deadZone, expo }: StickShape): number {
  const size = Math.abs(clamp(value, -1, 1));
  if (size <= deadZone) return 0;
  const way = (size - deadZone) / (1 - deadZone);
  return Math.sign(value) * ((1 - expo) * way + expo * way ** 3);
}

export function shapedStick(stick: Stick, shape: StickShape): Stick {
  return { forward: shaped(stick.forward, shape), left: shaped(stick.left, shape) };
}

export interface PadReading {
  readonly stick: Stick;
  readonly deadman: boolean;
  readonly estop: boolean;
  readonly go: boolean;
}

function held(source: Source | null, pad: PadState): boolean {
  return source !== null && movedTo(source, pad) > HELD;
}

/** Both ways of a movement: one axis, or two controls against each other. */
function both(one: Source, other: Source | null, pad: PadState): number {
  if (other !== null) return Math.max(0, movedTo(one, pad)) - Math.max(0, movedTo(other, pad));
  return one.kind === "axis" ? movedTo(one, pad) : Math.max(0, movedTo(one, pad));
}

export function readPad(mapping: GamepadMapping, pad: PadState): PadReading {
  const raw = {
    forward: both(mapping.forward, mapping.back, pad),
    left: both(mapping.left, mapping.right, pad),
  };
  return {
    stick: shapedStick(raw, mapping.shape),
    deadman: mapping.deadman.some((source) => held(source, pad)),
    estop: held(mapping.estop, pad),
    go: held(mapping.go, pad),
  };
}

// ---- the wizard ----------------------------------------------------------------------------------------------

export type TeachStep = "rest" | "forward" | "back" | "left" | "right" | "deadman" | "estop" | "go" | "done";

export interface Teaching {
  readonly step: TeachStep;
  /** Everything untouched, as it was at the beginning. */
  readonly rest: PadState | null;
  readonly taught: Readonly<Partial<Record<TeachStep, Source | null>>>;
  /** What moves now, since when; null while all is at rest. */
  readonly moving: { readonly source: Source; readonly sinceMs: number } | null;
  /** A control was taken: it must come to rest before the next one counts. */
  readonly settling: boolean;
  /** That control. */
  readonly learnt: Source | null;
  /** The control that moves already means something else. */
  readonly taken: boolean;
}

export const TEACH: Teaching = {
  step: "rest",
  rest: null,
  taught: {},
  moving: null,
  settling: false,
  learnt: null,
  taken: false,
};

const MOVED = 0.6;
const QUIET = 0.3;
/** Moved this long, it was meant. */
const MEANT_MS = 200;
/** A control that stays this long where it was not at first, and that nobody was asked to move, rests there. */
const RESTS_MS = 600;

function furthest(rest: PadState, now: PadState): { source: Source; way: number } | null {
  let best: { source: Source; way: number } | null = null;
  now.buttons.forEach((value, index) => {
    const way = Math.abs(value - (rest.buttons[index] ?? 0));
    if (best === null || way > best.way) best = { source: button(index), way };
  });
  now.axes.forEach((value, index) => {
    const from = rest.axes[index] ?? 0;
    const way = Math.abs(value - from);
    // The end of its way, not where it happens to be: a stick is rarely pushed to the very end.
    const full = value > from ? 1 : -1;
    if (way > (best?.way ?? 0)) best = { source: { kind: "axis", index, rest: from, full }, way };
  });
  return best;
}

function sameControl(a: Source, b: Source): boolean {
  if (a.kind !== b.kind || a.index !== b.index) return false;
  return (
    a.kind === "button" || b.kind === "button" || Math.sign(a.full - a.rest) === Math.sign(b.full - b.rest)
  );
}

/** Whether a control is spoken for; both ways of an axis belong to a movement that has no second control. */
function isTaken(source: Source, taught: Teaching["taught"]): boolean {
  return (Object.entries(taught) as [TeachStep, Source | null][]).some(([step, other]) => {
    if (other === null) return false;
    const whole = (step === "forward" || step === "left") && other.kind === "axis" && source.kind === "axis";
    return whole ? other.index === source.index : sameControl(source, other);
  });
}

/** After `step`: a stick moves both ways, a button needs another for the other way. */
function after(step: TeachStep, source: Source | null): TeachStep {
  switch (step) {
    case "rest":
      return "forward";
    case "forward":
      return source?.kind === "axis" ? "left" : "back";
    case "back":
      return "left";
    case "left":
      return source?.kind === "axis" ? "deadman" : "right";
    case "right":
      return "deadman";
    case "deadman":
      return "estop";
    case "estop":
      return "go";
    case "go":
    case "done":
      return "done";
  }
}

/** Steps that a pilot may leave out. */
export function canSkip(step: TeachStep): boolean {
  return step === "back" || step === "go";
}

export function skipStep(teaching: Teaching): Teaching {
  if (!canSkip(teaching.step)) return teaching;
  const taught = { ...teaching.taught, [teaching.step]: null };
  return { ...teaching, taught, step: after(teaching.step, null), moving: null, taken: false };
}

/** The wizard after a look at the gamepad. */
export function teach(before: Teaching, now: PadState, nowMs: number): Teaching {
  if (before.step === "done") return before;
  if (before.rest === null) return before;
  const far = furthest(before.rest, now);
  if (before.settling) return settle(before, far, now, nowMs);
  if (far === null || far.way < MOVED) return { ...before, moving: null, taken: false };
  if (before.moving === null || !sameControl(before.moving.source, far.source)) {
    return { ...before, moving: { source: far.source, sinceMs: nowMs }, taken: false };
  }
  if (isTaken(far.source, before.taught)) return { ...before, taken: true };
  if (nowMs - before.moving.sinceMs < MEANT_MS) return before;
  const taught = { ...before.taught, [before.step]: far.source };
  const step = after(before.step, far.source);
  return { ...before, taught, step, moving: null, settling: true, learnt: far.source, taken: false };
}

/**
 * Waits until what was learnt is let go. Triggers that are axes are at 0 until they are touched first and rest at −1 from then
 * on: where such an axis stays is its rest.
 */
function settle(before: Teaching, far: ReturnType<typeof furthest>, now: PadState, nowMs: number): Teaching {
  if (far === null || far.way < QUIET) return { ...before, settling: false, moving: null };
  const { source } = far;
  if (before.learnt !== null && sameControl(before.learnt, source)) return { ...before, moving: null };
  if (before.moving === null || !sameControl(before.moving.source, source)) {
    return { ...before, moving: { source, sinceMs: nowMs } };
  }
  if (source.kind !== "axis" || nowMs - before.moving.sinceMs < RESTS_MS) return before;
  const rests = now.axes[source.index] ?? 0;
  const axes = before.rest?.axes.map((value, i) => (i === source.index ? rests : value)) ?? [];
  const moved = (taught: Source | null): Source | null =>
    taught?.kind === "axis" && taught.index === source.index && Math.abs(taught.full - rests) >= QUIET
      ? { ...taught, rest: rests }
      : taught;
  const taught = Object.fromEntries(
    Object.entries(before.taught).map(([step, each]) => [step, moved(each)] as const),
  );
  return { ...before, rest: { axes, buttons: before.rest?.buttons ?? [] }, taught, moving: null };
}

/** The pilot says that nothing is touched: the wizard begins. */
export function atRest(teaching: Teaching, now: PadState): Teaching {
  return { ...teaching, rest: now, step: "forward", settling: false };
}

/** What was taught; null before the end. */
export function mappingOf({ step, taught }: Teaching, shape: StickShape): GamepadMapping | null {
  const { forward, left, deadman, estop } = taught;
  if (step !== "done" || !forward || !left || !deadman || !estop) return null;
  return {
    forward,
    back: taught.back ?? null,
    left,
    right: taught.right ?? null,
    deadman: [deadman],
    estop,
    go: taught.go ?? null,
    shape,
  };
}

// ---- kept by the browser -------------------------------------------------------------------------------------

function parseSource(value: unknown): Source | null {
  const s = object(value);
  const index = number(s["index"], -1);
  if (!Number.isInteger(index) || index < 0 || index > INDEX_MAX) return null;
  if (s["kind"] === "button") return button(index);
  const [rest, full] = [number(s["rest"], 0), number(s["full"], 0)];
  if (s["kind"] !== "axis" || Math.abs(full - rest) < QUIET) return null;
  return { kind: "axis", index, rest, full };
}

export function parseShape(value: unknown, otherwise: StickShape): StickShape {
  const s = object(value);
  return {
    deadZone: clamp(number(s["deadZone"], otherwise.deadZone), 0, DEAD_ZONE_MAX),
    expo: clamp(number(s["expo"], otherwise.expo), 0, 1),
  };
}

/** A mapping as it was kept; null when a part without which one may not drive is missing. */
export function parseMapping(value: unknown): GamepadMapping | null {
  const m = object(value);
  const [forward, left, estop] = [m["forward"], m["left"], m["estop"]].map(parseSource);
  const deadman = list(m["deadman"])
    .map(parseSource)
    .filter((source) => source !== null);
  if (!forward || !left || !estop || deadman.length === 0) return null;
  return {
    forward,
    back: parseSource(m["back"]),
    left,
    right: parseSource(m["right"]),
    deadman,
    estop,
    go: parseSource(m["go"]),
    shape: parseShape(m["shape"], STANDARD.shape),
  };
}
