/** One robot, as its owner sees it. */
import { createEffect, createMemo, createSignal, For, type JSX, Show } from "solid-js";
import type { Episode, KeptSettings, Mission, Problem, Robot } from "../../core/model";
import { cornerOf, earningsByDay, sharesOf } from "../../core/owner";
import { UNKNOWN } from "../../core/say";
import { CORNERS_MAX, type Corner, type OwnerSettings } from "../../protocol/settings";
import { createData } from "../data";
import { EpisodeChip } from "../episodes-page";
import { follow } from "../router";
import { m, say } from "../say";
import { ProblemNote } from "../shell";
import type { AppState } from "../state";
import { WatchLink } from "../watch-page";
import { LimitsCard, openSettings } from "./limits-card";
import { RobotMap } from "./robot-map";
import { liveWords } from "./words";

const EARNING_DAYS = 30;
const EPISODES_SHOWN = 6;

function percent(of: number): string {
  return say().percent(of / 100, of % 1 === 0 ? 0 : 2);
}

function StopButton(props: { app: AppState; robot: Robot }): JSX.Element {
  const [state, setState] = createSignal<"ready" | "asked" | "stopped" | "failed">("ready");
  const stop = async () => {
    setState("asked");
    const done = await props.app.api.estop(props.robot.id);
    setState(done.ok ? "stopped" : "failed");
  };
  const words = () => {
    const words = m().robot;
    if (props.robot.safety === "emergency_stopped") return words.stopped;
    return {
      ready: words.stopNow,
      asked: words.stopping,
      stopped: words.stopped,
      failed: words.stopFailed,
    }[state()];
  };
  return (
    <button
      type="button"
      class="button stop end"
      data-testid="owner-stop"
      disabled={state() === "asked"}
      onClick={stop}
    >
      {words()}
    </button>
  );
}

function Facts(props: { robot: Robot }): JSX.Element {
  const r = () => props.robot;
  const or = (value: number | null, words: (value: number) => string) =>
    value === null ? UNKNOWN : words(value);
  return (
    <section class="card panel-card">
      <h2>{m().robot.health}</h2>
      <dl class="pairs">
        <dt>{m().robot.reports}</dt>
        <dd>{r().online ? or(r().stateAgeMs, (ms) => m().robot.ago(say().roughAge(ms))) : m().robot.no}</dd>
        <dt>{m().robot.battery}</dt>
        <dd>{or(r().battery, (part) => say().percent(part))}</dd>
        <dt>{m().robot.position}</dt>
        <dd>
          {r().position === null
            ? m().robot.unknown
            : or(r().accuracyM, (off) => m().robot.withinDistance(say().distance(off)))}
        </dd>
        <dt>{m().robot.speed}</dt>
        <dd>{or(r().speedMps, (mps) => say().speed(Math.abs(mps)))}</dd>
        <dt>{m().robot.toSend}</dt>
        <dd>{r().episodesWaiting}</dd>
        <dt>{m().robot.agent}</dt>
        <dd>{r().version ?? UNKNOWN}</dd>
      </dl>
      <Show
        when={r().troubles.length > 0}
        fallback={
          <p class="dim" data-testid="no-troubles">
            {r().online ? m().robot.hears : ""}
          </p>
        }
      >
        <ul class="troubles" data-testid="troubles">
          <For each={r().troubles}>
            {(trouble) => (
              <li>
                <b>{trouble.part}</b> {trouble.words}
              </li>
            )}
          </For>
        </ul>
      </Show>
    </section>
  );
}

function Earnings(props: { missions: readonly Mission[]; robot: string; owner: string }): JSX.Element {
  const days = createMemo(() =>
    earningsByDay(props.missions, props.robot, props.owner, Date.now(), EARNING_DAYS),
  );
  const sum = () => days().reduce((all, day) => all + day.amount, 0);
  const most = () => Math.max(1, ...days().map((day) => day.amount));
  const name = (day: number) => say().day(day);
  return (
    <section class="card panel-card">
      <div class="row spread full">
        <h2>{m().robot.earnings}</h2>
        <span class="dim">{m().robot.days(EARNING_DAYS)}</span>
      </div>
      <p class="huge" data-testid="robot-earned">
        {say().credits(sum())}
        <small>{m().robot.creditsForYou}</small>
      </p>
      <div class="bars" role="img" aria-label={m().robot.byDay(say().credits(sum()))}>
        <For each={days()}>
          {(day) => (
            <i
              title={`${name(day.day)}: ${say().credits(day.amount)}`}
              class={day.amount > 0 ? "some" : ""}
              style={{ height: `${Math.max(2, (day.amount / most()) * 100)}%` }}
            />
          )}
        </For>
      </div>
      <div class="row spread full dim bars-axis">
        <span>{name(days()[0]?.day ?? 0)}</span>
        <span>{m().robot.today}</span>
      </div>
    </section>
  );
}

function Owners(props: { app: AppState; robot: Robot; again: () => void }): JSX.Element {
  const [draft, setDraft] = createSignal<readonly { owner: string; name: string; percent: number }[] | null>(
    null,
  );
  const [added, setAdded] = createSignal("");
  const [problem, setProblem] = createSignal<Problem | null>(null);
  const shown = () =>
    draft() ??
    props.robot.owners.map((s) => ({ owner: s.owner, name: s.name, percent: s.sharePpm / 10_000 }));
  const sum = () => shown().reduce((all, share) => all + share.percent, 0);
  const set = (owner: string, percent: number) =>
    setDraft(shown().map((share) => (share.owner === owner ? { ...share, percent } : share)));
  const add = () => {
    const owner = added().trim();
    if (!owner.startsWith("own_") || shown().some((share) => share.owner === owner)) return;
    setDraft([...shown(), { owner, name: owner, percent: 0 }]);
    setAdded("");
  };
  const save = async () => {
    const shares = sharesOf(shown());
    if (shares === null) return;
    const result = await props.app.api.setOwners(props.robot.id, shares);
    setProblem(result.ok ? null : result.problem);
    if (!result.ok) return;
    setDraft(null);
    props.again();
  };
  return (
    <section class="card panel-card">
      <h2>{m().robot.owners}</h2>
      <ul class="owners">
        <For each={shown()}>
          {(share) => (
            <li>
              <span>{share.name}</span>
              <Show when={draft()} fallback={<b>{percent(share.percent)}</b>}>
                <input
                  type="number"
                  min="0"
                  max="100"
                  step="any"
                  aria-label={m().robot.share(share.name)}
                  value={share.percent}
                  onChange={(e) => set(share.owner, e.currentTarget.valueAsNumber || 0)}
                />
              </Show>
            </li>
          )}
        </For>
      </ul>
      <Show
        when={draft()}
        fallback={
          <button type="button" class="button quiet small" onClick={() => setDraft(shown())}>
            {m().robot.give}
          </button>
        }
      >
        <div class="row full">
          <input
            placeholder={m().robot.coOwner}
            aria-label={m().robot.coOwner}
            value={added()}
            onInput={(e) => setAdded(e.currentTarget.value)}
          />
          <button type="button" class="button quiet" onClick={add}>
            {m().robot.addOwner}
          </button>
        </div>
        <p class={Math.abs(sum() - 100) < 1e-4 ? "dim" : "why"}>{m().robot.sum(percent(sum()))}</p>
        <ProblemNote problem={problem()} />
        <div class="row">
          <button type="button" class="button small" disabled={sharesOf(shown()) === null} onClick={save}>
            {m().robot.saveShares}
          </button>
          <button type="button" class="button quiet small" onClick={() => setDraft(null)}>
            {m().robot.cancel}
          </button>
        </div>
      </Show>
    </section>
  );
}

function Episodes(props: { episodes: readonly Episode[] }): JSX.Element {
  return (
    <section class="card panel-card">
      <h2>{m().robot.episodes}</h2>
      <Show when={props.episodes.length > 0} fallback={<p class="dim">{m().robot.none}</p>}>
        <ul class="owner-episodes">
          <For each={props.episodes.slice(0, EPISODES_SHOWN)}>
            {(e) => (
              <li>
                <a href={`/episodes/${e.id}`} onClick={follow}>
                  {e.missionName ?? m().episodes.freeDrive}
                </a>
                <EpisodeChip state={e.state} />
                <span class="dim">
                  {say().when(e.startedAtMs)}, {e.driver?.name ?? UNKNOWN}
                  {e.durationS === null ? "" : `, ${say().duration(e.durationS)}`}
                </span>
              </li>
            )}
          </For>
        </ul>
      </Show>
    </section>
  );
}

function TakeOut(props: { app: AppState; robot: Robot; again: () => void }): JSX.Element {
  const [sure, setSure] = createSignal(false);
  const [problem, setProblem] = createSignal<Problem | null>(null);
  const revoke = async () => {
    const done = await props.app.api.revoke(props.robot.id, "taken out by its owner");
    setProblem(done.ok ? null : done.problem);
    setSure(false);
    props.again();
  };
  return (
    <section class="card panel-card">
      <h2>{m().robot.takeOut}</h2>
      <p class="dim">{m().robot.takeOutDetail}</p>
      <ProblemNote problem={problem()} />
      <Show
        when={sure()}
        fallback={
          <button
            type="button"
            class="button quiet small"
            disabled={props.robot.revoked !== null}
            onClick={() => setSure(true)}
          >
            {props.robot.revoked === null ? m().robot.takeOutButton : m().robot.isOut}
          </button>
        }
      >
        <div class="row wrap">
          <button type="button" class="button stop small" onClick={revoke}>
            {m().robot.sure(props.robot.name)}
          </button>
          <button type="button" class="button quiet small" onClick={() => setSure(false)}>
            {m().robot.notSure}
          </button>
        </div>
      </Show>
    </section>
  );
}

export function RobotPage(props: { app: AppState; id: string }): JSX.Element {
  const { app, id } = props;
  const me = createData(app, app.api.me, []);
  const robot = createData(app, () => app.api.robot(id), ["lease"], 1_000);
  const track = createData(app, () => app.api.track(id), [], 5_000);
  const kept = createData(app, () => app.api.settings(id), [], 3_000);
  const missions = createData(app, app.api.missions, ["mission"]);
  const episodes = createData(app, app.api.episodes, ["episode"]);
  const mine = createMemo(() => (episodes.value() ?? []).filter((episode) => episode.robot === id));

  const [edited, setEdited] = createSignal<OwnerSettings>(openSettings(id));
  const [changed, setChanged] = createSignal(false);
  const [just, setJust] = createSignal<KeptSettings | null>(null);
  const newest = createMemo<KeptSettings | null>(() => {
    const [asked, signed] = [kept.value() ?? null, just()];
    return signed !== null && (asked === null || asked.settings.version < signed.settings.version)
      ? signed
      : asked;
  });
  createEffect(() => {
    const now = newest();
    if (now !== null && !changed()) setEdited(now.settings);
  });
  const edit = (change: Partial<OwnerSettings>) => {
    setEdited({ ...edited(), ...change });
    setChanged(true);
  };
  const saved = (signed: KeptSettings | null) => {
    setJust(signed);
    setChanged(false);
    kept.again();
  };

  const [draft, setDraft] = createSignal<readonly Corner[] | null>(null);
  const finishDraft = () => {
    const polygon = draft();
    if (polygon !== null && polygon.length >= 3) edit({ area: [...(edited().area ?? []), polygon] });
    setDraft(null);
  };
  const area = {
    get draft() {
      return draft();
    },
    begin: () => setDraft([]),
    undo: () => setDraft((draft() ?? []).slice(0, -1)),
    cancel: () => setDraft(null),
  };

  return (
    <Show when={robot.value()} fallback={<ProblemNote problem={robot.problem()} again={robot.again} />}>
      {(r) => (
        <>
          <div class="page-head robot-head">
            <h1>{r().name}</h1>
            <span class={r().online ? "chip live" : "chip"} data-testid="robot-online">
              {r().revoked !== null
                ? m().robots.takenOut
                : r().online
                  ? m().robots.online
                  : m().robots.offline}
            </span>
            <p class="dim live-words" data-testid="robot-live">
              {liveWords(r(), say())}
            </p>
            <WatchLink robot={r()} class="watch-link end" />
            <StopButton app={app} robot={r()} />
          </div>
          <ProblemNote problem={robot.problem()} again={robot.again} />
          <div class="owner-columns">
            <div class="stack">
              <section class="card map-card">
                <RobotMap
                  position={r().position}
                  accuracyM={r().accuracyM}
                  online={r().online}
                  track={track.value() ?? []}
                  area={edited().area}
                  draft={draft()}
                  onPlace={(point) => {
                    const corners = draft() ?? [];
                    if (corners.length < CORNERS_MAX) setDraft([...corners, cornerOf(point)]);
                  }}
                />
              </section>
              <div class="pair">
                <Facts robot={r()} />
                <Earnings missions={missions.value() ?? []} robot={id} owner={me.value()?.owner ?? ""} />
              </div>
              <Episodes episodes={mine()} />
            </div>
            <div class="stack">
              <LimitsCard
                app={app}
                kept={newest()}
                edited={edited()}
                edit={edit}
                changed={changed()}
                area={area}
                finishDraft={finishDraft}
                saved={saved}
              />
              <Owners app={app} robot={r()} again={robot.again} />
              <TakeOut app={app} robot={r()} again={robot.again} />
            </div>
          </div>
        </>
      )}
    </Show>
  );
}
