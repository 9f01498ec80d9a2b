/** A number with its age beside it; stale is a word, a dashed frame and slanted letters, not only a colour. */
import { type JSX, Show } from "solid-js";
import type { Shown } from "../../core/age";
import { m } from "../say";

export function Aged(props: { shown: Shown; warn?: boolean; testid?: string }): JSX.Element {
  return (
    <span
      class={`aged ${props.shown.freshness}${props.warn === true ? " warn" : ""}`}
      data-testid={props.testid}
    >
      {props.shown.text}
      <AgeOf age={props.shown.age} />
    </span>
  );
}

/** How old what stands before it is. */
export function AgeOf(props: { age: string }): JSX.Element {
  return (
    <Show when={props.age !== ""}>
      <small class="age-of" title={m().age.title(props.age)}>
        {props.age}
      </small>
    </Show>
  );
}
