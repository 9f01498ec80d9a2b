/** A sentence for ears: said once, without the numbers that count up; what is grave is said at once. */
import { createEffect, createSignal, type JSX } from "solid-js";
import { announce, SILENCE } from "../../core/announce";
import type { Gravity } from "../../core/status";

export function Announcer(props: { gravity: Gravity; words: string; nowMs: number }): JSX.Element {
  const [said, setSaid] = createSignal(SILENCE);
  createEffect(() => {
    const [gravity, words, now] = [props.gravity, props.words, props.nowMs];
    setSaid((before) => announce(before, { gravity, words }, now));
  });
  return (
    <>
      <p class="visually-hidden" role="status">
        {said().urgent ? "" : said().words}
      </p>
      <p class="visually-hidden" role="alert">
        {said().urgent ? said().words : ""}
      </p>
    </>
  );
}
