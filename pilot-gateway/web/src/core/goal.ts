/**
 * Goals for the robot's own autonomy: what a driver set, what became of it, and how one is placed by keyboard. The robot
 * drives there only while the driver holds on; steering by hand takes over.
 */
import type { GoalState } from "../protocol/session";
import { type GeoPoint, offsetM } from "./geo";
import { driveKey } from "./input";

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
export function goalWords(goal: Goal | null, hold: string): GoalWords {
  if (goal === null) return { title: "No goal.", detail: "Click on the map, or press M." };
  const metres = goal.distanceM === null ? "" : `${goal.distanceM.toFixed(goal.distanceM < 10 ? 1 : 0)} m`;
  const why = goal.detail === "" ? "" : `${goal.detail}.`;
  switch (goal.state) {
    case "sent":
      return { title: "Asking the robot.", detail: "" };
    case "set":
      return { title: metres === "" ? "Goal set." : `Goal set, ${metres} away.`, detail: `Hold ${hold}.` };
    case "going":
      return {
        title: metres === "" ? "The robot drives itself." : `The robot drives itself, ${metres} to go.`,
        detail: "Let go to stop; steer to take over.",
      };
    case "paused":
      return { title: "The robot waits.", detail: `Hold ${hold} to go on.` };
    case "arrived":
      return { title: "The robot is there.", detail: "" };
    case "taken_over":
      return { title: "You took over.", detail: "Set a goal to let the robot drive again." };
    case "cancelled":
      return { title: "The goal is given up.", detail: why };
    case "failed":
      return { title: "The robot does not get there.", detail: why };
    case "refused":
      return { title: "The robot did not take the goal.", detail: why };
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

/** Where the cross begins: some metres ahead of the robot. */
export function firstAim(at: GeoPoint, headingDeg: number | null): GeoPoint {
  const heading = ((headingDeg ?? 0) * Math.PI) / 180;
  return offsetM(at, 5 * Math.sin(heading), 5 * Math.cos(heading));
}
