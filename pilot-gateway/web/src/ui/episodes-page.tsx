/** What was recorded. */
import { For, type JSX, Show } from "solid-js";
import { bytes, credits, distance, duration, shortId } from "../core/format";
import type { Episode } from "../core/model";
import { createData } from "./data";
import { follow } from "./router";
import { Empty, ProblemNote } from "./shell";
import type { AppState } from "./state";

export const EPISODE_WORDS: Readonly<Record<string, string>> = {
  recording: "recording",
  uploading: "uploading",
  accepted: "verified",
  refused: "refused",
};

export function EpisodeChip(props: { state: string }): JSX.Element {
  return <span class={`chip episode-${props.state}`}>{EPISODE_WORDS[props.state] ?? props.state}</span>;
}

export function when(atMs: number | null): string {
  if (atMs === null) return "–";
  return new Date(atMs).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
}

function Row(props: { episode: Episode }): JSX.Element {
  const e = props.episode;
  return (
    <tr>
      <td>
        <a href={`/episodes/${e.id}`} onClick={follow}>
          {e.missionName ?? "Free drive"}
        </a>
        <div class="dim">{shortId(e.id)}</div>
      </td>
      <td>{when(e.startedAtMs)}</td>
      <td class="wide">{e.driver?.name ?? "–"}</td>
      <td class="num">{e.durationS === null ? "–" : duration(e.durationS)}</td>
      <td class="num wide">{e.distanceM === null ? "–" : distance(e.distanceM)}</td>
      <td class="num wide">{e.size === null ? "–" : bytes(e.size)}</td>
      <td class="num">{e.earned === null ? "–" : credits(e.earned)}</td>
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
        <h1>Episodes</h1>
        <p class="dim">Every drive is one signed recording.</p>
      </div>
      <ProblemNote problem={episodes.problem()} again={episodes.again} />
      <Show when={episodes.value()?.length === 0}>
        <Empty title="Nothing recorded yet">
          Drive a mission: its recording appears here when you end it.
        </Empty>
      </Show>
      <Show when={(episodes.value()?.length ?? 0) > 0}>
        <div class="card table-card">
          <table>
            <thead>
              <tr>
                <th>Mission</th>
                <th>Started</th>
                <th class="wide">Driver</th>
                <th class="num">Time</th>
                <th class="num wide">Way</th>
                <th class="num wide">Size</th>
                <th class="num">Earned</th>
                <th>State</th>
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
