/** What is to be done and how far it is. */
import { For, type JSX, Show } from "solid-js";
import { credits, timeLeft } from "../../core/format";
import type { Mission } from "../../core/model";
import { type NextCheckpoint, progressWords } from "../../core/progress";

export function MissionPanel(props: {
  mission: Mission | undefined;
  next: NextCheckpoint | null;
  onEnd: () => void;
  ending: boolean;
}): JSX.Element {
  const count = () => props.mission?.checkpoints.length ?? 0;
  const done = () => count() > 0 && (props.mission?.reached ?? 0) >= count();
  const fill = (index: number) => {
    if (index < (props.mission?.reached ?? 0)) return 1;
    return index === props.next?.index ? props.next.share : 0;
  };
  return (
    <div class="panel mission">
      <div class="row spread">
        <b class="mission-name">{props.mission?.name ?? "Mission"}</b>
        <Show
          when={props.mission?.deadlineAtMs}
          fallback={
            <Show when={props.mission}>{(m) => <span class="chip">{credits(m().reward)} credits</span>}</Show>
          }
        >
          {(at) => <span class="chip">{timeLeft(at(), Date.now())}</span>}
        </Show>
      </div>
      <div class="label">
        {props.mission === undefined ? "Loading" : progressWords(count(), props.next, props.mission.reached)}
      </div>
      <div class="dots" aria-hidden="true">
        <For each={props.mission?.checkpoints ?? []}>
          {(_, index) => (
            <i>
              <i style={{ transform: `scaleX(${fill(index())})` }} />
            </i>
          )}
        </For>
      </div>
      <button
        type="button"
        class={done() ? "button end" : "button quiet end"}
        data-testid="end-drive"
        disabled={props.ending}
        onClick={() => props.onEnd()}
      >
        {props.ending ? "Ending" : "End drive"}
      </button>
    </div>
  );
}
