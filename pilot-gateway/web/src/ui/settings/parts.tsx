/** Parts that the cards of the settings share. */
import type { JSX } from "solid-js";
import { DEAD_ZONE_MAX, type StickShape } from "../../core/gamepad";
import type { Stick } from "../../core/input";
import { m, say } from "../say";

export function Percent(props: {
  label: string;
  help?: string;
  value: number;
  max?: number;
  min?: number;
  onChange: (value: number) => void;
  testid?: string;
}): JSX.Element {
  return (
    <label class="slide" title={props.help}>
      <span>{props.label}</span>
      <span class="value" aria-hidden="true">
        {say().percent(props.value)}
      </span>
      <input
        type="range"
        min={props.min ?? 0}
        max={props.max ?? 1}
        step="0.01"
        value={props.value}
        aria-valuetext={say().percent(props.value)}
        data-testid={props.testid}
        onInput={(event) => props.onChange(event.currentTarget.valueAsNumber)}
      />
    </label>
  );
}

export function Shape(props: { shape: StickShape; onChange: (shape: StickShape) => void }): JSX.Element {
  return (
    <>
      <Percent
        label={m().settings.deadZone}
        help={m().settings.deadZoneHelp}
        value={props.shape.deadZone}
        max={DEAD_ZONE_MAX}
        testid="dead-zone"
        onChange={(deadZone) => props.onChange({ ...props.shape, deadZone })}
      />
      <Percent
        label={m().settings.expo}
        help={m().settings.expoHelp}
        value={props.shape.expo}
        testid="expo"
        onChange={(expo) => props.onChange({ ...props.shape, expo })}
      />
    </>
  );
}

/** What a stick asks for now, as a dot in its field and in numbers. */
export function StickView(props: { stick: Stick; deadZone: number; held: boolean }): JSX.Element {
  const size = 100;
  return (
    <figure class="stick-view" classList={{ held: props.held }}>
      <svg viewBox={`${-size / 2 - 4} ${-size / 2 - 4} ${size + 8} ${size + 8}`} aria-hidden="true">
        <rect x={-size / 2} y={-size / 2} width={size} height={size} rx="10" class="field" />
        <path d={`M0 ${-size / 2}V${size / 2}M${-size / 2} 0H${size / 2}`} class="cross" />
        <circle r={(props.deadZone * size) / 2} class="zone" />
        <circle
          class="dot"
          r="6"
          cx={(-props.stick.left * size) / 2}
          cy={(-props.stick.forward * size) / 2}
        />
      </svg>
      <figcaption data-testid="stick-words">
        {m().settings.drive(say().percent(props.stick.forward), say().percent(props.stick.left))}
      </figcaption>
    </figure>
  );
}
