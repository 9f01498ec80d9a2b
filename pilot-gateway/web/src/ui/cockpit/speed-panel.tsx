/** Speed, its limit now and what sets it, and what the hands hold. */
import { For, type JSX, Show } from "solid-js";
import { TELEMETRY_AGE_MS_MAX } from "../../core/deadman";
import type { DriveKey } from "../../core/input";
import { limitWords } from "../../core/status";
import { clamp } from "../../core/units";
import type { DriveView } from "../../io/drive-view";

const KEYS: readonly { key: DriveKey; letter: string; name: string }[] = [
  { key: "forward", letter: "W", name: "forward" },
  { key: "left", letter: "A", name: "left" },
  { key: "back", letter: "S", name: "back" },
  { key: "right", letter: "D", name: "right" },
];
/** The bar's whole length. */
const SCALE_MMPS = 1_600;

export function SpeedPanel(props: { view: DriveView }): JSX.Element {
  const t = () => {
    const { telemetry, telemetryAgeMs } = props.view;
    return telemetryAgeMs === null || telemetryAgeMs > TELEMETRY_AGE_MS_MAX ? null : telemetry;
  };
  const share = (mmps: number) => clamp((Math.abs(mmps) / SCALE_MMPS) * 100, 0, 100);
  const speed = () => {
    const now = t();
    if (now === null) return "–";
    // Never "-0.0".
    return ((Math.round(now.speedMmps / 100) || 0) / 10).toFixed(1);
  };
  const held = () => {
    const now = t();
    return now !== null && limitWords(now) !== "";
  };
  const limit = () => {
    const now = t();
    if (now === null) return "limit unknown";
    const by = limitWords(now);
    return `${(now.limitMmps / 1000).toFixed(1)} limit now${by === "" ? "" : `, ${by}`}`;
  };
  const hint = () => {
    if (props.view.deadman.letGoFirst) return "Let go first";
    if (props.view.deadman.held) return "Release to stop";
    return props.view.gamepadThere ? "Hold a shoulder button" : "Shift drives slowly";
  };
  return (
    <div class="panel speed">
      <div class="row spread top-aligned">
        <div class="speed-number">
          <span class="big" data-testid="hud-speed" data-mmps={t()?.speedMmps ?? ""}>
            {speed()}
          </span>
          <span class="unit">m/s</span>
        </div>
        <div class="keys">
          <span class="label">{props.view.gamepadThere ? "Gamepad or keys" : "Keyboard"}</span>
          <div class="row">
            <For each={KEYS}>
              {({ key, letter, name }) => (
                <kbd classList={{ on: props.view.keys.has(key) }} aria-label={name}>
                  {letter}
                </kbd>
              )}
            </For>
          </div>
          <span class="label">{hint()}</span>
        </div>
      </div>
      <div class="bar">
        <i style={{ transform: `scaleX(${share(t()?.speedMmps ?? 0) / 100})` }} />
        <Show when={t()}>{(now) => <u style={{ left: `${share(now().limitMmps)}%` }} />}</Show>
      </div>
      <div class="limit" classList={{ warn: held() }}>
        {limit()}
      </div>
    </div>
  );
}
