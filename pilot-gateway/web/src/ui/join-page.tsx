/** The first page of a new pilot: who invites, what happens, one field, one button. */
import { createResource, createSignal, type JSX, Show } from "solid-js";
import { shortDid } from "../core/format";
import type { Problem } from "../core/model";
import { ownProblem } from "../core/problem";
import { createIdentity } from "../io/keys";
import { follow, navigate } from "./router";
import { m } from "./say";
import { ProblemNote } from "./shell";
import type { AppState } from "./state";

const NAME_LEN_MAX = 60;

const BAD_CODE = ownProblem("bad-code");

function inviter(invitedBy: string): string {
  return invitedBy.startsWith("did:") ? shortDid(invitedBy) : invitedBy || m().join.anOperator;
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
      setProblem(ownProblem("no-ed25519"));
    }
    setBusy(false);
  };
  return (
    <div class="narrow">
      <Show when={app.session()?.claims.name}>
        {(me) => (
          <p class="note">
            {m().join.belongsTo} <b>{me()}</b>.{" "}
            <a href="/" onClick={follow}>
              {m().shell.toMissions}
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
              {m().join.invites(
                inviter(invited().invitedBy),
                m().join.as[invited().role] ?? m().join.asOther(invited().role),
              )}
            </h1>
            <p class="dim">{m().join.key}</p>
            <label>
              {m().join.name}
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
              {busy() ? m().join.making : m().join.make}
            </button>
          </form>
        )}
      </Show>
    </div>
  );
}
