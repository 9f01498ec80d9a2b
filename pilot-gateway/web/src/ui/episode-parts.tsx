/** Parts that the episode's page and the end of a drive share. */
import { createResource, createSignal, For, type JSX, Show } from "solid-js";
import type { Episode, Settlement } from "../core/model";
import { problemWords } from "../core/problem";
import { download } from "./download";
import { m, say } from "./say";
import type { AppState } from "./state";

/** Who got what: one bar, three parts, in words as well. */
export function Split(props: { settlement: Settlement }): JSX.Element {
  const parts = () => [
    { who: m().episodes.you, amount: props.settlement.pilot, kind: "pilot" },
    ...props.settlement.owners.map((o) => ({ who: o.name, amount: o.amount, kind: "owner" })),
    { who: m().episodes.operator, amount: props.settlement.operator, kind: "operator" },
  ];
  return (
    <div class="split">
      <div class="split-bar">
        <For each={parts()}>{(part) => <i class={part.kind} style={{ "flex-grow": part.amount }} />}</For>
      </div>
      <ul>
        <For each={parts()}>
          {(part) => (
            <li>
              <i class={part.kind} />
              <span>{part.who}</span>
              <b>{say().credits(part.amount)}</b>
            </li>
          )}
        </For>
      </ul>
    </div>
  );
}

export function Files(props: { app: AppState; episode: Episode }): JSX.Element {
  const [busy, setBusy] = createSignal<string | null>(null);
  const [words, setWords] = createSignal("");
  const fetchFile = async (name: string) => {
    setBusy(name);
    const result = await props.app.api.episodeFile(props.episode.id, name);
    setBusy(null);
    if (result.ok) download(name, result.value);
    setWords(result.ok ? "" : problemWords(result.problem, m()));
  };
  const names = () => {
    const files = props.episode.files.map(({ name, size }) => ({ name, size: say().bytes(size) }));
    const manifest = "manifest.dsse.json";
    return files.some((f) => f.name === manifest) ? files : [...files, { name: manifest, size: "" }];
  };
  return (
    <>
      <ul class="files">
        <For each={names()}>
          {(file) => (
            <li>
              <button
                type="button"
                class="link"
                disabled={busy() !== null}
                onClick={() => fetchFile(file.name)}
                data-testid="episode-file"
              >
                {file.name}
              </button>
              <span class="dim">{busy() === file.name ? m().episodes.fetching : file.size}</span>
            </li>
          )}
        </For>
      </ul>
      <Show when={words() !== ""}>
        <p class="why" role="alert">
          {words()}
        </p>
      </Show>
    </>
  );
}

/** How anyone checks it without us. */
export function VerifyCommand(props: { app: AppState; id: string }): JSX.Element {
  const [config] = createResource(() => props.app.api.config());
  const fleet = () => {
    const result = config();
    return result?.ok ? ` --fleet ${result.value.fleetDid}` : "";
  };
  return (
    <div class="command">
      <p class="dim">{m().episodes.offline}</p>
      <code translate="no">
        episode verify {props.id}
        {fleet()}
      </code>
    </div>
  );
}
