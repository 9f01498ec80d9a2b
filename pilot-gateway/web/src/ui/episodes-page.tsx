/** What was recorded. */
import { For, type JSX, Show } from "solid-js";
import { shortId } from "../core/format";
import type { Episode } from "../core/model";
import { UNKNOWN } from "../core/say";
import { createData } from "./data";
import { follow } from "./router";
import { m, say } from "./say";
import { Empty, ProblemNote } from "./shell";
import type { AppState } from "./state";

export function EpisodeChip(props: { state: string }): JSX.Element {
  return (
    <span class={`chip episode-${props.state}`}>{m().pages.episodeStates[props.state] ?? props.state}</span>
  );
}

function Row(props: { episode: Episode }): JSX.Element {
  const e = props.episode;
  return (
    <tr>
      <td>
        <a href={`/episodes/${e.id}`} onClick={follow}>
          {e.missionName ?? m().episodes.freeDrive}
        </a>
        <div class="dim">{shortId(e.id)}</div>
      </td>
      <td>{say().when(e.startedAtMs)}</td>
      <td class="wide">{e.driver?.name ?? UNKNOWN}</td>
      <td class="num">{e.durationS === null ? UNKNOWN : say().duration(e.durationS)}</td>
      <td class="num wide">{e.distanceM === null ? UNKNOWN : say().distance(e.distanceM)}</td>
      <td class="num wide">{e.size === null ? UNKNOWN : say().bytes(e.size)}</td>
      <td class="num">{e.earned === null ? UNKNOWN : say().credits(e.earned)}</td>
      <td>
        <EpisodeChip state={e.state} />
      </td>
    </tr>
  );
}

export function EpisodesPage(props: { app: AppState }): JSX.Element {
  const { app } = props;
  const episodes = createData(app, app.api.episodes, ["episode"]);
  return (
    <>
      <div class="page-head">
        <h1>{m().episodes.title}</h1>
        <p class="dim">{m().episodes.intro}</p>
      </div>
      <ProblemNote problem={episodes.problem()} again={episodes.again} />
      <Show when={episodes.value()?.length === 0}>
        <Empty title={m().episodes.none}>{m().episodes.noneDetail}</Empty>
      </Show>
      <Show when={(episodes.value()?.length ?? 0) > 0}>
        <div class="card table-card">
          <table>
            <thead>
              <tr>
                <th scope="col">{m().episodes.mission}</th>
                <th scope="col">{m().episodes.started}</th>
                <th class="wide" scope="col">
                  {m().episodes.driver}
                </th>
                <th class="num" scope="col">
                  {m().episodes.time}
                </th>
                <th class="num wide" scope="col">
                  {m().episodes.way}
                </th>
                <th class="num wide" scope="col">
                  {m().episodes.size}
                </th>
                <th class="num" scope="col">
                  {m().episodes.earned}
                </th>
                <th scope="col">{m().episodes.state}</th>
              </tr>
            </thead>
            <tbody>
              <For each={episodes.value()}>{(episode) => <Row episode={episode} />}</For>
            </tbody>
          </table>
        </div>
      </Show>
    </>
  );
}
