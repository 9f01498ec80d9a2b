/** One recording: whether it verifies, what it earned, its files. */
import { For, type JSX, Show } from "solid-js";
import { bytes, credits, distance, duration } from "../core/format";
import { createData } from "./data";
import { Files, Split, VerifyCommand } from "./episode-parts";
import { EpisodeChip, when } from "./episodes-page";
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
              <h1>{episode().missionName ?? "Free drive"}</h1>
              <EpisodeChip state={episode().state} />
            </div>
            <p class="dim id" data-testid="episode-id">
              {episode().id}
            </p>
            <div class="columns">
              <section class="card panel-card">
                <span class="label">Verification</span>
                <Show
                  when={episode().verified}
                  fallback={<h2>{episode().state === "refused" ? "Refused" : "Not yet verified"}</h2>}
                >
                  <h2 class="verified" data-testid="episode-verified">
                    Verified: whole, signed, accepted
                  </h2>
                </Show>
                <Show when={episode().reason}>{(reason) => <p class="why">{reason()}</p>}</Show>
                <ul class="checks">
                  <For each={episode().checks}>
                    {(check) => (
                      <li class={check.outcome}>
                        <span aria-hidden="true">{MARKS[check.outcome]}</span>
                        <b>{check.name}</b>
                        <span class="dim">{check.detail}</span>
                      </li>
                    )}
                  </For>
                </ul>
                <VerifyCommand app={app} id={episode().id} />
              </section>
              <section class="card panel-card">
                <span class="label">Earned</span>
                <Show when={episode().earned !== null} fallback={<p class="huge dim">–</p>}>
                  <p class="huge" data-testid="earned">
                    {credits(episode().earned ?? 0)}
                    <small>credits</small>
                  </p>
                </Show>
                <Show
                  when={episode().settlement}
                  fallback={<p class="dim">Nothing was paid for this drive.</p>}
                >
                  {(settlement) => <Split settlement={settlement()} />}
                </Show>
                <dl class="pairs">
                  <dt>Driver</dt>
                  <dd>{episode().driver?.name ?? "–"}</dd>
                  <dt>Robot</dt>
                  <dd>{episode().robot}</dd>
                  <dt>Started</dt>
                  <dd>{when(episode().startedAtMs)}</dd>
                  <dt>Time, way</dt>
                  <dd>
                    {episode().durationS === null ? "–" : duration(episode().durationS ?? 0)},{" "}
                    {episode().distanceM === null ? "–" : distance(episode().distanceM ?? 0)}
                  </dd>
                  <dt>Size</dt>
                  <dd>{episode().size === null ? "–" : bytes(episode().size ?? 0)}</dd>
                </dl>
              </section>
              <section class="card panel-card">
                <span class="label">Files</span>
                <Files app={app} episode={episode()} />
              </section>
            </div>
          </>
        )}
      </Show>
    </>
  );
}
