/** What the owner allows: signed here with the owner's key, enforced on the robot. */
import { createMemo, createSignal, For, type JSX, Show } from "solid-js";
import type { KeptSettings, Problem } from "../../core/model";
import { clockOf, daysOf, minutesOf, weekHours } from "../../core/owner";
import { CORNERS_MAX, type Corner, type OwnerSettings, POLYGONS_MAX } from "../../protocol/settings";
import { m, say } from "../say";
import { ProblemNote } from "../shell";
import type { AppState } from "../state";

const SPEED_MPS_MAX = 3;

/** Before the owner has said anything: everything that the robot's own policy allows. */
export function openSettings(robot: string): OwnerSettings {
  return {
    robot,
    version: 0,
    atMs: 0,
    speedMmpsMax: null,
    area: null,
    hours: null,
    utcOffsetMin: -new Date().getTimezoneOffset(),
    pilots: true,
    agents: true,
    only: [],
    blindDriving: true,
    pricePerHour: null,
  };
}

function Toggle(props: {
  on: boolean;
  set: (on: boolean) => void;
  testid?: string;
  children: JSX.Element;
}): JSX.Element {
  return (
    <label class="toggle">
      <input
        type="checkbox"
        checked={props.on}
        data-testid={props.testid}
        onChange={(e) => props.set(e.currentTarget.checked)}
      />
      <span>{props.children}</span>
    </label>
  );
}

export interface AreaEdit {
  readonly draft: readonly Corner[] | null;
  readonly begin: () => void;
  readonly undo: () => void;
  readonly cancel: () => void;
}

export function LimitsCard(props: {
  app: AppState;
  kept: KeptSettings | null;
  edited: OwnerSettings;
  edit: (change: Partial<OwnerSettings>) => void;
  changed: boolean;
  area: AreaEdit;
  finishDraft: () => void;
  saved: (kept: KeptSettings | null) => void;
}): JSX.Element {
  const [problem, setProblem] = createSignal<Problem | null>(null);
  const [busy, setBusy] = createSignal(false);
  const week = createMemo(() => {
    const hours = props.edited.hours;
    return hours === null ? null : daysOf(hours);
  });
  const setHours = (change: { days?: boolean[]; fromMin?: number; toMin?: number }) => {
    const now = week() ?? { days: [true, true, true, true, true, false, false], fromMin: 480, toMin: 1080 };
    const next = { ...now, ...change };
    props.edit({ hours: weekHours(next.days, next.fromMin, next.toMin) });
  };
  const time = (which: "fromMin" | "toMin") => (event: Event & { currentTarget: HTMLInputElement }) => {
    const minutes = minutesOf(event.currentTarget.value);
    if (minutes !== null) setHours({ [which]: minutes });
  };
  const sign = async () => {
    const identity = props.app.identity();
    if (!identity || busy()) return;
    setBusy(true);
    const version = (props.kept?.settings.version ?? 0) + 1;
    const settings = { ...props.edited, version, atMs: Date.now() };
    const result = await props.app.api.setSettings(settings, identity);
    setProblem(result.ok ? null : result.problem);
    if (result.ok) props.saved(result.value);
    setBusy(false);
  };
  const words = () => {
    if (props.changed) return m().limits.notSigned;
    if (props.kept === null) return m().limits.never;
    return props.kept.onRobot ? m().limits.kept : m().limits.sent;
  };
  /** All the way up is no limit of the owner's. */
  const setSpeed = (mps: number) =>
    props.edit({ speedMmpsMax: mps < SPEED_MPS_MAX ? Math.round(mps * 1_000) : null });
  const mps = () => (props.edited.speedMmpsMax ?? SPEED_MPS_MAX * 1_000) / 1_000;
  return (
    <section class="card panel-card limits">
      <div class="row spread full">
        <h2>{m().limits.title}</h2>
        <span class={!props.changed && props.kept?.onRobot ? "chip live" : "chip"} data-testid="limits-state">
          {props.changed
            ? m().limits.changed
            : props.kept === null
              ? m().limits.none
              : props.kept.onRobot
                ? m().limits.onRobot
                : m().limits.onWay}
        </span>
      </div>
      <p class="dim">{words()}</p>
      <div class="limit">
        <div class="row spread">
          <span>{m().limits.speed}</span>
          <b data-testid="speed-shown">
            {props.edited.speedMmpsMax === null ? m().limits.noLimit : say().speed(mps())}
          </b>
        </div>
        <input
          type="range"
          min="0.2"
          max={SPEED_MPS_MAX}
          step="0.1"
          aria-label={m().limits.speed}
          aria-valuetext={say().speed(mps())}
          data-testid="speed"
          value={mps()}
          onInput={(e) => setSpeed(e.currentTarget.valueAsNumber)}
        />
      </div>
      <div class="limit">
        <div class="row spread">
          <span>{m().limits.area}</span>
          <b>
            {props.edited.area === null ? m().limits.anywhere : m().limits.polygons(props.edited.area.length)}
          </b>
        </div>
        <Show
          when={props.area.draft}
          fallback={
            <div class="row wrap">
              <button
                type="button"
                class="button quiet small"
                data-testid="area-draw"
                disabled={(props.edited.area?.length ?? 0) >= POLYGONS_MAX}
                onClick={props.area.begin}
              >
                {m().limits.draw}
              </button>
              <Show when={props.edited.area !== null}>
                <button type="button" class="button quiet small" onClick={() => props.edit({ area: null })}>
                  {m().limits.anywhereButton}
                </button>
              </Show>
            </div>
          }
        >
          {(draft) => (
            <>
              <p class="dim">{m().limits.corners(draft().length, CORNERS_MAX)}</p>
              <div class="row wrap">
                <button
                  type="button"
                  class="button small"
                  data-testid="area-done"
                  disabled={draft().length < 3}
                  onClick={props.finishDraft}
                >
                  {m().limits.done}
                </button>
                <button
                  type="button"
                  class="button quiet small"
                  disabled={draft().length === 0}
                  onClick={props.area.undo}
                >
                  {m().limits.undo}
                </button>
                <button type="button" class="button quiet small" onClick={props.area.cancel}>
                  {m().limits.cancel}
                </button>
              </div>
            </>
          )}
        </Show>
      </div>
      <div class="limit">
        <div class="row spread">
          <span>{m().limits.hours}</span>
          <Toggle
            on={props.edited.hours === null}
            testid="always"
            set={(on) => (on ? props.edit({ hours: null }) : setHours({}))}
          >
            {m().limits.always}
          </Toggle>
        </div>
        <Show
          when={props.edited.hours !== null && week()}
          fallback={
            <Show when={props.edited.hours !== null}>
              <p class="dim">{m().limits.otherMeans}</p>
            </Show>
          }
        >
          {(now) => (
            <>
              <fieldset class="days" aria-label={m().limits.days}>
                <For each={m().limits.dayNames}>
                  {(day, i) => (
                    <button
                      type="button"
                      aria-pressed={now().days[i()] === true}
                      onClick={() => setHours({ days: now().days.map((on, at) => (at === i() ? !on : on)) })}
                    >
                      {day}
                    </button>
                  )}
                </For>
              </fieldset>
              <div class="row">
                <input
                  type="time"
                  aria-label={m().limits.from}
                  value={clockOf(now().fromMin)}
                  onChange={time("fromMin")}
                />
                <span class="dim">{m().limits.to}</span>
                <input
                  type="time"
                  aria-label={m().limits.until}
                  value={clockOf(now().toMin)}
                  onChange={time("toMin")}
                />
              </div>
            </>
          )}
        </Show>
      </div>
      <div class="limit">
        <span>{m().limits.who}</span>
        <Toggle on={props.edited.pilots} testid="pilots" set={(pilots) => props.edit({ pilots })}>
          {m().limits.pilots}
        </Toggle>
        <Toggle on={props.edited.agents} testid="agents" set={(agents) => props.edit({ agents })}>
          {m().limits.agents}
        </Toggle>
        <Toggle
          on={props.edited.blindDriving}
          testid="blind"
          set={(blindDriving) => props.edit({ blindDriving })}
        >
          {m().limits.blind}
        </Toggle>
      </div>
      <div class="limit">
        <label>
          {m().limits.price}
          <input
            type="number"
            min="0"
            max="1000000"
            step="1"
            placeholder={m().limits.priceNone}
            value={props.edited.pricePerHour ?? ""}
            onChange={(e) => {
              const price = e.currentTarget.valueAsNumber;
              props.edit({ pricePerHour: Number.isInteger(price) && price >= 0 ? price : null });
            }}
          />
        </label>
      </div>
      <ProblemNote problem={problem()} />
      <button
        type="button"
        class="button full"
        data-testid="limits-sign"
        disabled={!props.changed || busy()}
        onClick={sign}
      >
        {busy() ? m().limits.signing : m().limits.sign}
      </button>
    </section>
  );
}
