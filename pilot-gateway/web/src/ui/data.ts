/** Asking again: what a page shows is fetched at once, after every event that concerns it, and now and then. */
import { type Accessor, createSignal, onCleanup } from "solid-js";
import type { Problem } from "../core/model";
import type { Result } from "../io/api";
import { nowMs } from "../io/clock";
import type { AppState } from "./state";

const AGAIN_MS = 10_000;
const AFTER_EVENT_MS = 150;

export interface Data<T> {
  readonly value: Accessor<T | undefined>;
  readonly problem: Accessor<Problem | null>;
  /** When the value was asked for that is shown, on this page's clock. */
  readonly atMs: Accessor<number | null>;
  readonly again: () => void;
}

export function createData<T>(
  app: AppState,
  ask: () => Promise<Result<T>>,
  events: readonly string[],
  everyMs = AGAIN_MS,
): Data<T> {
  const [value, setValue] = createSignal<T | undefined>(undefined);
  const [problem, setProblem] = createSignal<Problem | null>(null);
  const [atMs, setAtMs] = createSignal<number | null>(null);
  let asking = false;
  let wanted = false;
  let over = false;
  const again = async () => {
    wanted = true;
    if (asking) return;
    asking = true;
    while (wanted && !over) {
      wanted = false;
      // When it was asked: the answer may be as old as that.
      const askedMs = nowMs();
      const result = await ask();
      if (over) return;
      setProblem(result.ok ? null : result.problem);
      if (!result.ok) continue;
      setValue(() => result.value);
      setAtMs(askedMs);
    }
    asking = false;
  };
  void again();
  const timer = setInterval(again, everyMs);
  let soon: ReturnType<typeof setTimeout> | undefined;
  const close = app.events.listen((name) => {
    if (!events.includes(name)) return;
    clearTimeout(soon);
    soon = setTimeout(again, AFTER_EVENT_MS);
  });
  onCleanup(() => {
    over = true;
    clearInterval(timer);
    clearTimeout(soon);
    close();
  });
  return { value, problem, atMs, again: () => void again() };
}
