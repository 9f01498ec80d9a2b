/** The check before a drive: what works, what does not, and what to do about it. */
import { createMemo, createSignal, For, type JSX, onCleanup, Show } from "solid-js";
import { type BrowserFacts, browserLines, inputLine, linkLines, type Measured, overall } from "../core/check";
import { bandwidth, browserFacts, roundTrips } from "../io/check";
import { gamepads } from "../io/gamepads";
import { follow } from "./router";
import { m, preferences, say } from "./say";
import type { AppState } from "./state";

const MARKS = { ok: "✓", warn: "!", fail: "✕", running: "…" } as const;
const LOOK_AT_PAD_MS = 500;

export function CheckPage(props: { app: AppState }): JSX.Element {
  const nothing: Measured = { roundTripsMs: null, bitsPerSecond: null, bandwidthFailed: false };
  const [facts, setFacts] = createSignal<BrowserFacts | null>(null);
  const [measured, setMeasured] = createSignal<Measured>(nothing);
  const [busy, setBusy] = createSignal(false);
  const firstPad = () => gamepads(preferences().inputs.gamepads)[0] ?? null;
  const [pad, setPad] = createSignal(firstPad());
  const look = setInterval(() => setPad(firstPad()), LOOK_AT_PAD_MS);
  onCleanup(() => clearInterval(look));
  let over = false;
  onCleanup(() => {
    over = true;
  });
  const run = async () => {
    setBusy(true);
    setMeasured(nothing);
    setFacts(await browserFacts());
    const trips = await roundTrips(props.app.api);
    if (over) return;
    setMeasured((now) => ({ ...now, roundTripsMs: trips }));
    const rate = await bandwidth();
    if (over) return;
    setMeasured((now) => ({ ...now, bitsPerSecond: rate, bandwidthFailed: rate === null }));
    setBusy(false);
  };
  void run();
  const lines = createMemo(() => {
    const browser = facts();
    if (browser === null) return [];
    const now = pad();
    const hands = inputLine(
      now === null ? null : { name: now.id, known: now.mapping !== null },
      browser.touch,
      say(),
    );
    return [...browserLines(browser, say()), hands, ...linkLines(measured(), say())];
  });
  const verdict = createMemo(() => (lines().length === 0 ? "running" : overall(lines())));
  const words = () => {
    const check = m().check;
    return { ok: check.allWell, warn: check.warn, fail: check.fail, running: check.running }[verdict()];
  };
  return (
    <>
      <div class="page-head">
        <h1>{m().check.title}</h1>
        <p class="dim">{m().check.intro}</p>
      </div>
      <section class={`card check ${verdict()}`} data-testid="check" data-verdict={verdict()}>
        <p class="check-verdict" role="status">
          <span class="check-mark" aria-hidden="true">
            {MARKS[verdict()]}
          </span>
          {words()}
        </p>
        <ul class="check-lines">
          <For each={lines()}>
            {(line) => (
              <li class={line.verdict} data-check={line.key} data-verdict={line.verdict}>
                <span class="check-mark" aria-hidden="true">
                  {MARKS[line.verdict]}
                </span>
                <b>{line.name}</b>
                <span class="chip">{m().check.verdicts[line.verdict]}</span>
                <span class="check-words">{line.words}</span>
              </li>
            )}
          </For>
        </ul>
        <p class="dim">{m().check.note}</p>
        <div class="row wrap">
          <button type="button" class="button quiet" disabled={busy()} onClick={() => void run()}>
            {busy() ? m().check.running : m().check.again}
          </button>
          <Show when={props.app.session()}>
            <a class="button" href="/" onClick={follow}>
              {m().check.missionsLink}
            </a>
          </Show>
          <a class="button quiet" href="/settings" onClick={follow}>
            {m().check.settingsLink}
          </a>
        </div>
      </section>
    </>
  );
}
