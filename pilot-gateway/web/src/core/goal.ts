/**
 * Goals for the robot's own autonomy: what a driver set, what became of it, and how one is placed by keyboard. The robot
 * drives there only while the driver holds on; steering by hand takes over.
 */
import type { GoalState } from "../protocol/session";
import { type GeoPoint, offsetM } from "./geo";
import { driveKey } from "./input";
import type { Say } from "./say";

export interface Goal {
  /** This page's number for it. */
  readonly id: number;
  readonly at: GeoPoint;
  /** `sent`: the robot has not answered yet. */
  readonly state: GoalState | "sent";
  /** Why, in the robot's words; may be empty. */
  readonly detail: string;
  readonly distanceM: number | null;
}

export interface GoalWords {
  readonly title: string;
  readonly detail: string;
}

/** Whether it can still be driven to. */
export function isOpen(goal: Goal | null): goal is Goal {
  return goal !== null && ["sent", "set", "going", "paused"].includes(goal.state);
}

/** The goal after the robot said something about one; what is said about another changes nothing. */
export function afterWord(
  goal: Goal | null,
  word: { id: number; state: GoalState; detail: string; distance_m: number | null },
): Goal | null {
  if (goal === null || goal.id !== word.id) return goal;
  return { ...goal, state: word.state, detail: word.detail, distanceM: word.distance_m };
}

/** How a goal stands, in words. `hold` names what is to be held. */
export function goalWords(goal: Goal | null, hold: string, say: Say): GoalWords {
  const m = say.m.goal;
  if (goal === null) return { title: m.none, detail: m.noneDetail };
  const away = goal.distanceM === null ? null : say.distance(goal.distanceM);
  const why = goal.detail === "" ? "" : `${goal.detail}.`;
  switch (goal.state) {
    case "sent":
      return { title: m.asking, detail: "" };
    case "set":
      return { title: away === null ? m.set : m.setAway(away), detail: m.hold(hold) };
    case "going":
      return { title: away === null ? m.going : m.goingToGo(away), detail: m.goingDetail };
    case "paused":
      return { title: m.paused, detail: m.pausedDetail(hold) };
    case "arrived":
      return { title: m.arrived, detail: "" };
    case "taken_over":
      return { title: m.takenOver, detail: m.takenOverDetail };
    case "cancelled":
      return { title: m.cancelled, detail: why };
    case "failed":
      return { title: m.failed, detail: why };
    case "refused":
      return { title: m.refused, detail: why };
  }
}

/** What a key does to goals: move the cross on the map, set the goal there, leave. */
export type GoalKey =
  | { readonly act: "aim" | "set" | "leave" }
  | { readonly act: "move"; readonly eastM: number; readonly northM: number };

const STEP_M = 1;
const STEP_LONG_M = 5;

/** The part that a key plays; null for a key of another part. While the cross is moved, the drive keys move it. */
export function goalKey(code: string, aiming: boolean, shift: boolean): GoalKey | null {
  if (code === "KeyM") return { act: aiming ? "leave" : "aim" };
  if (code === "Escape") return { act: "leave" };
  if (!aiming) return null;
  if (code === "Enter" || code === "NumpadEnter") return { act: "set" };
  const step = shift ? STEP_LONG_M : STEP_M;
  switch (driveKey(code)) {
    case "forward":
      return { act: "move", eastM: 0, northM: step };
    case "back":
      return { act: "move", eastM: 0, northM: -step };
    case "left":
      return { act: "move", eastM: -step, northM: 0 };
    case "right":
      return { act: "move", eastM: step, northM: 0 };
    case null:
      return null;
  }
}

/** The button of a gamepad that lets the robot drive while held; a press of it also begins and sets a goal. */
export interface GoButton {
  readonly down: boolean;
  /** This press did something else already: it lets nothing drive. */
  readonly spent: boolean;
}

export const GO_UP: GoButton = { down: false, spent: false };

export function nextGo(
  before: GoButton,
  down: boolean,
  { aiming, goalOpen }: { readonly aiming: boolean; readonly goalOpen: boolean },
): { readonly button: GoButton; readonly act: "aim" | "set" | null; readonly go: boolean } {
  if (!down) return { button: GO_UP, act: null, go: false };
  if (before.down) return { button: before, act: null, go: !before.spent };
  if (aiming) return { button: { down, spent: true }, act: "set", go: false };
  if (!goalOpen) return { button: { down, spent: true }, act: "aim", go: false };
  return { button: { down, spent: false }, act: null, go: true };
}

/** Where the cross begins: some metres ahead of the robot. */
export function firstAim(at: GeoPoint, headingDeg: number | null): GeoPoint {
  const heading = ((headingDeg ?? 0) * Math.PI) / 180;
  return offsetM(at, 5 * Math.sin(heading), 5 * Math.cos(heading));
}
