/** The safety state in one sentence, always there; in the middle of the picture when the robot stopped itself. */
import { type JSX, Show } from "solid-js";
import { canClearEstop } from "../../core/can";
import type { Status } from "../../core/status";
import type { DriveView } from "../../io/drive-view";

export function StateNote(props: { status: Status; view: DriveView; onClear: () => void }): JSX.Element {
  const latched = () =>
    props.view.telemetry?.state === "emergency_stopped" && props.view.connection === "open";
  const can = () =>
    canClearEstop({ connected: props.view.connection === "open", wants: props.view.wish.wants });
  const why = () => {
    const c = can();
    if (!c.ok) return c.why;
    return props.view.clearRefused ? "The robot did not clear it. Release everything and try again" : "";
  };
  return (
    <div
      class={`state ${props.status.gravity}`}
      classList={{ halted: props.status.gravity === "hold" && props.view.telemetry?.state === "stopped" }}
      role="status"
      aria-live="polite"
      data-testid="hud-state"
      data-state={props.view.telemetry?.state ?? "unknown"}
    >
      <span class="pip" aria-hidden="true" />
      <p>
        <b>{props.status.title}</b> {props.status.detail}
        <Show when={props.view.telemetry?.state === "stopped"}>
          {" "}
          <a class="learn" href="/safety" target="_blank" rel="noopener">
            What lets it move?
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
            onClick={() => props.onClear()}
          >
            Clear the stop
          </button>
          <span class="why">{why()}</span>
        </div>
      </Show>
    </div>
  );
}
