/** A new robot: a name, then one line to run on it. */
import { createSignal, type JSX, onCleanup, Show } from "solid-js";
import type { Problem, Robot } from "../../core/model";
import { enrolCommand, robotIdOf, WHOLE_PPM } from "../../core/owner";
import { createData } from "../data";
import { QrCode } from "../qr-code";
import { follow, navigate } from "../router";
import { m } from "../say";
import { ProblemNote } from "../shell";
import type { AppState } from "../state";

const START_COMMAND = "sudo systemctl enable --now robot-agent";
/** How often it is looked whether the robot has come. */
const LOOK_MS = 2_000;

/** A robot that may not be there yet: asking for it by name would be an error in the browser's log. */
async function find(app: AppState, id: string): Promise<Robot | undefined> {
  const robots = await app.api.robots();
  return robots.ok ? robots.value.find((robot) => robot.id === id) : undefined;
}

function Waiting(props: { app: AppState; robot: string; code: string }): JSX.Element {
  const [copied, setCopied] = createSignal(false);
  const [seen, setSeen] = createSignal<"not yet" | "enrolled" | "online">("not yet");
  const command = () => enrolCommand(location.origin, props.code);
  const look = setInterval(async () => {
    const robot = await find(props.app, props.robot);
    if (robot && robot.revoked === null) setSeen(robot.online ? "online" : "enrolled");
  }, LOOK_MS);
  onCleanup(() => clearInterval(look));
  const copy = async () => {
    await navigator.clipboard.writeText(command()).catch(() => undefined);
    setCopied(true);
  };
  const step = (done: boolean) => (done ? "done" : "");
  return (
    <div class="card enrol">
      <div class="enrol-line">
        <h2>{m().add.run}</h2>
        <p class="dim">{m().add.once}</p>
        <div class="command">
          <code data-testid="enrol-command">{command()}</code>
        </div>
        <div class="row wrap">
          <button type="button" class="button" onClick={copy}>
            {copied() ? m().add.copied : m().add.copy}
          </button>
          <a class="button quiet" href={`/robots/${props.robot}`} onClick={follow}>
            {m().add.toPage}
          </a>
        </div>
        <ol class="steps" data-testid="enrol-steps" data-seen={seen()}>
          <li class={step(seen() !== "not yet")}>
            <span aria-hidden="true">{seen() === "not yet" ? "○" : "✓"}</span>
            <b>{m().add.enrolled}</b>
          </li>
          <li class={step(seen() === "online")}>
            <span aria-hidden="true">{seen() === "online" ? "✓" : "○"}</span>
            <b>{m().add.online}</b>
            <span class="dim">{m().add.start(START_COMMAND)}</span>
          </li>
        </ol>
      </div>
      <figure class="enrol-qr">
        <QrCode text={command()} label={m().add.qr} />
        <figcaption class="dim">{m().add.phone}</figcaption>
      </figure>
    </div>
  );
}

export function AddRobotPage(props: { app: AppState }): JSX.Element {
  const { app } = props;
  const me = createData(app, app.api.me, []);
  const [name, setName] = createSignal("");
  const [code, setCode] = createSignal<string | null>(null);
  const [problem, setProblem] = createSignal<Problem | null>(null);
  const [busy, setBusy] = createSignal(false);
  const robot = () => robotIdOf(name());
  const owner = () => me.value()?.owner ?? null;
  const make = async (event: SubmitEvent) => {
    event.preventDefault();
    const of = owner();
    if (robot() === "" || of === null || busy()) return;
    setBusy(true);
    // A robot that is there already keeps its shares: it is enrolled anew.
    const known = await find(app, robot());
    const shares = known
      ? known.owners.map((share) => ({ owner: share.owner, share_ppm: share.sharePpm }))
      : [{ owner: of, share_ppm: WHOLE_PPM }];
    const made = await app.api.enrol(robot(), name().trim(), shares);
    setProblem(made.ok ? null : made.problem);
    if (made.ok) setCode(made.value);
    setBusy(false);
  };
  return (
    <>
      <div class="page-head">
        <h1>{m().add.title}</h1>
        <a class="end" href="/robots" onClick={follow}>
          {m().add.all}
        </a>
      </div>
      <ProblemNote problem={problem() ?? me.problem()} />
      <Show
        when={code()}
        fallback={
          <form class="card join add-form" onSubmit={make}>
            <label>
              {m().add.name}
              <input
                data-testid="robot-name"
                maxlength={60}
                required
                placeholder={m().add.example}
                value={name()}
                onInput={(e) => setName(e.currentTarget.value)}
              />
            </label>
            <p class="dim">
              <Show when={robot() !== ""} fallback={m().add.letters}>
                {m().add.known} <code translate="no">{robot()}</code>.
              </Show>
            </p>
            <Show when={me.value() !== undefined && owner() === null}>
              <p class="why">{m().add.notOwner(m().pages.roles[me.value()?.role ?? ""] ?? "")}</p>
            </Show>
            <div class="row">
              <button
                type="submit"
                class="button"
                data-testid="make-code"
                disabled={robot() === "" || owner() === null || busy()}
              >
                {busy() ? m().add.making : m().add.make}
              </button>
              <button type="button" class="button quiet" onClick={() => navigate("/robots")}>
                {m().add.cancel}
              </button>
            </div>
          </form>
        }
      >
        {(made) => <Waiting app={app} robot={robot()} code={made()} />}
      </Show>
    </>
  );
}
