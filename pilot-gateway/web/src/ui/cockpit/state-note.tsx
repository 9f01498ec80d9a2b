/** The safety state in one sentence, always there; in the middle of the picture when the robot stopped itself. */
import { createEffect, createSignal, type JSX, Show } from "solid-js";
import { announce, SILENCE } from "../../core/announce";
import { canClearEstop } from "../../core/can";
import type { Status } from "../../core/status";
import type { DriveView } from "../../io/drive-view";
import { m } from "../say";

/** The sentence for ears: said once, without the numbers that count up. */
function Announcer(props: { status: Status; nowMs: number }): JSX.Element {
  const [said, setSaid] = createSignal(SILENCE);
  createEffect(() => {
    const { gravity, title, detail } = props.status;
    const now = props.nowMs;
    setSaid((before) => announce(before, { gravity, words: `${title} ${detail}` }, now));
  });
  return (
    <>
      <p class="visually-hidden" role="status">
        {said().urgent ? "" : said().words}
      </p>
      <p class="visually-hidden" role="alert">
        {said().urgent ? said().words : ""}
      </p>
    </>
  );
}

export function StateNote(props: { status: Status; view: DriveView; onClear: () => void }): JSX.Element {
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
      <Announcer status={props.status} nowMs={props.view.nowMs} />
      <div
        class={`state ${props.status.gravity}`}
        classList={{ halted: props.status.gravity === "hold" && props.view.telemetry?.state === "stopped" }}
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
