/** The safety state in one sentence, always there; in the middle of the picture when the robot stopped itself. */
import { type JSX, Show } from "solid-js";
import { canClearEstop } from "../../core/can";
import type { Status } from "../../core/status";
import type { DriveView } from "../../io/drive-view";
import { m } from "../say";
import { Announcer } from "./announcer";

export function StateNote(props: { status: Status; view: DriveView; onClear: () => void }): JSX.Element {
  const halted = () => props.status.gravity === "hold" && props.view.telemetry?.state === "stopped";
  const latched = () =>
    props.view.telemetry?.state === "emergency_stopped" && props.view.connection === "open";
  const can = () =>
    canClearEstop({ connected: props.view.connection === "open", wants: props.view.wish.wants }, m());
  const why = () => {
    const c = can();
    if (!c.ok) return c.why;
    return props.view.clearRefused ? m().status.clearRefused : "";
  };
  return (
    <>
      <Announcer
        gravity={props.status.gravity}
        words={`${props.status.title} ${props.status.detail}`}
        nowMs={props.view.nowMs}
      />
      <div
        class={`state ${props.status.gravity}${halted() ? " halted" : ""}`}
        data-testid="hud-state"
        data-state={props.view.telemetry?.state ?? "unknown"}
      >
        <span class="pip" aria-hidden="true" />
        <p>
          <b>{props.status.title}</b> {props.status.detail}
          <Show when={props.view.telemetry?.state === "stopped"}>
            {" "}
            <a class="learn" href="/safety" target="_blank" rel="noopener">
              {m().status.learn}
            </a>
          </Show>
        </p>
        <Show when={latched()}>
          <div class="clear">
            <button
              type="button"
              class="button clear-button"
              data-testid="estop-clear"
              disabled={!can().ok}
              aria-describedby="clear-why"
              onClick={() => props.onClear()}
            >
              {m().status.clear}
            </button>
            <span class="why" id="clear-why">
              {why()}
            </span>
          </div>
        </Show>
      </div>
    </>
  );
}
