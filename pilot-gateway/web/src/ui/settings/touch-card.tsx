/** Touch: which thumb drives, where the pad is shown, how it is shaped, and a pad to try it on. */
import { createSignal, type JSX } from "solid-js";
import { shapedStick } from "../../core/gamepad";
import type { Stick } from "../../core/input";
import type { InputSettings } from "../../core/preferences";
import { ThumbPad } from "../cockpit/thumb-pad";
import { m, preferences, setPreferences } from "../say";
import { Shape, StickView } from "./parts";

const AT_REST: Stick = { forward: 0, left: 0 };

export function TouchCard(): JSX.Element {
  const inputs = () => preferences().inputs;
  const change = (part: Partial<InputSettings>) =>
    setPreferences({ ...preferences(), inputs: { ...inputs(), ...part } });
  const [stick, setStick] = createSignal<Stick | null>(null);
  return (
    <section class="card panel-card" aria-labelledby="touch-title">
      <h2 id="touch-title">{m().settings.touch}</h2>
      <p class="dim">{m().settings.touchIntro}</p>
      <label class="field">
        {m().settings.hand}
        <select
          data-testid="hand"
          onChange={(event) => change({ hand: event.currentTarget.value === "right" ? "right" : "left" })}
        >
          <option value="left" selected={inputs().hand === "left"}>
            {m().settings.handLeft}
          </option>
          <option value="right" selected={inputs().hand === "right"}>
            {m().settings.handRight}
          </option>
        </select>
      </label>
      <label class="field">
        {m().settings.pad}
        <select
          data-testid="thumb-pad"
          onChange={(event) =>
            change({ thumbPad: event.currentTarget.value === "always" ? "always" : "auto" })
          }
        >
          <option value="auto" selected={inputs().thumbPad === "auto"}>
            {m().settings.padAuto}
          </option>
          <option value="always" selected={inputs().thumbPad === "always"}>
            {m().settings.padAlways}
          </option>
        </select>
      </label>
      <Shape shape={inputs().touch} onChange={(touch) => change({ touch })} />
      <p class="label">{m().settings.tryIt}</p>
      <div class="row wrap try-pad">
        <ThumbPad setPad={setStick} />
        <StickView
          stick={shapedStick(stick() ?? AT_REST, inputs().touch)}
          deadZone={inputs().touch.deadZone}
          held={stick() !== null}
        />
      </div>
    </section>
  );
}
