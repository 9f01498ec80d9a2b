/** The gamepad: what it is, what it says now, how it is shaped, and the wizard that learns it. */
import { createEffect, createMemo, createSignal, type JSX, onCleanup, Show } from "solid-js";
import {
  atRest,
  canSkip,
  type GamepadMapping,
  mappingOf,
  type PadReading,
  readPad,
  STANDARD,
  skipStep,
  TEACH,
  type Teaching,
  type TeachStep,
  teach,
} from "../../core/gamepad";
import { withGamepad } from "../../core/preferences";
import { nowMs } from "../../io/clock";
import { type FoundPad, gamepads } from "../../io/gamepads";
import { m, preferences, setPreferences } from "../say";
import { Shape, StickView } from "./parts";

/** The steps in their order, for the number that stands before each. */
const STEPS: readonly TeachStep[] = ["rest", "forward", "back", "left", "right", "deadman", "estop", "go"];

/** Calls with the first gamepad, with each picture of the screen. */
function createPad(): () => FoundPad | undefined {
  const [pad, setPad] = createSignal<FoundPad | undefined>(undefined, { equals: false });
  let frame = 0;
  const look = () => {
    setPad(gamepads(preferences().inputs.gamepads)[0]);
    frame = requestAnimationFrame(look);
  };
  look();
  onCleanup(() => cancelAnimationFrame(frame));
  return pad;
}

function Live(props: { reading: PadReading; mapping: GamepadMapping }): JSX.Element {
  return (
    <div class="pad-live" data-testid="pad-live">
      <StickView
        stick={props.reading.stick}
        deadZone={props.mapping.shape.deadZone}
        held={props.reading.deadman}
      />
      <ul class="pad-lamps">
        <li classList={{ on: props.reading.deadman }}>
          <span aria-hidden="true">{props.reading.deadman ? "●" : "○"}</span>{" "}
          {props.reading.deadman ? m().settings.deadmanHeld : m().settings.deadmanFree}
        </li>
        <li classList={{ on: props.reading.estop }}>
          <span aria-hidden="true">{props.reading.estop ? "●" : "○"}</span> {m().settings.estopPressed}
        </li>
        <li classList={{ on: props.reading.go }}>
          <span aria-hidden="true">{props.reading.go ? "●" : "○"}</span> {m().settings.goHeld}
        </li>
      </ul>
    </div>
  );
}

function Wizard(props: {
  pad: FoundPad | undefined;
  onEnd: (mapping: GamepadMapping | null) => void;
}): JSX.Element {
  const [teaching, setTeaching] = createSignal<Teaching>(TEACH);
  createEffect(() => {
    const pad = props.pad;
    if (pad !== undefined) setTeaching((before) => teach(before, pad.state, nowMs()));
  });
  const step = () => teaching().step;
  const mapping = createMemo(() => mappingOf(teaching(), STANDARD.shape));
  const words = () => {
    if (props.pad === undefined) return m().teach.lost;
    return teaching().settling && step() !== "done" ? m().teach.settle : m().teach[step()];
  };
  const begin = () => {
    const pad = props.pad;
    if (pad !== undefined) setTeaching((before) => atRest(before, pad.state));
  };
  return (
    <div class="wizard" data-testid="wizard" data-step={step()}>
      <Show when={step() !== "done"}>
        <p class="label">{m().teach.step(STEPS.indexOf(step()) + 1)}</p>
      </Show>
      <p class="wizard-words" role="status">
        {words()}
      </p>
      <Show when={teaching().taken}>
        <p class="why" role="alert">
          {m().teach.taken}
        </p>
      </Show>
      <Show when={mapping()}>
        {(taught) => (
          <Show when={props.pad}>
            {(pad) => <Live reading={readPad(taught(), pad().state)} mapping={taught()} />}
          </Show>
        )}
      </Show>
      <div class="row wrap">
        <Show when={step() === "rest"}>
          <button type="button" class="button" disabled={props.pad === undefined} onClick={begin}>
            {m().teach.restDone}
          </button>
        </Show>
        <Show when={canSkip(step())}>
          <button type="button" class="button quiet" onClick={() => setTeaching(skipStep)}>
            {m().teach.skip}
          </button>
        </Show>
        <Show when={mapping()}>
          {(taught) => (
            <button
              type="button"
              class="button"
              data-testid="wizard-keep"
              onClick={() => props.onEnd(taught())}
            >
              {m().teach.keep}
            </button>
          )}
        </Show>
        <button type="button" class="button quiet" onClick={() => props.onEnd(null)}>
          {m().teach.cancel}
        </button>
      </div>
    </div>
  );
}

export function GamepadCard(): JSX.Element {
  const pad = createPad();
  const [teachingId, setTeachingId] = createSignal<string | null>(null);
  const supported = typeof navigator.getGamepads === "function";
  const id = createMemo(() => pad()?.id ?? null);
  const mapping = createMemo(() => pad()?.mapping ?? null);
  const taught = createMemo(() => pad()?.taught ?? false);
  const keep = (of: string, kept: GamepadMapping | null) =>
    setPreferences(withGamepad(preferences(), of, kept));
  const about = () => {
    if (!supported) return m().settings.gamepadUnsupported;
    if (id() === null) return m().settings.gamepadNone;
    if (taught()) return m().settings.gamepadTaught;
    return mapping() === null ? m().settings.gamepadUntaught : m().settings.gamepadStandard;
  };
  const end = (made: GamepadMapping | null) => {
    const of = teachingId();
    setTeachingId(null);
    if (made !== null && of !== null) keep(of, made);
  };
  return (
    <section class="card panel-card" aria-labelledby="gamepad-title" data-testid="gamepad-card">
      <h2 id="gamepad-title">{m().settings.gamepad}</h2>
      <Show when={id()}>{(name) => <p translate="no">{name()}</p>}</Show>
      <p class="dim" role="status">
        {about()}
      </p>
      <Show
        when={teachingId()}
        keyed
        fallback={
          <>
            <Show when={mapping()}>
              {(of) => (
                <>
                  <Show when={pad()}>
                    {(now) => <Live reading={readPad(of(), now().state)} mapping={of()} />}
                  </Show>
                  <Shape shape={of().shape} onChange={(shape) => keep(id() ?? "", { ...of(), shape })} />
                </>
              )}
            </Show>
            <Show when={id()}>
              {(name) => (
                <div class="row wrap">
                  <button
                    type="button"
                    class="button quiet"
                    data-testid="teach"
                    onClick={() => setTeachingId(name())}
                  >
                    {taught() ? m().settings.teachAgain : m().settings.teach}
                  </button>
                  <Show when={taught()}>
                    <button type="button" class="button quiet" onClick={() => keep(name(), null)}>
                      {m().settings.forget}
                    </button>
                  </Show>
                </div>
              )}
            </Show>
          </>
        }
      >
        {(of) => <Wizard pad={pad()?.id === of ? pad() : undefined} onEnd={end} />}
      </Show>
    </section>
  );
}
