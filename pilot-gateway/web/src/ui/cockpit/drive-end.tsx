/** After the drive: what became of its recording, what it earned, and what to do next. */
import { createMemo, For, type JSX, Show } from "solid-js";
import { canDrive } from "../../core/can";
import type { Episode, Mission } from "../../core/model";
import { createData } from "../data";
import { Files, Split, VerifyCommand } from "../episode-parts";
import { follow } from "../router";
import { m, say } from "../say";
import { Mark, ProblemNote } from "../shell";
import type { AppState } from "../state";

interface Step {
  readonly words: string;
  readonly done: boolean;
  readonly failed: boolean;
  readonly detail: string;
}

function steps(episode: Episode | undefined, mission: Mission | undefined): readonly Step[] {
  const state = episode?.state ?? "recording";
  const size = episode?.files.reduce((sum, f) => sum + f.size, 0) ?? 0;
  const received = episode?.files.reduce((sum, f) => sum + f.received, 0) ?? 0;
  const words = m().end;
  const share = say().percent(size === 0 ? 0 : Math.floor((received / size) * 100) / 100);
  const sealed = state !== "recording";
  const accepted = state === "accepted";
  const refused = state === "refused";
  const step = (words: string, done: boolean, detail = "", failed = false) => ({
    words,
    done,
    failed,
    detail,
  });
  return [
    step(words.sealed, sealed, sealed ? "" : words.closing),
    step(words.uploaded, accepted || refused, sealed && !accepted && !refused ? words.arrived(share) : ""),
    step(
      refused ? words.refused : words.verified,
      accepted,
      episode?.reason ?? (accepted ? words.verifiedDetail : ""),
      refused,
    ),
    paidStep(episode, mission, step),
  ];
}

function paidStep(
  episode: Episode | undefined,
  mission: Mission | undefined,
  step: (words: string, done: boolean, detail?: string, failed?: boolean) => Step,
): Step {
  const words = m().end;
  if (episode?.earned != null) {
    return step(words.paid, true, words.forYou(say().credits(episode.earned)));
  }
  if (mission !== undefined && mission.reached < mission.checkpoints.length && mission.state === "open") {
    return step(words.notPaid, false, words.notPaidDetail, true);
  }
  return step(words.paid, false);
}

export function DriveEnd(props: {
  app: AppState;
  episodeId: string;
  missionId: string | null;
  why: string;
}): JSX.Element {
  const { app, episodeId, missionId } = props;
  const data = createData(app, () => app.api.episode(episodeId), ["episode", "mission"], 1_000);
  const missions = createData(app, app.api.missions, ["mission", "episode"], 3_000);
  const robots = createData(app, app.api.robots, ["lease"], 5_000);
  const mission = createMemo(() => missions.value()?.find((each) => each.id === missionId));
  const next = createMemo(() =>
    missions.value()?.find((each) => {
      const robot = robots.value()?.find((r) => r.id === each.robot) ?? null;
      return canDrive(each, robot, app.session()?.claims ?? { did: "", role: "" }, m()).ok;
    }),
  );
  const waiting = () => data.problem()?.status === 404;
  const earned = () => data.value()?.earned ?? null;
  const accepted = () => data.value()?.state === "accepted";
  return (
    <main class="end-page">
      <div class="card end-card">
        <div class="row spread">
          <span class="brand">
            <Mark />
            {mission()?.name ?? m().end.yourDrive}
          </span>
          <h1 class="dim end-why">{props.why}</h1>
        </div>
        <div class="end-columns">
          <div>
            <span class="label">{m().end.earned}</span>
            <Show when={earned() !== null} fallback={<p class="huge dim">–</p>}>
              <p class="huge" data-testid="earned" data-credits={earned() ?? ""}>
                {say().credits(earned() ?? 0)}
                <small>{m().end.credits}</small>
              </p>
            </Show>
            <Show when={data.value()?.settlement ?? mission()?.settlement}>
              {(settlement) => <Split settlement={settlement()} />}
            </Show>
            <ol class="steps">
              <For each={steps(data.value(), mission())}>
                {(step) => (
                  <li classList={{ done: step.done, failed: step.failed }}>
                    <span aria-hidden="true">{step.done ? "✓" : step.failed ? "✕" : "·"}</span>
                    <b>{step.words}</b>
                    <Show when={step.detail}>
                      <span class="dim">{step.detail}</span>
                    </Show>
                  </li>
                )}
              </For>
            </ol>
          </div>
          <div>
            <span class="label">{m().end.episode}</span>
            <p class="id" data-testid="episode-id">
              {episodeId}
            </p>
            <Show when={accepted()} fallback={<p class="dim">{m().end.notYet}</p>}>
              <p class="verified" data-testid="episode-verified">
                {m().end.whole}
              </p>
            </Show>
            <Show when={data.value()}>
              {(episode) => (
                <>
                  <p class="dim">
                    {episode().durationS === null
                      ? ""
                      : m().end.ofDriving(say().duration(episode().durationS ?? 0))}
                    {episode().distanceM === null ? "" : `, ${say().distance(episode().distanceM ?? 0)}`}
                  </p>
                  <Show when={episode().state === "accepted"}>
                    <Files app={app} episode={episode()} />
                    <VerifyCommand app={app} id={episode().id} />
                  </Show>
                </>
              )}
            </Show>
            <Show when={!waiting()}>
              <ProblemNote problem={data.problem()} />
            </Show>
          </div>
        </div>
        <div class="row wrap end-actions">
          <Show when={next()}>
            {(after) => (
              // A full load: a new drive begins with nothing left of this one.
              <a class="button" href={`/drive/${after().id}`} data-testid="next-mission">
                {after().id === missionId ? m().end.takeAgain : m().end.next(after().name)}
              </a>
            )}
          </Show>
          <a class={next() ? "button quiet" : "button"} href="/" onClick={follow}>
            {m().end.allMissions}
          </a>
          <a class="button quiet" href={`/episodes/${episodeId}`} onClick={follow}>
            {m().end.thisEpisode}
          </a>
        </div>
      </div>
    </main>
  );
}
