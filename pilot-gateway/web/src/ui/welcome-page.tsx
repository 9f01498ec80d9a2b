/** For a browser without a key: what to do now. */
import { type JSX, Show } from "solid-js";
import { KeyImport } from "./key-import";
import { ProblemNote } from "./shell";
import type { AppState } from "./state";

export function WelcomePage(props: { app: AppState }): JSX.Element {
  const { app } = props;
  return (
    <div class="narrow">
      <ProblemNote problem={app.problem()} {...(app.identity() ? { again: () => void app.signIn() } : {})} />
      <Show when={app.identity() === null}>
        <div class="card join">
          <h1>Drive sidewalk robots from here.</h1>
          <p class="dim">
            Pilots come by invitation: open the link that an operator sent you. If you have been here before
            with another browser, bring your key file.
          </p>
          <KeyImport app={app} />
        </div>
      </Show>
    </div>
  );
}
