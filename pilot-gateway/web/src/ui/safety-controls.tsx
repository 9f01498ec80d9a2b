/** The controls of the page about the safety core: one for each thing that it is told. */
import { For, type JSX, Show } from "solid-js";
import { type Bearing, COMMAND_NEVER_MS, PICTURE_NONE_MS, type Scene } from "../core/safety-try";
import type { Messages } from "../core/words/words";
import { m, say } from "./say";

type Of<T> = { [K in keyof Scene]: Scene[K] extends T ? K : never }[keyof Scene];

type Words = Messages["told"];
/** A label of the catalogue: one that has nothing in it. */
type Label = { [K in keyof Words]: Words[K] extends string ? K : never }[keyof Words];

interface Slider {
  readonly key: Of<number>;
  readonly label: Label;
  readonly min: number;
  readonly max: number;
  readonly step: number;
  readonly words: (value: number) => string;
}

interface Toggle {
  readonly key: Of<boolean>;
  readonly label: Label;
}

interface Props {
  readonly scene: Scene;
  readonly change: (part: Partial<Scene>) => void;
}

// The core counts in metres and seconds, and so does this page, whatever the reader's units are.
const ms = (value: number) => `${value} ms`;
const metres = (value: number) => `${say().number(value, 1)} m`;
const mps = (value: number) => `${say().number(value, 1)} m/s`;

const LINK: readonly Slider[] = [
  {
    key: "commandEveryMs",
    label: "commandEvery",
    min: 20,
    max: COMMAND_NEVER_MS,
    step: 20,
    words: (value) => (value >= COMMAND_NEVER_MS ? m().told.never : ms(value)),
  },
  { key: "stampAgeMs", label: "stampAge", min: 20, max: 900, step: 10, words: ms },
  {
    key: "pictureAgeMs",
    label: "pictureAge",
    min: 30,
    max: PICTURE_NONE_MS,
    step: 10,
    words: (value) => (value >= PICTURE_NONE_MS ? m().told.noPicture : ms(value)),
  },
];

const AROUND: readonly Slider[] = [
  { key: "aheadM", label: "ahead", min: 0, max: 12, step: 0.1, words: metres },
  { key: "behindM", label: "behind", min: 0, max: 12, step: 0.1, words: metres },
  {
    key: "approachMps",
    label: "approach",
    min: 0,
    max: 2.4,
    step: 0.1,
    words: (value) => (value === 0 ? m().told.stands : mps(value)),
  },
];

const SELF: readonly Slider[] = [
  { key: "tiltDeg", label: "tilt", min: 0, max: 60, step: 1, words: (value) => `${value}°` },
  { key: "batteryPct", label: "battery", min: 0, max: 100, step: 1, words: (value) => `${value} %` },
  { key: "odometryAgeMs", label: "odometryAge", min: 10, max: 600, step: 10, words: ms },
  { key: "scanAgeMs", label: "scanAge", min: 10, max: 900, step: 10, words: ms },
  { key: "heartbeatAgeMs", label: "heartbeatAge", min: 50, max: 5000, step: 50, words: ms },
];

const AREA: readonly Slider[] = [
  {
    key: "edgeM",
    label: "edge",
    min: -5,
    max: 20,
    step: 0.1,
    words: (value) => (value < 0 ? m().told.outside(metres(-value)) : m().told.inside(metres(value))),
  },
  { key: "accuracyM", label: "accuracy", min: 0.1, max: 8, step: 0.1, words: metres },
  { key: "positionAgeMs", label: "positionAge", min: 0, max: 5000, step: 100, words: ms },
];

const BEARINGS: readonly Bearing[] = ["to", "along", "away", "unknown"];

function Slide(props: Props & { readonly of: Slider }): JSX.Element {
  const value = () => props.scene[props.of.key];
  return (
    <label class="slide">
      <span>{m().told[props.of.label]}</span>
      <span class="value" aria-hidden="true">
        {props.of.words(value())}
      </span>
      <input
        type="range"
        min={props.of.min}
        max={props.of.max}
        step={props.of.step}
        value={value()}
        aria-valuetext={props.of.words(value())}
        onInput={(event) => props.change({ [props.of.key]: event.currentTarget.valueAsNumber })}
      />
    </label>
  );
}

function Tick(props: Props & { readonly of: Toggle }): JSX.Element {
  return (
    <label class="tick">
      <input
        type="checkbox"
        checked={props.scene[props.of.key]}
        onChange={(event) => props.change({ [props.of.key]: event.currentTarget.checked })}
      />
      <span>{m().told[props.of.label]}</span>
    </label>
  );
}

function Sliders(props: Props & { readonly of: readonly Slider[] }): JSX.Element {
  return <For each={props.of}>{(of) => <Slide of={of} scene={props.scene} change={props.change} />}</For>;
}

const WISH: Slider = {
  key: "wishMps",
  label: "wish",
  min: -1.5,
  max: 2,
  step: 0.1,
  words: (value) => `${mps(value)}${value < 0 ? m().told.backward : ""}`,
};

function Driver(props: Props): JSX.Element {
  return (
    <fieldset class="card">
      <legend>{m().told.driver}</legend>
      <Slide of={WISH} {...props} />
      <Tick of={{ key: "deadman", label: "deadman" }} {...props} />
      <Tick of={{ key: "lease", label: "lease" }} {...props} />
      <Tick of={{ key: "estop", label: "estop" }} {...props} />
      <Tick of={{ key: "program", label: "program" }} {...props} />
      <Show when={props.scene.program}>
        <Tick of={{ key: "blindPermitted", label: "blind" }} {...props} />
      </Show>
    </fieldset>
  );
}

function Area(props: Props): JSX.Element {
  return (
    <fieldset class="card">
      <legend>{m().told.area}</legend>
      <Tick of={{ key: "area", label: "hasArea" }} {...props} />
      <Show when={props.scene.area}>
        <Sliders of={AREA} {...props} />
        <label class="choose">
          <span>{m().told.front}</span>
          <select
            value={props.scene.bearing}
            onChange={(event) => props.change({ bearing: event.currentTarget.value as Bearing })}
          >
            <For each={BEARINGS}>{(value) => <option value={value}>{m().told.bearings[value]}</option>}</For>
          </select>
        </label>
      </Show>
    </fieldset>
  );
}

export function Controls(props: Props): JSX.Element {
  return (
    <form class="told" onSubmit={(event) => event.preventDefault()} aria-label={m().told.title}>
      <Driver {...props} />
      <fieldset class="card">
        <legend>{m().told.connection}</legend>
        <Sliders of={LINK} {...props} />
      </fieldset>
      <fieldset class="card">
        <legend>{m().told.around}</legend>
        <Sliders of={AROUND} {...props} />
        <Tick of={{ key: "bumper", label: "bumper" }} {...props} />
        <Tick of={{ key: "drop", label: "drop" }} {...props} />
      </fieldset>
      <fieldset class="card">
        <legend>{m().told.itself}</legend>
        <Sliders of={SELF} {...props} />
        <Tick of={{ key: "recorder", label: "recorder" }} {...props} />
      </fieldset>
      <Area {...props} />
    </form>
  );
}
