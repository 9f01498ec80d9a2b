/** The goal on the map: how it stands, and what lets the robot drive there. Held is driving, let go is stopping. */
import { type JSX, Show } from "solid-js";
import { goalWords, isOpen } from "../../core/goal";
import type { Drive } from "../../io/drive";
import type { DriveView } from "../../io/drive-view";

export function GoalPanel(props: { view: DriveView; drive: Drive }): JSX.Element {
  const hold = () => (props.view.gamepadThere ? "A" : "G or the button");
  const words = () => {
    if (props.view.aim !== null) {
      return { title: "Place the goal.", detail: "Arrows move it, Enter sets it, Escape leaves." };
    }
    return goalWords(props.view.goal, hold());
  };
  const open = () => isOpen(props.view.goal);
  return (
    <div
      class="panel goal-panel"
      role="status"
      data-testid="goal"
      data-state={props.view.goal?.state ?? "none"}
    >
      <p>
        <b>{words().title}</b> {words().detail}
      </p>
      <Show when={open()}>
        <div class="row">
          <button
            type="button"
            class="button go"
            classList={{ held: props.view.wish.letsDrive && props.view.deadman.held }}
            data-testid="goal-go"
            tabindex={-1}
            onPointerDown={(event) => {
              event.currentTarget.setPointerCapture(event.pointerId);
              props.drive.setGo(true);
            }}
            onPointerUp={() => props.drive.setGo(false)}
            onPointerCancel={() => props.drive.setGo(false)}
            onLostPointerCapture={() => props.drive.setGo(false)}
            onContextMenu={(event) => event.preventDefault()}
          >
            Hold to let it drive
          </button>
          <button
            type="button"
            class="button quiet"
            data-testid="goal-cancel"
            tabindex={-1}
            onClick={() => props.drive.cancelGoal()}
          >
            Give up
          </button>
        </div>
      </Show>
    </div>
  );
}
