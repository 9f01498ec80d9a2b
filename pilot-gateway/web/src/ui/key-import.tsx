/** Takes over a key file from another browser or machine. */
import { createSignal, type JSX, Show } from "solid-js";
import { problemWords } from "../core/problem";
import { importPem } from "../io/keys";
import { navigate } from "./router";
import { m } from "./say";
import type { AppState } from "./state";

const FILE_LEN_MAX = 10_000;

export function KeyImport(props: { app: AppState }): JSX.Element {
  const [words, setWords] = createSignal("");
  const refusal = () => {
    const problem = props.app.problem();
    return problem === null ? null : problemWords(problem, m());
  };
  const take = async (file: File | undefined) => {
    if (file === undefined) return;
    const identity = file.size > FILE_LEN_MAX ? null : await importPem(await file.text()).catch(() => null);
    if (identity === null) {
      setWords(m().welcome.noKey);
      return;
    }
    props.app.adopt(identity, null);
    if (await props.app.signIn()) navigate("/");
    else setWords(refusal() ?? m().welcome.unknownKey);
  };
  return (
    <div class="import">
      <label class="button quiet">
        {m().welcome.useKey}
        <input
          class="visually-hidden"
          type="file"
          accept=".pem,.key,text/plain"
          data-testid="key-import"
          onChange={(e) => take(e.currentTarget.files?.[0])}
        />
      </label>
      <Show when={words() !== ""}>
        <p class="why" role="alert">
          {words()}
        </p>
      </Show>
    </div>
  );
}
