/** Play with the safety core: what it is told on the left, what it decides on the right. */
import { createEffect, createSignal, For, type JSX, onCleanup, Show } from "solid-js";
import type { Problem } from "../core/model";
import {
  actionWords,
  mps,
  type Played,
  PRESETS,
  type Scene,
  stateWord,
  WELL,
  zeroAfterMs,
} from "../core/safety-try";
import { reasonByCode } from "../protocol/safety";
import { SafetyChart } from "./safety-chart";
import { Controls } from "./safety-controls";
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
        <h1>What lets a robot move</h1>
        <p class="dim">
          A robot decides alone whether it moves, many times a second. Here you tell its safety core what is
          so, and the core itself answers: the same code as on every robot. It was driving, all was well; then
          what you set on this page became true.
        </p>
      </header>
      <fieldset class="presets" aria-label="Begin with">
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
                {preset.name}
              </button>
            );
          }}
        </For>
      </fieldset>
      <ProblemNote problem={problem()} again={() => void ask(scene())} />
      <div class="safety-sides">
        <section class="decided" aria-label="What the safety core decides">
          <Show when={played()} fallback={<p class="dim">Asking the core</p>}>
            {(answer) => <Decision played={answer()} />}
          </Show>
        </section>
        <Controls scene={scene()} change={(part) => setScene((now) => ({ ...now, ...part }))} />
      </div>
    </div>
  );
}

function Decision(props: { played: Played }): JSX.Element {
  const zero = () => zeroAfterMs(props.played);
  const quiet = () => props.played.reason === "none";
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
              {props.played.words}
              <Show when={!quiet() && props.played.whatNext !== ""}>
                . <span class="dim">{props.played.whatNext}.</span>
              </Show>
            </p>
          </div>
          <div class="wheels">
            <span class="big">{mps(props.played.wheelsMmps)}</span>
            <span class="unit">m/s</span>
            <p class="label">at the wheels</p>
          </div>
        </div>
        <SafetyChart played={props.played} />
        <dl class="numbers">
          <div>
            <dt>Speed allowed</dt>
            <dd>
              {mps(props.played.limitMmps)} m/s
              <Show when={limited() && props.played.limitReason !== "none"}>
                <span class="dim"> {props.played.limitWords.toLowerCase()}</span>
              </Show>
            </dd>
          </div>
          <div>
            <dt>Wheels told to stop</dt>
            <dd>{zero() === null ? "not" : `after ${((zero() ?? 0) / 1000).toFixed(2)} s`}</dd>
          </div>
          <div>
            <dt>Latency of the loop</dt>
            <dd>{props.played.latencyMs === null ? "unknown" : `${props.played.latencyMs} ms`}</dd>
          </div>
        </dl>
        <Show when={props.played.minimalRisk}>
          {(code) => (
            <p class="resume">
              A hazard ended the drive ({reasonByCode(code()).words.toLowerCase()}). The robot stands with its
              lamp lit until somebody resumes: the stick at rest first, then drive again.
            </p>
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
      <h2>What happened</h2>
      <ol class="happened">
        <For each={after().slice(0, 8)}>
          {(change) => (
            <li>
              <span class="dim">{(change.atMs / 1000).toFixed(2)} s</span>
              <span>
                {stateWord(change.state)}
                <Show when={change.reason !== "none"}>
                  : {reasonByCode(change.reason).words.toLowerCase()}
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
      <h2>What holds it back at the end</h2>
      <Show when={props.played.hazards.length > 0} fallback={<p class="dim">Nothing.</p>}>
        <ul class="held">
          <For each={props.played.hazards}>
            {(hazard) => (
              <li class={`card ${hazard.action}`}>
                <div class="row spread wrap">
                  <b>{hazard.words}</b>
                  <span class="chip">{actionWords(hazard.action)}</span>
                </div>
                <p class="dim">
                  <Show when={hazard.whatNext !== ""}>{hazard.whatNext}. </Show>
                  Clears {hazard.clears}.
                </p>
                <details>
                  <summary>
                    The rule <code>{hazard.code}</code>
                  </summary>
                  <p class="dim">Holds when: {hazard.when.replaceAll("`", "")}.</p>
                </details>
              </li>
            )}
          </For>
        </ul>
      </Show>
    </>
  );
}
