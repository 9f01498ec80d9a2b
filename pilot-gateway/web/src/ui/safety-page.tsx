/** Play with the safety core: what it is told on the left, what it decides on the right. */
import { createEffect, createSignal, For, type JSX, onCleanup, Show } from "solid-js";
import type { Problem } from "../core/model";
import { mps, type Played, PRESETS, type Scene, WELL, zeroAfterMs } from "../core/safety-try";
import { SafetyChart } from "./safety-chart";
import { Controls } from "./safety-controls";
import { m, say } from "./say";
import { ProblemNote } from "./shell";
import type { AppState } from "./state";

/** While a slider moves, the core is asked this often. */
const ASK_EVERY_MS = 90;

export function SafetyPage(props: { app: AppState }): JSX.Element {
  const [scene, setScene] = createSignal<Scene>(WELL);
  const [played, setPlayed] = createSignal<Played | null>(null);
  const [problem, setProblem] = createSignal<Problem | null>(null);
  let asked = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const ask = async (of: Scene) => {
    asked += 1;
    const mine = asked;
    const answer = await props.app.api.trySafety(of);
    // A later question may have been answered before.
    if (mine !== asked) return;
    setProblem(answer.ok ? null : answer.problem);
    if (answer.ok) setPlayed(answer.value);
  };
  createEffect(() => {
    const now = scene();
    clearTimeout(timer);
    timer = setTimeout(() => void ask(now), played() === null ? 0 : ASK_EVERY_MS);
  });
  onCleanup(() => clearTimeout(timer));

  return (
    <div class="safety">
      <header class="safety-head">
        <h1>{m().safetyPage.title}</h1>
        <p class="dim">{m().safetyPage.intro}</p>
      </header>
      <fieldset class="presets" aria-label={m().safetyPage.beginWith}>
        <For each={PRESETS}>
          {(preset) => {
            const is = () => JSON.stringify({ ...WELL, ...preset.scene }) === JSON.stringify(scene());
            return (
              <button
                type="button"
                class="chip preset"
                aria-pressed={is()}
                onClick={() => setScene({ ...WELL, ...preset.scene })}
              >
                {m().safetyPage.presets[preset.name]}
              </button>
            );
          }}
        </For>
      </fieldset>
      <ProblemNote problem={problem()} again={() => void ask(scene())} />
      <div class="safety-sides">
        <section class="decided" aria-label={m().safetyPage.decides}>
          <Show when={played()} fallback={<p class="dim">{m().safetyPage.asking}</p>}>
            {(answer) => <Decision played={answer()} />}
          </Show>
        </section>
        <Controls scene={scene()} change={(part) => setScene((now) => ({ ...now, ...part }))} />
      </div>
    </div>
  );
}

function stateWord(state: string): string {
  return m().safetyPage.states[state] ?? m().safetyPage.unknown;
}

function actionWords(action: string): string {
  return m().safetyPage.actions[action] ?? m().safetyPage.actionOther;
}

function Decision(props: { played: Played }): JSX.Element {
  const zero = () => zeroAfterMs(props.played);
  const quiet = () => props.played.reason === "none";
  const reason = () => say().reasonByCode(props.played.reason, props.played.words);
  const limit = () => say().reasonByCode(props.played.limitReason, props.played.limitWords);
  const limited = () => props.played.state === "driving" || props.played.state === "ready";
  return (
    <>
      <div class={`card decision ${props.played.state}`} role="status" data-testid="decision">
        <div class="row spread top-aligned">
          <div>
            <p class="state-word">
              <span class="pip" aria-hidden="true" />
              {stateWord(props.played.state)}
            </p>
            <p class="reason">
              {reason().words}
              <Show when={!quiet() && reason().whatNext !== ""}>
                . <span class="dim">{reason().whatNext}.</span>
              </Show>
            </p>
          </div>
          <div class="wheels">
            <span class="big">{mps(props.played.wheelsMmps, say())}</span>
            <span class="unit">m/s</span>
            <p class="label">{m().safetyPage.atWheels}</p>
          </div>
        </div>
        <SafetyChart played={props.played} />
        <dl class="numbers">
          <div>
            <dt>{m().safetyPage.allowed}</dt>
            <dd>
              {mps(props.played.limitMmps, say())} m/s
              <Show when={limited() && props.played.limitReason !== "none"}>
                <span class="dim"> {m().within(limit().words)}</span>
              </Show>
            </dd>
          </div>
          <div>
            <dt>{m().safetyPage.toldStop}</dt>
            <dd>
              {zero() === null
                ? m().safetyPage.not
                : m().safetyPage.after(`${say().number((zero() ?? 0) / 1000, 2)} s`)}
            </dd>
          </div>
          <div>
            <dt>{m().safetyPage.latency}</dt>
            <dd>
              {props.played.latencyMs === null
                ? m().safetyPage.latencyUnknown
                : `${props.played.latencyMs} ms`}
            </dd>
          </div>
        </dl>
        <Show when={props.played.minimalRisk}>
          {(code) => (
            <p class="resume">{m().safetyPage.resume(m().within(say().reasonByCode(code()).words))}</p>
          )}
        </Show>
      </div>
      <Happened played={props.played} />
      <Hazards played={props.played} />
    </>
  );
}

function Happened(props: { played: Played }): JSX.Element {
  const after = () => props.played.changes.filter((change) => change.atMs > 0);
  return (
    <Show when={after().length > 0}>
      <h2>{m().safetyPage.happened}</h2>
      <ol class="happened">
        <For each={after().slice(0, 8)}>
          {(change) => (
            <li>
              <span class="dim">{say().number(change.atMs / 1000, 2)} s</span>
              <span>
                {stateWord(change.state)}
                <Show when={change.reason !== "none"}>
                  : {m().within(say().reasonByCode(change.reason).words)}
                </Show>
              </span>
            </li>
          )}
        </For>
      </ol>
    </Show>
  );
}

function Hazards(props: { played: Played }): JSX.Element {
  return (
    <>
      <h2>{m().safetyPage.heldBack}</h2>
      <Show when={props.played.hazards.length > 0} fallback={<p class="dim">{m().safetyPage.nothing}</p>}>
        <ul class="held">
          <For each={props.played.hazards}>
            {(hazard) => (
              <li class={`card ${hazard.action}`}>
                <div class="row spread wrap">
                  <b>{say().reasonByCode(hazard.code, hazard.words).words}</b>
                  <span class="chip">{actionWords(hazard.action)}</span>
                </div>
                <p class="dim">
                  <Show when={say().reasonByCode(hazard.code, hazard.words).whatNext}>
                    {(next) => `${next()}. `}
                  </Show>
                  <span lang="en">{m().safetyPage.clears(hazard.clears)}</span>
                </p>
                <details>
                  <summary>
                    {m().safetyPage.rule} <code translate="no">{hazard.code}</code>
                  </summary>
                  <p class="dim" lang="en">
                    {m().safetyPage.holdsWhen(hazard.when.replaceAll("`", ""))}
                  </p>
                </details>
              </li>
            )}
          </For>
        </ul>
      </Show>
    </>
  );
}
