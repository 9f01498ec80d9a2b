/** For a browser without a key: what to do now. */
import { type JSX, Show } from "solid-js";
import { KeyImport } from "./key-import";
import { m } from "./say";
import { ProblemNote } from "./shell";
import type { AppState } from "./state";

export function WelcomePage(props: { app: AppState }): JSX.Element {
  const { app } = props;
  return (
    <div class="narrow">
      <ProblemNote problem={app.problem()} {...(app.identity() ? { again: () => void app.signIn() } : {})} />
      <Show when={app.identity() === null}>
        <div class="card join">
          <h1>{m().welcome.title}</h1>
          <p class="dim">{m().welcome.intro}</p>
          <KeyImport app={app} />
        </div>
      </Show>
    </div>
  );
}
