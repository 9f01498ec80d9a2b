/** The goal: how it stands, how one is set, and what lets the robot drive there. Held is driving, let go is stopping. */
import { type JSX, Show } from "solid-js";
import { STALE_MS } from "../../core/age";
import { goalWords, isOpen } from "../../core/goal";
import type { Drive } from "../../io/drive";
import type { DriveView } from "../../io/drive-view";
import { m, say } from "../say";
import { AgeOf } from "./aged";
import { Announcer } from "./announcer";

const coarse = () => matchMedia("(pointer: coarse)").matches;

function Go(props: { view: DriveView; drive: Drive }): JSX.Element {
  return (
    <button
      type="button"
      class="button go"
      classList={{ held: props.view.wish.letsDrive && props.view.deadman.held }}
      data-testid="goal-go"
      aria-keyshortcuts="G"
      onPointerDown={(event) => {
        event.currentTarget.setPointerCapture(event.pointerId);
        props.drive.setGo(true);
      }}
      onPointerUp={() => props.drive.setGo(false)}
      onPointerCancel={() => props.drive.setGo(false)}
      onLostPointerCapture={() => props.drive.setGo(false)}
      onContextMenu={(event) => event.preventDefault()}
    >
      {m().goal.go}
    </button>
  );
}

export function GoalPanel(props: { view: DriveView; drive: Drive }): JSX.Element {
  const hold = () => {
    if (props.view.gamepad === "standard") return m().goal.holdGamepad;
    if (props.view.gamepad === "taught") return m().goal.holdTaught;
    return coarse() ? m().goal.holdTouch : m().goal.holdKey;
  };
  const aiming = () => props.view.aim !== null;
  /** While the robot drives it says how far it is; an old word of it is no distance. */
  const goal = () => {
    const { goal: now, goalAgeMs } = props.view;
    const old = now?.state === "going" && (goalAgeMs ?? 0) > STALE_MS.goal;
    return now !== null && old ? { ...now, distanceM: null } : now;
  };
  const padded = () => props.view.gamepad === "standard" || props.view.gamepad === "taught";
  const words = () => {
    const words = m().goal;
    if (aiming()) {
      const detail = padded() ? words.placeGamepad(hold()) : coarse() ? words.placeTouch : words.placeKeys;
      return { title: words.place, detail };
    }
    const said = goalWords(goal(), hold(), say());
    if (goal() !== null) return said;
    return {
      ...said,
      detail: padded() ? words.noneGamepad(hold()) : coarse() ? words.noneTouch : said.detail,
    };
  };
  const age = () => (goal()?.state === "going" ? say().roughAge(props.view.goalAgeMs ?? 0) : "");
  const open = () => isOpen(props.view.goal);
  return (
    <div
      class="panel goal-panel"
      data-testid="goal"
      data-state={aiming() ? "aiming" : (props.view.goal?.state ?? "none")}
    >
      <Announcer gravity="calm" words={words().title} nowMs={props.view.nowMs} />
      <p>
        <b>{words().title}</b> <span>{words().detail}</span>
        <AgeOf age={age()} />
      </p>
      <div class="row">
        <Show when={open() && !aiming()}>
          <Go view={props.view} drive={props.drive} />
          <button
            type="button"
            class="button quiet"
            data-testid="goal-cancel"
            aria-keyshortcuts="Escape"
            onClick={() => props.drive.cancelGoal()}
          >
            {m().goal.giveUp}
          </button>
        </Show>
        <Show when={!open() || aiming()}>
          <button
            type="button"
            class="button quiet begin"
            data-testid="goal-aim"
            aria-keyshortcuts="M"
            onClick={() => props.drive.aim()}
          >
            {aiming() ? m().goal.leave : m().goal.begin}
          </button>
        </Show>
      </div>
    </div>
  );
}
