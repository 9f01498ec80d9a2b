/** The practice course: how far away the robot shall be, the drive in the real cockpit, and the score. */
import { createEffect, createSignal, For, type JSX, onCleanup, Show } from "solid-js";
import { GATES, type Practice, type Score, START, scoreOf } from "../core/practice";
import { UNKNOWN } from "../core/say";
import { createApi } from "../io/api";
import { type Drive, startDrive } from "../io/drive";
import { type DriveView, NO_VIEW } from "../io/drive-view";
import type { Identity } from "../io/keys";
import { loadBest, storeBest } from "../io/practice-best";
import { createPracticeBackend, type PracticeBackend } from "../practice/backend";
import { Cockpit } from "./cockpit/cockpit";
import { follow } from "./router";
import { m, preferences, say } from "./say";
import { Shell } from "./shell";
import type { AppState } from "./state";

/** Delays of the loop that one can practise with, milliseconds. */
const DELAYS = [60, 200, 400] as const;
type Delay = (typeof DELAYS)[number];
/** After the stop in the box, before the score. */
const END_MS = 900;

function Course(props: {
  identity: Identity;
  delayMs: Delay;
  made: PracticeBackend;
  state: Practice;
  onEnd: () => void;
}): JSX.Element {
  const [view, setView] = createSignal<DriveView>(NO_VIEW);
  const [front, setFront] = createSignal<MediaStream | null>(null);
  const [rear, setRear] = createSignal<MediaStream | null>(null);
  const [ending, setEnding] = createSignal(false);
  const [replaying, setReplaying] = createSignal(false);
  const { backend } = props.made;
  const drive: Drive = startDrive({
    backend,
    api: createApi(backend, { token: () => null, refresh: async () => false }),
    identity: props.identity,
    order: { robot: null, mission: "practice", takeover: false },
    say,
    inputs: () => preferences().inputs,
    onReplay: () => setReplaying((now) => !now),
    onView: setView,
    onVideo: (camera, stream) => (camera === 0 ? setFront(stream) : setRear(stream)),
  });
  onCleanup(drive.close);
  const end = async () => {
    if (ending()) return;
    setEnding(true);
    await drive.end();
    props.onEnd();
  };
  let soon: ReturnType<typeof setTimeout> | undefined;
  createEffect(() => {
    if (props.state.finished) soon ??= setTimeout(end, END_MS);
  });
  onCleanup(() => clearTimeout(soon));
  return (
    <Cockpit
      drive={drive}
      view={view()}
      mission={props.made.mission(props.state, m().practice.title)}
      missionAtMs={view().nowMs}
      front={front()}
      rear={rear()}
      onEnd={end}
      ending={ending()}
      replaying={replaying()}
      onReplay={() => setReplaying((now) => !now)}
    />
  );
}

function ScoreCard(props: {
  state: Practice;
  delayMs: Delay;
  best: number | null;
  again: () => void;
}): JSX.Element {
  const score = () => scoreOf(props.state);
  const lines = (of: Score) => {
    const words = m().practice;
    return [
      { name: words.time(say().duration(props.state.ranS)), minus: of.time },
      { name: words.cones(props.state.touched.length), minus: of.cones },
      { name: words.saves(props.state.saves), minus: of.saves },
      {
        name:
          props.state.stopErrorM === null ? words.noStop : words.stop(say().distance(props.state.stopErrorM)),
        minus: props.state.stopErrorM === null ? null : of.stop,
      },
      { name: words.gates(props.state.gate, GATES.length), minus: of.missed },
    ];
  };
  return (
    <div class="card end-card practice-score" data-testid="practice-score" data-points={score().points}>
      <h1>{props.state.finished ? m().practice.finished : m().practice.unfinished}</h1>
      <p class="huge">
        {score().points}
        <small>{m().practice.points}</small>
      </p>
      <p class="dim">
        {m().practice.delayOf(say().age(props.delayMs))}{" "}
        <Show when={props.best}>{(best) => m().practice.best(String(best()))}</Show>
      </p>
      <ul class="practice-lines">
        <For each={lines(score())}>
          {(line) => (
            <li>
              <span>{line.name}</span>
              <b>{line.minus === null ? UNKNOWN : line.minus === 0 ? "✓" : `−${line.minus}`}</b>
            </li>
          )}
        </For>
      </ul>
      <div class="row wrap end-actions">
        <button type="button" class="button" onClick={() => props.again()}>
          {m().practice.again}
        </button>
        <a class="button quiet" href="/" onClick={follow}>
          {m().check.missionsLink}
        </a>
      </div>
    </div>
  );
}

export function PracticePage(props: { app: AppState; identity: Identity }): JSX.Element {
  const [delayMs, setDelayMs] = createSignal<Delay>(60);
  const [made, setMade] = createSignal<PracticeBackend | null>(null);
  const [state, setState] = createSignal<Practice>(START);
  const [over, setOver] = createSignal(false);
  const [best, setBest] = createSignal<number | null>(null);
  const begin = async (delay: Delay) => {
    setDelayMs(delay);
    setState(START);
    setOver(false);
    setMade(await createPracticeBackend(props.identity.did, delay, setState));
  };
  const end = () => {
    setMade(null);
    setOver(true);
    const { points } = scoreOf(state());
    setBest(state().finished ? storeBest(delayMs(), points) : loadBest(delayMs()));
  };
  return (
    <Show
      when={made()}
      keyed
      fallback={
        <Shell app={props.app}>
          <Show
            when={!over()}
            fallback={
              <ScoreCard state={state()} delayMs={delayMs()} best={best()} again={() => setOver(false)} />
            }
          >
            <div class="page-head">
              <h1>{m().practice.title}</h1>
              <p class="dim">{m().practice.intro}</p>
            </div>
            <section class="card practice" aria-label={m().practice.choose}>
              <p>{m().practice.rules}</p>
              <p class="label">{m().practice.choose}</p>
              <div class="row wrap">
                <For each={DELAYS}>
                  {(delay) => (
                    <button
                      type="button"
                      class={delay === 60 ? "button" : "button quiet"}
                      data-testid={`practice-${delay}`}
                      onClick={() => void begin(delay)}
                    >
                      {m().practice.delays[delay]}
                      <Show when={loadBest(delay)}>
                        {(points) => ` · ${m().practice.best(String(points()))}`}
                      </Show>
                    </button>
                  )}
                </For>
              </div>
              <p class="dim">{m().practice.note}</p>
            </section>
          </Show>
        </Shell>
      }
    >
      {(backend) => (
        <Course identity={props.identity} delayMs={delayMs()} made={backend} state={state()} onEnd={end} />
      )}
    </Show>
  );
}
