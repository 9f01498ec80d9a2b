/** Watching a robot without driving it; and, for those who may, stopping it and taking it over. */
import { createEffect, createMemo, createSignal, For, type JSX, onCleanup, Show } from "solid-js";
import { canTakeOver } from "../core/can";
import type { Robot } from "../core/model";
import { UNKNOWN } from "../core/say";
import { pictureOf } from "../core/watch";
import { nowMs } from "../io/clock";
import { watchFrames } from "../io/media";
import { startPlayer } from "../io/player";
import { AgeOf } from "./cockpit/aged";
import { createData } from "./data";
import { liveWords } from "./owner/words";
import { follow, navigate } from "./router";
import { m, say } from "./say";
import { ProblemNote } from "./shell";
import type { AppState } from "./state";

const CAMERAS = ["front", "rear"] as const;
const LOOK_EVERY_MS = 250;

/** A link to the watching of a robot. */
export function WatchLink(props: { robot: Robot; class?: string }): JSX.Element {
  return (
    <a
      class={props.class ?? "watch-link"}
      href={`/watch/${encodeURIComponent(props.robot.id)}`}
      aria-label={m().watch.watchRobot(props.robot.name)}
      data-testid="watch"
      onClick={follow}
    >
      {m().watch.watch}
    </a>
  );
}

function Screen(props: { app: AppState; robot: string; name: string; camera: string }): JSX.Element {
  const { app } = props;
  const [stream, setStream] = createSignal<MediaStream | null>(null);
  const [words, setWords] = createSignal("");
  const [atMs, setAtMs] = createSignal<number | null>(null);
  const [spanMs, setSpanMs] = createSignal(0);
  const [now, setNow] = createSignal(nowMs() as number);
  const clock = setInterval(() => setNow(nowMs()), LOOK_EVERY_MS);
  onCleanup(() => clearInterval(clock));
  createEffect(() => {
    const player = startPlayer({
      backend: app.backend,
      api: app.api,
      robot: props.robot,
      camera: props.camera,
      say,
      onVideo: (video) => {
        setStream(video);
        if (video === null) setAtMs(null);
      },
      onWords: setWords,
    });
    onCleanup(() => {
      player.close();
      setStream(null);
      setAtMs(null);
    });
  });
  let video: HTMLVideoElement | undefined;
  createEffect(() => {
    const source = stream();
    if (video === undefined) return;
    video.srcObject = source;
    if (source === null) return;
    // A browser that wants a click first shows its own button.
    video.play().catch(() => undefined);
    let last: number | null = null;
    onCleanup(
      watchFrames(video, ({ shownAtMs }) => {
        if (last !== null) setSpanMs(shownAtMs - last);
        last = shownAtMs;
        setAtMs(shownAtMs);
      }),
    );
  });
  const ageMs = () => {
    const at = atMs();
    return at === null ? null : Math.max(0, now() - at);
  };
  const picture = createMemo(() => pictureOf(ageMs(), spanMs()));
  return (
    <div class={`screen ${picture()}`}>
      <video
        ref={video}
        autoplay
        muted
        playsinline
        aria-label={m().watch.video(props.name)}
        data-testid="watch-video"
      />
      <div class="screen-note">
        <span
          class={picture() === "live" ? "chip live" : "chip"}
          data-testid="watch-picture"
          data-picture={picture()}
        >
          {m().watch.picture[picture()]}
          <Show when={picture() === "frozen" || picture() === "stills"}>
            <AgeOf age={say().roughAge(ageMs() ?? 0)} />
          </Show>
        </span>
        <Show when={words() !== "" || stream() === null}>
          <span class="screen-words" role="status">
            {words() === "" ? m().watch.connecting : words()}
          </span>
        </Show>
      </div>
    </div>
  );
}

function Stop(props: { app: AppState; robot: Robot }): JSX.Element {
  const [state, setState] = createSignal<"ready" | "asked" | "failed">("ready");
  const stop = async () => {
    setState("asked");
    const done = await props.app.api.estop(props.robot.id);
    setState(done.ok ? "ready" : "failed");
  };
  const latched = () => props.robot.safety === "emergency_stopped";
  return (
    <div class="watch-stop">
      <button type="button" class="button stop" data-testid="watch-stop" onClick={stop}>
        {latched() ? m().watch.stopAgain : state() === "asked" ? m().watch.stopAsked : m().watch.stop}
      </button>
      <p role="status">{latched() ? m().watch.stopped : state() === "failed" ? m().watch.stopFailed : ""}</p>
    </div>
  );
}

function TakeOver(props: { app: AppState; robot: Robot; owner: string | null }): JSX.Element {
  const [sure, setSure] = createSignal(false);
  const can = createMemo(() => {
    const claims = props.app.session()?.claims ?? { did: "", role: "" };
    return canTakeOver(props.robot, { ...claims, owner: props.owner }, m());
  });
  const why = () => {
    const c = can();
    return c.ok ? "" : c.why;
  };
  const go = () => navigate(`/take-over/${encodeURIComponent(props.robot.id)}`);
  const holder = () => props.robot.holder;
  return (
    <div class="take-over">
      <Show
        when={sure() && can().ok}
        fallback={
          <>
            <button
              type="button"
              class="button"
              data-testid="take-over"
              disabled={!can().ok}
              aria-describedby="take-over-why"
              onClick={() => (holder() === null ? go() : setSure(true))}
            >
              {holder() === null ? m().watch.drive : m().watch.takeOver}
            </button>
            <p class="dim" id="take-over-why">
              {why()}
            </p>
          </>
        }
      >
        <p>{m().watch.takeOverFrom(holder()?.name || m().live.somebody)}</p>
        <div class="row wrap">
          <button type="button" class="button" data-testid="take-over-now" onClick={go}>
            {m().watch.confirm}
          </button>
          <button type="button" class="button quiet" onClick={() => setSure(false)}>
            {m().watch.cancel}
          </button>
        </div>
      </Show>
    </div>
  );
}

function Facts(props: { robot: Robot; atMs: number | null }): JSX.Element {
  const [now, setNow] = createSignal(nowMs() as number);
  const clock = setInterval(() => setNow(nowMs()), LOOK_EVERY_MS);
  onCleanup(() => clearInterval(clock));
  const r = () => props.robot;
  // How old the state was when the fleet answered, and what has passed since.
  const ageMs = () => {
    const age = r().stateAgeMs;
    return age === null || props.atMs === null ? null : age + Math.max(0, now() - props.atMs);
  };
  const or = (value: number | null, words: (value: number) => string) =>
    value === null ? UNKNOWN : words(value);
  return (
    <dl class="pairs">
      <dt>{m().watch.state}</dt>
      <dd data-testid="watch-state">{liveWords({ ...r(), holder: null }, say())}</dd>
      <dt>{m().watch.drives}</dt>
      <dd data-testid="watch-driver">
        {r().holder === null ? m().watch.nobody : r().holder?.name || m().live.somebody}
      </dd>
      <dt>{m().watch.speed}</dt>
      <dd>{or(r().speedMps, (mps) => say().speed(Math.abs(mps)))}</dd>
      <dt>{m().watch.battery}</dt>
      <dd>{or(r().battery, (part) => say().percent(part))}</dd>
      <dt>{m().watch.reported}</dt>
      <dd>{or(ageMs(), (age) => m().watch.ofAge(say().roughAge(age)))}</dd>
    </dl>
  );
}

export function WatchPage(props: { app: AppState; robot: string }): JSX.Element {
  const { app } = props;
  const me = createData(app, app.api.me, []);
  const robot = createData(app, () => app.api.robot(props.robot), ["lease", "robot"], 1_000);
  const [camera, setCamera] = createSignal<string>("front");
  const name = () => robot.value()?.name ?? props.robot;
  return (
    <>
      <div class="page-head">
        <h1>{name()}</h1>
        <fieldset class="cameras end">
          <legend>{m().watch.camera}</legend>
          <For each={CAMERAS}>
            {(each) => (
              <button
                type="button"
                class="button quiet small"
                aria-pressed={camera() === each}
                onClick={() => setCamera(each)}
              >
                {m().watch.cameras[each] ?? each}
              </button>
            )}
          </For>
        </fieldset>
      </div>
      <ProblemNote problem={robot.problem()} again={robot.again} />
      <div class="watch-page">
        <Screen app={app} robot={props.robot} name={name()} camera={camera()} />
        <Show when={robot.value()}>
          {(known) => (
            <section class="card panel-card watch-side">
              <Facts robot={known()} atMs={robot.atMs()} />
              <Stop app={app} robot={known()} />
              <TakeOver app={app} robot={known()} owner={me.value()?.owner ?? null} />
            </section>
          )}
        </Show>
      </div>
    </>
  );
}
