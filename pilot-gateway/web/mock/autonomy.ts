/** A pretended autonomy: turns towards the goal and goes there. What counts is the robot agent's (protocol/SPEC.md §4.7). */
import { bearingDeg, distanceM, type GeoPoint, turnDeg } from "../src/core/geo";
import { clamp } from "../src/core/units";
import type { DriveCommand } from "../src/protocol/drive";
import type { GoalState } from "../src/protocol/session";

const ARRIVED_M = 0.5;
const DISTANCE_M_MAX = 500;

export interface MockAutonomy {
  readonly set: (id: number, to: GeoPoint, at: GeoPoint) => void;
  readonly cancel: () => void;
  /** What the wheels get in place of the command's stick; null where that counts. */
  readonly velocity: (
    command: DriveCommand | null,
    at: GeoPoint,
    headingDeg: number,
  ) => { mps: number; radps: number } | null;
  readonly drives: () => boolean;
}

export function createMockAutonomy(say: (text: string) => void): MockAutonomy {
  let goal: { id: number; to: GeoPoint; state: GoalState } | null = null;
  let leftM: number | null = null;

  const tell = (state: GoalState, detail = "", id = goal?.id) =>
    say(JSON.stringify({ type: "goal", id, state, detail, distance_m: leftM }));
  const become = (state: "going" | "paused") => {
    if (goal === null || goal.state === state) return;
    goal.state = state;
    tell(state);
  };
  const end = (state: GoalState, detail = "") => {
    if (goal !== null) tell(state, detail);
    goal = null;
  };

  return {
    set: (id, to, at) => {
      const wayM = distanceM(at, to);
      if (wayM > DISTANCE_M_MAX) {
        tell("refused", `that is ${wayM.toFixed(0)} m away: at most ${DISTANCE_M_MAX} m are allowed`, id);
        return;
      }
      end("cancelled", "another goal took its place");
      goal = { id, to, state: "set" };
      leftM = wayM;
      tell("set");
    },
    cancel: () => end("cancelled"),
    velocity: (command, at, headingDeg) => {
      if (goal === null || command === null) return null;
      const lets = command.autonomy && command.linearMmps === 0 && command.angularMradps === 0;
      if (!command.deadman) {
        if (goal.state === "going") become("paused");
        return null;
      }
      if (!lets) {
        if (goal.state !== "set") end("taken_over", "you drove by hand");
        return null;
      }
      become("going");
      const before = leftM ?? 0;
      leftM = distanceM(at, goal.to);
      if (leftM < ARRIVED_M) {
        end("arrived");
        return null;
      }
      if (Math.floor(before) !== Math.floor(leftM)) tell("going");
      const aside = (-turnDeg(headingDeg, bearingDeg(at, goal.to)) * Math.PI) / 180;
      return { mps: Math.abs(aside) > 0.5 ? 0 : Math.min(0.8, leftM), radps: clamp(1.5 * aside, -0.8, 0.8) };
    },
    drives: () => goal?.state === "going",
  };
}
