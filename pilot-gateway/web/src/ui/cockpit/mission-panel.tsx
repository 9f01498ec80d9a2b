/** What is to be done and how far it is. */
import { For, type JSX, Show } from "solid-js";
import { STALE_MS, shown } from "../../core/age";
import { TELEMETRY_AGE_MS_MAX } from "../../core/deadman";
import type { Mission } from "../../core/model";
import { type NextCheckpoint, progressWords } from "../../core/progress";
import { m, say } from "../say";
import { AgeOf } from "./aged";

export function MissionPanel(props: {
  mission: Mission | undefined;
  /** Since the fleet last said how the mission stands. */
  missionAgeMs: number | null;
  next: NextCheckpoint | null;
  /** Since the robot last said where it is. */
  positionAgeMs: number | null;
  onEnd: () => void;
  ending: boolean;
  calibrating: boolean;
  onCalibrate: () => void;
}): JSX.Element {
  const count = () => props.mission?.checkpoints.length ?? 0;
  const done = () => count() > 0 && (props.mission?.reached ?? 0) >= count();
  const fill = (index: number) => {
    if (index < (props.mission?.reached ?? 0)) return 1;
    return index === props.next?.index ? props.next.share : 0;
  };
  const fleet = () => shown(props.missionAgeMs, STALE_MS.mission, () => "", say());
  const chip = (mission: Mission) =>
    mission.deadlineAtMs === null
      ? m().mission.credits(say().credits(mission.reward))
      : say().timeLeft(mission.deadlineAtMs, Date.now());
  const live = () => props.positionAgeMs !== null && props.positionAgeMs <= TELEMETRY_AGE_MS_MAX;
  return (
    <section class="panel mission" aria-label={m().mission.fallback}>
      <div class="row spread">
        <b class="mission-name">{props.mission?.name ?? m().mission.fallback}</b>
        <Show
          when={props.mission?.reward === 0 && props.mission.deadlineAtMs === null ? null : props.mission}
        >
          {(mission) => (
            <span class="chip" title={m().age.title(fleet().age)}>
              {chip(mission())}
              <Show when={fleet().freshness === "stale"}>
                {" "}
                <span class="aged stale">{fleet().text}</span>
              </Show>
            </span>
          )}
        </Show>
      </div>
      <div class="label">
        {props.mission === undefined
          ? m().mission.loading
          : progressWords(count(), props.next, props.mission.reached, props.positionAgeMs, say())}
        <Show when={live() && props.next !== null}>
          <AgeOf age={say().roughAge(props.positionAgeMs ?? 0)} />
        </Show>
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
        class="link settings-link"
        data-testid="calibrate"
        aria-pressed={props.calibrating}
        onClick={() => props.onCalibrate()}
      >
        {m().calibrate.open}
      </button>
      <a
        class="settings-link"
        href="/settings"
        target="_blank"
        rel="noopener"
        title={m().cockpit.settingsHint}
      >
        {m().cockpit.settings}
      </a>
      <button
        type="button"
        class={done() ? "button end" : "button quiet end"}
        data-testid="end-drive"
        disabled={props.ending}
        onClick={() => props.onEnd()}
      >
        {props.ending ? m().mission.ending : m().mission.end}
      </button>
    </section>
  );
}
