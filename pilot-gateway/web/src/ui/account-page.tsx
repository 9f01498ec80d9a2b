/** Name, key and balance. */
import { createSignal, type JSX, Show } from "solid-js";
import { credits } from "../core/format";
import { forgetIdentity } from "../io/keys";
import { createData } from "./data";
import { download } from "./download";
import { KeyImport } from "./key-import";
import { navigate } from "./router";
import { ProblemNote } from "./shell";
import type { AppState } from "./state";

export function AccountPage(props: { app: AppState }): JSX.Element {
  const { app } = props;
  const me = createData(app, app.api.me, ["mission"]);
  const [saved, setSaved] = createSignal(false);
  const [copied, setCopied] = createSignal(false);
  const save = async () => {
    const pem = await app.identity()?.exportPem();
    if (pem === undefined) return;
    download("longrein-key.pem", new Blob([pem], { type: "application/x-pem-file" }));
    setSaved(true);
  };
  const leave = async () => {
    await forgetIdentity();
    app.signOut();
    navigate("/");
  };
  const copy = async (did: string) => {
    await navigator.clipboard.writeText(did).catch(() => undefined);
    setCopied(true);
  };
  return (
    <>
      <div class="page-head">
        <h1>Account</h1>
      </div>
      <ProblemNote problem={me.problem()} again={me.again} />
      <Show when={me.value()}>
        {(mine) => (
          <div class="columns">
            <section class="card panel-card">
              <span class="label">Balance</span>
              <p class="huge" data-testid="balance">
                {mine().balance === null ? "–" : credits(mine().balance ?? 0)}
                <small>credits</small>
              </p>
              <p class="dim">
                {credits(mine().earnings)} earned so far, paid when a drive's recording is accepted.
              </p>
            </section>
            <section class="card panel-card">
              <span class="label">{mine().role}</span>
              <h2>{mine().name}</h2>
              <code class="did">{mine().did}</code>
              <button type="button" class="button quiet" onClick={() => copy(mine().did)}>
                {copied() ? "Copied" : "Copy the name of my key"}
              </button>
            </section>
            <section class="card panel-card">
              <span class="label">Key</span>
              <p>
                Your key is your sign-in and signs what you drive. It lies in this browser only: save it, or
                clearing the browser's data locks you out.
              </p>
              <div class="row wrap">
                <button type="button" class="button" data-testid="key-export" onClick={save}>
                  Save the key to a file
                </button>
                <KeyImport app={app} />
              </div>
              <Show when={saved()}>
                <p class="dim">Saved as longrein-key.pem. Whoever has this file can drive in your name.</p>
                <button type="button" class="button quiet" onClick={leave}>
                  Remove the key from this browser
                </button>
              </Show>
            </section>
          </div>
        )}
      </Show>
    </>
  );
}
