/** Fits the drawing to a robot's camera: sliders beside the live picture, lines on the ground to hold it against. */
import { For, type JSX } from "solid-js";
import { CALIBRATION_RANGE, type Calibration } from "../../core/camera";
import { withCamera } from "../../core/preferences";
import { m, preferences, say, setPreferences } from "../say";

const KEYS: readonly (keyof Calibration)[] = ["pitchDeg", "hfovDeg", "heightM", "forwardM", "halfWidthM"];

export function CalibratePanel(props: {
  robot: string;
  calibration: Calibration;
  onClose: () => void;
}): JSX.Element {
  const words = (key: keyof Calibration) => {
    const value = props.calibration[key];
    return key === "pitchDeg" || key === "hfovDeg"
      ? `${say().number(value, 1)}°`
      : `${say().number(value, 2)} m`;
  };
  const set = (calibration: Calibration | null) =>
    setPreferences(withCamera(preferences(), props.robot, calibration));
  return (
    <section class="panel calibrate" aria-label={m().calibrate.title} data-testid="calibrate-panel">
      <b>{m().calibrate.title}</b>
      <p class="dim">{m().calibrate.help}</p>
      <For each={KEYS}>
        {(key) => {
          const [min, max, step] = CALIBRATION_RANGE[key];
          return (
            <label class="slide">
              <span>{m().calibrate.parts[key]}</span>
              <span class="value" aria-hidden="true">
                {words(key)}
              </span>
              <input
                type="range"
                min={min}
                max={max}
                step={step}
                value={props.calibration[key]}
                aria-valuetext={words(key)}
                onInput={(event) => set({ ...props.calibration, [key]: event.currentTarget.valueAsNumber })}
              />
            </label>
          );
        }}
      </For>
      <div class="row">
        <button type="button" class="extra" onClick={() => set(null)}>
          {m().calibrate.reset}
        </button>
        <button type="button" class="extra" onClick={() => props.onClose()}>
          {m().calibrate.done}
        </button>
      </div>
    </section>
  );
}
