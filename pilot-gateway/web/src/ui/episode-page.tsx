/** One recording: whether it verifies, what it earned, its files. */
import { For, type JSX, Show } from "solid-js";
import { UNKNOWN } from "../core/say";
import { createData } from "./data";
import { Files, Split, VerifyCommand } from "./episode-parts";
import { EpisodeChip } from "./episodes-page";
import { m, say } from "./say";
import { ProblemNote } from "./shell";
import type { AppState } from "./state";

const MARKS = { passed: "✓", failed: "✕", not_checked: "–" } as const;

export function EpisodePage(props: { app: AppState; id: string }): JSX.Element {
  const { app, id } = props;
  const data = createData(app, () => app.api.episode(id), ["episode", "mission"], 4_000);
  return (
    <>
      <ProblemNote problem={data.problem()} again={data.again} />
      <Show when={data.value()}>
        {(episode) => (
          <>
            <div class="page-head">
              <h1>{episode().missionName ?? m().episodes.freeDrive}</h1>
              <EpisodeChip state={episode().state} />
            </div>
            <p class="dim id" data-testid="episode-id">
              {episode().id}
            </p>
            <div class="columns">
              <section class="card panel-card">
                <span class="label">{m().episodes.verification}</span>
                <Show
                  when={episode().verified}
                  fallback={<h2>{episode().state === "refused" ? m().episodes.refused : m().end.notYet}</h2>}
                >
                  <h2 class="verified" data-testid="episode-verified">
                    {m().end.whole}
                  </h2>
                </Show>
                <Show when={episode().reason}>{(reason) => <p class="why">{reason()}</p>}</Show>
                <ul class="checks">
                  <For each={episode().checks}>
                    {(check) => (
                      <li class={check.outcome}>
                        <span aria-hidden="true">{MARKS[check.outcome]}</span>
                        <span class="visually-hidden">{m().episodes.outcomes[check.outcome]}</span>
                        <b>{m().episodes.checks[check.name] ?? check.name}</b>
                        <span class="dim">{check.detail}</span>
                      </li>
                    )}
                  </For>
                </ul>
                <VerifyCommand app={app} id={episode().id} />
              </section>
              <section class="card panel-card">
                <span class="label">{m().end.earned}</span>
                <Show when={episode().earned !== null} fallback={<p class="huge dim">{UNKNOWN}</p>}>
                  <p class="huge" data-testid="earned">
                    {say().credits(episode().earned ?? 0)}
                    <small>{m().end.credits}</small>
                  </p>
                </Show>
                <Show when={episode().settlement} fallback={<p class="dim">{m().episodes.nothingPaid}</p>}>
                  {(settlement) => <Split settlement={settlement()} />}
                </Show>
                <dl class="pairs">
                  <dt>{m().episodes.driver}</dt>
                  <dd>{episode().driver?.name ?? UNKNOWN}</dd>
                  <dt>{m().episodes.robot}</dt>
                  <dd>{episode().robot}</dd>
                  <dt>{m().episodes.started}</dt>
                  <dd>{say().when(episode().startedAtMs)}</dd>
                  <dt>{m().episodes.timeWay}</dt>
                  <dd>
                    {episode().durationS === null ? UNKNOWN : say().duration(episode().durationS ?? 0)},{" "}
                    {episode().distanceM === null ? UNKNOWN : say().distance(episode().distanceM ?? 0)}
                  </dd>
                  <dt>{m().episodes.size}</dt>
                  <dd>{episode().size === null ? UNKNOWN : say().bytes(episode().size ?? 0)}</dd>
                </dl>
              </section>
              <section class="card panel-card">
                <span class="label">{m().episodes.files}</span>
                <Files app={app} episode={episode()} />
              </section>
            </div>
          </>
        )}
      </Show>
    </>
  );
}
