/** Speed, its limit now and what sets it, and what the hands hold. */
import { For, type JSX, Show } from "solid-js";
import { STALE_MS, shown } from "../../core/age";
import { TELEMETRY_AGE_MS_MAX } from "../../core/deadman";
import type { DriveKey } from "../../core/input";
import { UNKNOWN } from "../../core/say";
import { limitWords } from "../../core/status";
import { clamp } from "../../core/units";
import type { DriveView } from "../../io/drive-view";
import { m, say } from "../say";
import { AgeOf } from "./aged";

const KEYS: readonly { key: DriveKey; letter: string }[] = [
  { key: "forward", letter: "W" },
  { key: "left", letter: "A" },
  { key: "back", letter: "S" },
  { key: "right", letter: "D" },
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
    return now === null ? UNKNOWN : say().speedNumber(now.speedMmps / 1000);
  };
  const aged = () => shown(props.view.telemetryAgeMs, STALE_MS.telemetry, () => "", say());
  const held = () => {
    const now = t();
    return now !== null && limitWords(now, say()) !== "";
  };
  const limit = () => {
    const now = t();
    if (now === null) return m().limit.unknown;
    return m().limit.now(say().speed(now.limitMmps / 1000), limitWords(now, say()));
  };
  const hint = () => {
    const words = m().speed;
    if (props.view.deadman.letGoFirst) return words.letGoFirst;
    if (props.view.deadman.held) return words.releaseToStop;
    switch (props.view.gamepad) {
      case "standard":
        return words.holdShoulder;
      case "taught":
        return words.holdTaught;
      case "untaught":
        return words.untaught;
      case "none":
        return words.shiftSlow;
    }
  };
  return (
    <section class="panel speed" aria-label={m().settings.speed}>
      <div class="row spread top-aligned">
        <div class="speed-number">
          <span class="big" data-testid="hud-speed" data-mmps={t()?.speedMmps ?? ""}>
            {speed()}
          </span>
          <span class="unit">{say().units.speed}</span>
          <AgeOf age={aged().age} />
        </div>
        <div class="keys">
          <span class="label">
            {props.view.gamepad === "none" ? m().speed.keyboard : m().speed.gamepadOrKeys}
          </span>
          <div class="row" aria-hidden="true">
            <For each={KEYS}>
              {({ key, letter }) => (
                <kbd classList={{ on: props.view.keys.has(key) }} title={m().speed.keyNames[key]}>
                  {letter}
                </kbd>
              )}
            </For>
          </div>
          <span class="label">{hint()}</span>
        </div>
      </div>
      <div class="bar" aria-hidden="true">
        <i style={{ transform: `scaleX(${share(t()?.speedMmps ?? 0) / 100})` }} />
        <Show when={t()}>
          {(now) => (
            <>
              <Show when={held()}>
                <s style={{ left: `${share(now().limitMmps)}%` }} />
              </Show>
              <u style={{ left: `${share(now().limitMmps)}%` }} />
            </>
          )}
        </Show>
      </div>
      <div class="limit" classList={{ warn: held() }} data-testid="hud-limit">
        <Show when={aged().freshness === "live"} fallback={<span class="aged stale">{aged().text}</span>}>
          {held() ? "▼ " : ""}
          {limit()}
        </Show>
      </div>
    </section>
  );
}
