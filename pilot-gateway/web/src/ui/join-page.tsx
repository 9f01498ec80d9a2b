/** The first page of a new pilot: who invites, what happens, one field, one button. */
import { createResource, createSignal, type JSX, Show } from "solid-js";
import { shortDid } from "../core/format";
import type { Problem } from "../core/model";
import { createIdentity } from "../io/keys";
import { follow, navigate } from "./router";
import { ProblemNote } from "./shell";
import type { AppState } from "./state";

const ROLE_WORDS: Readonly<Record<string, string>> = {
  pilot: "to drive robots as a pilot",
  agent: "to let a program drive",
  owner: "as an owner of robots",
  operator: "to run the fleet",
  gateway: "as a gateway",
};

const NAME_LEN_MAX = 60;

const BAD_CODE: Problem = {
  status: 404,
  code: "bad-code",
  title: "bad code",
  detail:
    "This invitation is not valid: it was used, has expired, or was copied incompletely. Ask for a new link.",
};

function inviter(invitedBy: string): string {
  return invitedBy.startsWith("did:") ? shortDid(invitedBy) : invitedBy || "An operator";
}

export function JoinPage(props: { app: AppState; code: string }): JSX.Element {
  const { app } = props;
  const [name, setName] = createSignal("");
  const [problem, setProblem] = createSignal<Problem | null>(null);
  const [busy, setBusy] = createSignal(false);
  const [asked, { refetch }] = createResource(
    () => props.code,
    (code) => app.api.invitation(code),
  );
  const invitation = () => {
    const result = asked();
    return result?.ok && result.value.valid ? result.value : null;
  };
  const refusal = (): Problem | null => {
    if (props.code === "") return BAD_CODE;
    const result = asked();
    if (result === undefined) return null;
    if (!result.ok) return result.problem.status === 404 ? BAD_CODE : result.problem;
    return result.value.valid ? null : BAD_CODE;
  };
  const join = async (event: SubmitEvent) => {
    event.preventDefault();
    const called = name().trim();
    if (called === "" || busy()) return;
    setBusy(true);
    try {
      const identity = app.identity() ?? (await createIdentity());
      const accepted = await app.api.accept(props.code, called, identity);
      if (accepted.ok) {
        app.adopt(identity, accepted.value);
        navigate(accepted.value.claims.role === "owner" ? "/robots" : "/");
      } else setProblem(accepted.problem);
    } catch (error) {
      console.error(error);
      setProblem({
        ...BAD_CODE,
        detail: "This browser can't make or keep an Ed25519 key. Use a current browser.",
      });
    }
    setBusy(false);
  };
  return (
    <div class="narrow">
      <Show when={app.session()?.claims.name}>
        {(me) => (
          <p class="note">
            This browser already belongs to <b>{me()}</b>.{" "}
            <a href="/" onClick={follow}>
              Go to the missions
            </a>
            .
          </p>
        )}
      </Show>
      <ProblemNote
        problem={problem() ?? refusal()}
        {...(asked() && !invitation() ? { again: refetch } : {})}
      />
      <Show when={invitation()}>
        {(invited) => (
          <form class="card join" onSubmit={join}>
            <h1>
              {inviter(invited().invitedBy)} invites you{" "}
              {ROLE_WORDS[invited().role] ?? `as ${invited().role}`}.
            </h1>
            <p class="dim">
              This browser makes a key of its own. It is your sign-in: no password, nothing to remember. The
              key stays here; you can save it to a file later, on the account page.
            </p>
            <label>
              Your name, as others will see it
              <input
                data-testid="join-name"
                name="name"
                autocomplete="nickname"
                maxlength={NAME_LEN_MAX}
                required
                value={name()}
                onInput={(e) => setName(e.currentTarget.value)}
              />
            </label>
            <button
              type="submit"
              class="button"
              data-testid="join-accept"
              disabled={busy() || name().trim() === ""}
            >
              {busy() ? "Making your key" : "Make my key and join"}
            </button>
          </form>
        )}
      </Show>
    </div>
  );
}
