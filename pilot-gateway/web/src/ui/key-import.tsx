/** Takes over a key file from another browser or machine. */
import { createSignal, type JSX, Show } from "solid-js";
import { importPem } from "../io/keys";
import { navigate } from "./router";
import type { AppState } from "./state";

const FILE_LEN_MAX = 10_000;

export function KeyImport(props: { app: AppState }): JSX.Element {
  const [words, setWords] = createSignal("");
  const take = async (file: File | undefined) => {
    if (file === undefined) return;
    const identity = file.size > FILE_LEN_MAX ? null : await importPem(await file.text()).catch(() => null);
    if (identity === null) {
      setWords("That is no Ed25519 key file. It starts with '-----BEGIN PRIVATE KEY-----'.");
      return;
    }
    props.app.adopt(identity, null);
    if (await props.app.signIn()) navigate("/");
    else setWords(props.app.problem()?.detail ?? "The fleet does not know this key.");
  };
  return (
    <div class="import">
      <label class="button quiet">
        Use a key file
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
