import { describe, expect, it } from "vitest";
import { GOAL_STATES } from "../protocol/session";
import { enuM, type GeoPoint } from "./geo";
import { afterWord, firstAim, GO_UP, type Goal, goalKey, goalWords, isOpen, nextGo } from "./goal";
import { createSay, SI } from "./say";

const say = createSay("en", SI);

const AT: GeoPoint = { latDeg: 52.5, lonDeg: 13.4 };
const GOAL: Goal = { id: 2, at: AT, state: "sent", detail: "", distanceM: null };

describe("a goal", () => {
  it("follows the robot's word about itself only", () => {
    const word = { id: 2, state: "going", detail: "", distance_m: 8.25 } as const;
    expect(afterWord(GOAL, word)).toEqual({ ...GOAL, state: "going", distanceM: 8.25 });
    expect(afterWord(GOAL, { ...word, id: 1 })).toBe(GOAL);
    expect(afterWord(null, word)).toBeNull();
  });

  it("has words in every state, and says how far and why", () => {
    for (const state of GOAL_STATES) {
      expect(goalWords({ ...GOAL, state }, "G", say).title, state).toMatch(/\.$/);
    }
    const going = { ...GOAL, state: "going", distanceM: 8.25 } as const;
    expect(goalWords(going, "G", say).title).toBe("The robot drives itself, 8.3 m to go.");
    expect(goalWords({ ...GOAL, state: "set", distanceM: 42.4 }, "G", say)).toEqual({
      title: "Goal set, 42 m away.",
      detail: "Hold G.",
    });
    const refused = { ...GOAL, state: "refused", detail: "that is 700 m away" } as const;
    expect(goalWords(refused, "G", say).detail).toBe("that is 700 m away.");
    expect(goalWords(null, "G", say).detail).toContain("press M");
  });

  it("can be driven to until it has ended", () => {
    const open = GOAL_STATES.filter((state) => isOpen({ ...GOAL, state }));
    expect(open).toEqual(["set", "going", "paused"]);
    expect(isOpen(null)).toBe(false);
  });
});

describe("keys", () => {
  it("move the cross only while one aims", () => {
    expect(goalKey("KeyW", false, false)).toBeNull();
    expect(goalKey("Enter", false, false)).toBeNull();
    expect(goalKey("KeyM", false, false)).toEqual({ act: "aim" });
    expect(goalKey("KeyM", true, false)).toEqual({ act: "leave" });
    expect(goalKey("ArrowUp", true, false)).toEqual({ act: "move", eastM: 0, northM: 1 });
    expect(goalKey("KeyA", true, true)).toEqual({ act: "move", eastM: -5, northM: 0 });
    expect(goalKey("Enter", true, false)).toEqual({ act: "set" });
    expect(goalKey("Escape", true, false)).toEqual({ act: "leave" });
    expect(goalKey("KeyG", true, false)).toBeNull();
  });

  it("begin ahead of the robot", () => {
    const { eastM, northM } = enuM(firstAim(AT, 90), AT);
    expect(eastM).toBeCloseTo(5);
    expect(northM).toBeCloseTo(0);
  });
});

describe("the button that lets the robot drive", () => {
  const press = (downs: readonly boolean[], aiming: readonly boolean[], open: readonly boolean[]) => {
    let button = GO_UP;
    return downs.map((down, i) => {
      const next = nextGo(button, down, { aiming: aiming[i] === true, goalOpen: open[i] === true });
      button = next.button;
      return next.act ?? (next.go ? "go" : "");
    });
  };

  it("begins a goal, sets it, and only then, pressed anew, drives", () => {
    const downs = [true, true, false, true, true, false, true, true];
    const aiming = [false, true, true, true, false, false, false, false];
    const open = [false, false, false, false, true, true, true, true];
    expect(press(downs, aiming, open)).toEqual(["aim", "", "", "set", "", "", "go", "go"]);
  });

  it("drives nothing with the press that set the goal, however long it is held", () => {
    const held = new Array<boolean>(50).fill(true);
    const said = press(held, [true], held);
    expect(said.filter((word) => word === "go")).toEqual([]);
  });
});
