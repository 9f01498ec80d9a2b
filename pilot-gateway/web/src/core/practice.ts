/**
 * A course to practise on: gates between cones, somebody who walks across, and a box to stop in. This moves the practice
 * robot and keeps the score; nothing here drives a real one. East and north are metres from the start.
 */
import { approach, clamp } from "./units";

export interface Spot {
  readonly eastM: number;
  readonly northM: number;
}

export interface Gate extends Spot {
  readonly widthM: number;
}

/** Driven in this order; the last is the box to stop in. */
export const GATES: readonly Gate[] = [
  { eastM: 0, northM: 5, widthM: 1.8 },
  { eastM: -1.4, northM: 9.5, widthM: 1.6 },
  { eastM: 0.6, northM: 14, widthM: 1.5 },
  { eastM: -1.6, northM: 18.5, widthM: 1.4 },
  { eastM: 0.2, northM: 23.5, widthM: 1.3 },
  { eastM: -0.4, northM: 32, widthM: 1.6 },
];

export const CONES: readonly Spot[] = GATES.flatMap(({ eastM, northM, widthM }) => [
  { eastM: eastM - widthM / 2, northM },
  { eastM: eastM + widthM / 2, northM },
]);

/** The box to stop in is reached this near to its middle. */
export const BOX_RADIUS_M = 0.75;
const ROBOT_RADIUS_M = 0.32;
const CONE_RADIUS_M = 0.12;
const WALKER_RADIUS_M = 0.3;

/** Somebody crosses here once the robot is near. */
const WALKER = { northM: 27.5, fromM: 4, toM: -3.6, mps: 1.1, startsNorthM: 23 };

const ACCELERATION_MPS2 = 1.5;
const BRAKE_MPS2 = 3;
const YAW_RADPS2 = 5;
const SPEED_MPS_MAX = 1.5;
/** The robot itself goes slower before what is ahead, and stops short of it. */
const NEAR_M = 1.4;
const STOP_M = 0.25;

export interface Wheels {
  readonly held: boolean;
  readonly linearMps: number;
  readonly angularRadps: number;
}

export interface Practice extends Spot {
  readonly headingRad: number;
  readonly speedMps: number;
  readonly yawRadps: number;
  readonly odometerM: number;
  /** The next gate; the number of gates when all are passed. */
  readonly gate: number;
  readonly ranS: number;
  readonly moved: boolean;
  readonly finished: boolean;
  /** Cones that were touched, each once. */
  readonly touched: readonly number[];
  /** How often the robot had to stop itself before something. */
  readonly saves: number;
  readonly blocked: boolean;
  /** How far the one who crosses has come; null before. */
  readonly walkerM: number | null;
  /** What the robot goes at most, for what is ahead. */
  readonly limitMps: number;
  /** How far beside the box's middle the robot stopped. */
  readonly stopErrorM: number | null;
}

export const START: Practice = {
  eastM: 0,
  northM: 0,
  headingRad: 0,
  speedMps: 0,
  yawRadps: 0,
  odometerM: 0,
  gate: 0,
  ranS: 0,
  moved: false,
  finished: false,
  touched: [],
  saves: 0,
  blocked: false,
  walkerM: null,
  limitMps: SPEED_MPS_MAX,
  stopErrorM: null,
};

/** Where the one who crosses is; null before and after. */
export function walkerAt({ walkerM }: Practice): Spot | null {
  if (walkerM === null) return null;
  const eastM = WALKER.fromM - walkerM;
  return eastM < WALKER.toM ? null : { eastM, northM: WALKER.northM };
}

/** Free way straight ahead, metres. */
function aheadM(state: Practice): number {
  const [sin, cos] = [Math.sin(state.headingRad), Math.cos(state.headingRad)];
  const walker = walkerAt(state);
  const things = CONES.map((cone) => ({ ...cone, radiusM: CONE_RADIUS_M }));
  const all = walker === null ? things : [...things, { ...walker, radiusM: WALKER_RADIUS_M }];
  let free = Number.POSITIVE_INFINITY;
  for (const { eastM, northM, radiusM } of all) {
    const [e, n] = [eastM - state.eastM, northM - state.northM];
    const [ahead, aside] = [e * sin + n * cos, Math.abs(n * sin - e * cos)];
    if (ahead > 0 && aside < ROBOT_RADIUS_M + radiusM)
      free = Math.min(free, ahead - ROBOT_RADIUS_M - radiusM);
  }
  return free;
}

function touches(state: Spot): readonly number[] {
  return CONES.flatMap(({ eastM, northM }, i) =>
    Math.hypot(eastM - state.eastM, northM - state.northM) < ROBOT_RADIUS_M + CONE_RADIUS_M ? [i] : [],
  );
}

function moved(state: Practice, wheels: Wheels, limitMps: number, dtS: number): Practice {
  const top = wheels.linearMps > 0 ? Math.min(limitMps, wheels.linearMps) : Math.max(-0.6, wheels.linearMps);
  const wanted = wheels.held ? top : 0;
  const rate = Math.abs(wanted) < Math.abs(state.speedMps) ? BRAKE_MPS2 : ACCELERATION_MPS2;
  const speedMps = approach(state.speedMps, wanted, dtS * rate);
  const yawRadps = approach(state.yawRadps, wheels.held ? wheels.angularRadps : 0, dtS * YAW_RADPS2);
  const headingRad = state.headingRad - yawRadps * dtS;
  return {
    ...state,
    speedMps,
    yawRadps,
    headingRad,
    eastM: state.eastM + Math.sin(headingRad) * speedMps * dtS,
    northM: state.northM + Math.cos(headingRad) * speedMps * dtS,
    odometerM: state.odometerM + Math.abs(speedMps) * dtS,
    moved: state.moved || Math.abs(speedMps) > 0.01,
  };
}

/** The course after `dtS`: `capMps` is what the link's latency leaves. */
export function stepPractice(before: Practice, wheels: Wheels, capMps: number, dtS: number): Practice {
  const free = aheadM(before);
  const near = free < NEAR_M ? Math.max(0, (free - STOP_M) * 0.9) : SPEED_MPS_MAX;
  const limitMps = clamp(Math.min(near, capMps), 0, SPEED_MPS_MAX);
  const state = moved(before, wheels, limitMps, dtS);
  const blocked = free < STOP_M + 0.02 && wheels.held && wheels.linearMps > 0;
  const walking = before.walkerM !== null || state.northM > WALKER.startsNorthM;
  const gate = passed(state);
  const stopped = gate >= GATES.length && Math.abs(state.speedMps) < 0.01;
  const finished = before.finished || stopped;
  const last = GATES[GATES.length - 1] ?? state;
  return {
    ...state,
    limitMps,
    gate,
    blocked,
    saves: before.saves + (blocked && !before.blocked ? 1 : 0),
    touched: [...new Set([...before.touched, ...touches(state)])],
    walkerM: walking ? (before.walkerM ?? 0) + WALKER.mps * dtS : null,
    // The clock runs from the first move to the stop in the box.
    ranS: before.ranS + (state.moved && !finished ? dtS : 0),
    finished,
    stopErrorM:
      before.stopErrorM ??
      (stopped ? Math.hypot(state.eastM - last.eastM, state.northM - last.northM) : null),
  };
}

/** The number of gates that lie behind: one counts when its line is crossed between its cones, the box when reached. */
function passed(state: Practice): number {
  const gate = GATES[state.gate];
  if (gate === undefined) return state.gate;
  const aside = Math.abs(state.eastM - gate.eastM);
  const isBox = state.gate === GATES.length - 1;
  const through = isBox
    ? Math.hypot(aside, state.northM - gate.northM) < BOX_RADIUS_M
    : state.northM >= gate.northM && state.northM < gate.northM + 1 && aside < gate.widthM / 2;
  return through ? state.gate + 1 : state.gate;
}

export interface Score {
  readonly points: number;
  /** What was taken off, each 0 or more. */
  readonly time: number;
  readonly cones: number;
  readonly saves: number;
  readonly stop: number;
  readonly missed: number;
}

const POINTS = 1_000;
/** So long takes a calm drive. */
const PAR_S = 45;

export function scoreOf(state: Practice): Score {
  const time = Math.round(Math.max(0, state.ranS - PAR_S) * 8);
  const cones = state.touched.length * 60;
  const saves = state.saves * 80;
  const stop = Math.round((state.stopErrorM ?? 0) * 100);
  const missed = (GATES.length - state.gate) * 150;
  return {
    points: Math.max(0, POINTS - time - cones - saves - stop - missed),
    time,
    cones,
    saves,
    stop,
    missed,
  };
}
