/** The controls of the page about the safety core: one for each thing that it is told. */
import { For, type JSX, Show } from "solid-js";
import { type Bearing, COMMAND_NEVER_MS, PICTURE_NONE_MS, type Scene } from "../core/safety-try";

type Of<T> = { [K in keyof Scene]: Scene[K] extends T ? K : never }[keyof Scene];

interface Slider {
  readonly key: Of<number>;
  readonly label: string;
  readonly min: number;
  readonly max: number;
  readonly step: number;
  readonly words: (value: number) => string;
}

interface Toggle {
  readonly key: Of<boolean>;
  readonly label: string;
}

interface Props {
  readonly scene: Scene;
  readonly change: (part: Partial<Scene>) => void;
}

const ms = (value: number) => `${value} ms`;
const metres = (value: number) => `${value.toFixed(1)} m`;

const LINK: readonly Slider[] = [
  {
    key: "commandEveryMs",
    label: "A command arrives every",
    min: 20,
    max: COMMAND_NEVER_MS,
    step: 20,
    words: (value) => (value >= COMMAND_NEVER_MS ? "never" : ms(value)),
  },
  {
    key: "stampAgeMs",
    label: "Round trip of a command",
    min: 20,
    max: 900,
    step: 10,
    words: ms,
  },
  {
    key: "pictureAgeMs",
    label: "Age of the picture on the screen",
    min: 30,
    max: PICTURE_NONE_MS,
    step: 10,
    words: (value) => (value >= PICTURE_NONE_MS ? "no picture" : ms(value)),
  },
];

const AROUND: readonly Slider[] = [
  { key: "aheadM", label: "Free way ahead", min: 0, max: 12, step: 0.1, words: metres },
  { key: "behindM", label: "Free way behind", min: 0, max: 12, step: 0.1, words: metres },
  {
    key: "approachMps",
    label: "What is ahead comes closer with",
    min: 0,
    max: 2.4,
    step: 0.1,
    words: (value) => (value === 0 ? "it stands" : `${value.toFixed(1)} m/s`),
  },
];

const SELF: readonly Slider[] = [
  { key: "tiltDeg", label: "Lean", min: 0, max: 60, step: 1, words: (value) => `${value}°` },
  { key: "batteryPct", label: "Battery", min: 0, max: 100, step: 1, words: (value) => `${value} %` },
  { key: "odometryAgeMs", label: "Odometry last heard", min: 10, max: 600, step: 10, words: ms },
  { key: "scanAgeMs", label: "Laser scan last heard", min: 10, max: 900, step: 10, words: ms },
  { key: "heartbeatAgeMs", label: "Software last alive", min: 50, max: 5000, step: 50, words: ms },
];

const AREA: readonly Slider[] = [
  {
    key: "edgeM",
    label: "From the edge",
    min: -5,
    max: 20,
    step: 0.1,
    words: (value) => (value < 0 ? `${(-value).toFixed(1)} m outside` : `${value.toFixed(1)} m inside`),
  },
  { key: "accuracyM", label: "The position may be off by", min: 0.1, max: 8, step: 0.1, words: metres },
  { key: "positionAgeMs", label: "Age of the position", min: 0, max: 5000, step: 100, words: ms },
];

const BEARINGS: readonly { readonly value: Bearing; readonly words: string }[] = [
  { value: "to", words: "to the edge" },
  { value: "along", words: "along it" },
  { value: "away", words: "away from it" },
  { value: "unknown", words: "nobody knows: no compass" },
];

function Slide(props: Props & { readonly of: Slider }): JSX.Element {
  const value = () => props.scene[props.of.key];
  return (
    <label class="slide">
      <span>{props.of.label}</span>
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
      <span>{props.of.label}</span>
    </label>
  );
}

function Sliders(props: Props & { readonly of: readonly Slider[] }): JSX.Element {
  return <For each={props.of}>{(of) => <Slide of={of} scene={props.scene} change={props.change} />}</For>;
}

const WISH: Slider = {
  key: "wishMps",
  label: "The stick asks for",
  min: -1.5,
  max: 2,
  step: 0.1,
  words: (value) => `${value.toFixed(1)} m/s${value < 0 ? ", backward" : ""}`,
};

function Driver(props: Props): JSX.Element {
  return (
    <fieldset class="card">
      <legend>The driver</legend>
      <Slide of={WISH} {...props} />
      <Tick of={{ key: "deadman", label: "Holds a key" }} {...props} />
      <Tick of={{ key: "lease", label: "Has the robot" }} {...props} />
      <Tick of={{ key: "estop", label: "Somebody presses the emergency stop" }} {...props} />
      <Tick of={{ key: "program", label: "Is a program" }} {...props} />
      <Show when={props.scene.program}>
        <Tick
          of={{ key: "blindPermitted", label: "The owner permits driving without pictures" }}
          {...props}
        />
      </Show>
    </fieldset>
  );
}

function Area(props: Props): JSX.Element {
  return (
    <fieldset class="card">
      <legend>Its area</legend>
      <Tick of={{ key: "area", label: "The owner drew an area to stay in" }} {...props} />
      <Show when={props.scene.area}>
        <Sliders of={AREA} {...props} />
        <label class="choose">
          <span>The robot's front points</span>
          <select
            value={props.scene.bearing}
            onChange={(event) => props.change({ bearing: event.currentTarget.value as Bearing })}
          >
            <For each={BEARINGS}>{({ value, words }) => <option value={value}>{words}</option>}</For>
          </select>
        </label>
      </Show>
    </fieldset>
  );
}

export function Controls(props: Props): JSX.Element {
  return (
    <form class="told" onSubmit={(event) => event.preventDefault()} aria-label="What the safety core is told">
      <Driver {...props} />
      <fieldset class="card">
        <legend>The connection</legend>
        <Sliders of={LINK} {...props} />
      </fieldset>
      <fieldset class="card">
        <legend>Around the robot</legend>
        <Sliders of={AROUND} {...props} />
        <Tick of={{ key: "bumper", label: "The front bumper is pressed" }} {...props} />
        <Tick of={{ key: "drop", label: "The ground ends ahead" }} {...props} />
      </fieldset>
      <fieldset class="card">
        <legend>The robot itself</legend>
        <Sliders of={SELF} {...props} />
        <Tick of={{ key: "recorder", label: "It can record" }} {...props} />
      </fieldset>
      <Area {...props} />
    </form>
  );
}
