/** The keyboard: what each key does, which are down now, and how slow slow is. */
import { createSignal, For, type JSX, onCleanup } from "solid-js";
import { m, preferences, setPreferences } from "../say";
import { Percent } from "./parts";

export function KeyboardCard(): JSX.Element {
  const [down, setDown] = createSignal<ReadonlySet<string>>(new Set());
  const note = (event: KeyboardEvent) => {
    const next = new Set(down());
    if (event.type === "keydown") next.add(event.code);
    else next.delete(event.code);
    setDown(next);
  };
  const clear = () => setDown(new Set<string>());
  window.addEventListener("keydown", note);
  window.addEventListener("keyup", note);
  window.addEventListener("blur", clear);
  onCleanup(() => {
    window.removeEventListener("keydown", note);
    window.removeEventListener("keyup", note);
    window.removeEventListener("blur", clear);
  });
  const rows = () => {
    const words = m().settings;
    return [
      {
        keys: [
          ["W", "KeyW"],
          ["A", "KeyA"],
          ["S", "KeyS"],
          ["D", "KeyD"],
        ],
        words: words.keysDrive,
      },
      {
        keys: [
          ["▲", "ArrowUp"],
          ["◀", "ArrowLeft"],
          ["▼", "ArrowDown"],
          ["▶", "ArrowRight"],
        ],
        words: words.keysDrive,
      },
      { keys: [[words.shift, "ShiftLeft"]], words: words.keysSlow },
      {
        keys: [
          ["M", "KeyM"],
          ["G", "KeyG"],
        ],
        words: words.keysGoal,
      },
      {
        keys: [
          ["H", "KeyH"],
          ["R", "KeyR"],
        ],
        words: words.keysHorn,
      },
      { keys: [[words.space, "Space"]], words: words.keysStop },
    ] as const;
  };
  const slow = () => preferences().inputs.slowShare;
  return (
    <section class="card panel-card" aria-labelledby="keyboard-title">
      <h2 id="keyboard-title">{m().settings.keyboard}</h2>
      <p class="dim">{m().settings.keyboardIntro}</p>
      <dl class="key-list">
        <For each={rows()}>
          {(row) => (
            <>
              <dt>
                <For each={row.keys}>
                  {([letter, code]) => <kbd classList={{ on: down().has(code) }}>{letter}</kbd>}
                </For>
              </dt>
              <dd>{row.words}</dd>
            </>
          )}
        </For>
      </dl>
      <Percent
        label={m().settings.slow}
        value={slow()}
        min={0.1}
        testid="slow-share"
        onChange={(slowShare) =>
          setPreferences({ ...preferences(), inputs: { ...preferences().inputs, slowShare } })
        }
      />
    </section>
  );
}
