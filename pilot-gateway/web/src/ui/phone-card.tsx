/** The way to this page for a phone on the same network: an address, its QR code, and what to compare. */
import { createResource, createSignal, type JSX, onCleanup, Show } from "solid-js";
import type { Problem } from "../core/model";
import { QrCode } from "./qr-code";
import { m } from "./say";
import { ProblemNote } from "./shell";
import type { AppState } from "./state";

/** A phone that lies beside the screen is at hand at once. */
const LINK_VALID_S = 600;

export function PhoneCard(props: { app: AppState }): JSX.Element {
  const { app } = props;
  const [asked] = createResource(async () => {
    const result = await app.api.phone();
    return result.ok ? result.value : null;
  });
  const [link, setLink] = createSignal<string | null>(null);
  const [problem, setProblem] = createSignal<Problem | null>(null);
  const mayInvite = () => app.session()?.claims.role === "operator";
  const url = () => asked()?.urls[0];
  let forget: ReturnType<typeof setTimeout> | undefined;
  onCleanup(() => clearTimeout(forget));
  const invite = async () => {
    const made = await app.api.invite("pilot", LINK_VALID_S);
    if (!made.ok) {
      setProblem(made.problem);
      return;
    }
    setProblem(null);
    setLink(made.value);
    clearTimeout(forget);
    // A code that is over must not stay on the screen.
    forget = setTimeout(() => setLink(null), LINK_VALID_S * 1000);
  };
  return (
    <Show when={url()}>
      {(base) => (
        <section class="card panel-card" data-testid="phone-card">
          <h2>{m().phone.title}</h2>
          <div class="phone-way">
            <QrCode
              text={`${base()}${link() ?? "/"}`}
              label={link() === null ? m().phone.qr : m().phone.qrJoin}
            />
            <div>
              <p>{link() === null ? m().phone.how : m().phone.join(LINK_VALID_S / 60)}</p>
              <p>
                <a href={base()} data-testid="phone-url">
                  {base()}
                </a>
              </p>
              <Show when={mayInvite()}>
                <button type="button" class="button quiet" data-testid="phone-invite" onClick={invite}>
                  {m().phone.invite}
                </button>
              </Show>
              <ProblemNote problem={problem()} />
            </div>
          </div>
          <Show when={link() === null}>
            <p class="dim">{m().phone.key}</p>
          </Show>
          <Show when={asked()?.root}>
            {(root) => (
              <details>
                <summary>{m().phone.warning}</summary>
                <p>{m().phone.compare}</p>
                <code class="did">{asked()?.certificateSha256}</code>
                <p>
                  {m().phone.install} <a href={root().path}>{m().phone.root}</a>. {m().phone.bounds}
                </p>
                <code class="did">{root().sha256}</code>
              </details>
            )}
          </Show>
        </section>
      )}
    </Show>
  );
}
