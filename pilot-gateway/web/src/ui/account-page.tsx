/** Name, key and balance. */
import { createSignal, type JSX, Show } from "solid-js";
import { UNKNOWN } from "../core/say";
import { forgetIdentity } from "../io/keys";
import { createData } from "./data";
import { download } from "./download";
import { KeyImport } from "./key-import";
import { PhoneCard } from "./phone-card";
import { navigate } from "./router";
import { m, say } from "./say";
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
        <h1>{m().account.title}</h1>
      </div>
      <ProblemNote problem={me.problem()} again={me.again} />
      <Show when={me.value()}>
        {(mine) => (
          <div class="columns">
            <section class="card panel-card">
              <span class="label">{m().account.balance}</span>
              <p class="huge" data-testid="balance">
                {mine().balance === null ? UNKNOWN : say().credits(mine().balance ?? 0)}
                <small>{m().end.credits}</small>
              </p>
              <p class="dim">{m().account.earned(say().credits(mine().earnings))}</p>
            </section>
            <section class="card panel-card">
              <span class="label">{m().pages.roles[mine().role] ?? mine().role}</span>
              <h2>{mine().name}</h2>
              <code class="did">{mine().did}</code>
              <button type="button" class="button quiet" onClick={() => copy(mine().did)}>
                {copied() ? m().account.copied : m().account.copy}
              </button>
            </section>
            <section class="card panel-card">
              <span class="label">{m().account.key}</span>
              <p>{m().account.keyWords}</p>
              <div class="row wrap">
                <button type="button" class="button" data-testid="key-export" onClick={save}>
                  {m().account.save}
                </button>
                <KeyImport app={app} />
              </div>
              <Show when={saved()}>
                <p class="dim">{m().account.saved}</p>
                <button type="button" class="button quiet" onClick={leave}>
                  {m().account.remove}
                </button>
              </Show>
            </section>
            <PhoneCard app={app} />
          </div>
        )}
      </Show>
    </>
  );
}
