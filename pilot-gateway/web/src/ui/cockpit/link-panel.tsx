/** How old the picture is: the number that decides whether one may drive. Below it, the rest of the link. */
import { createMemo, type JSX, Show } from "solid-js";
import { type Shown, STALE_MS, shown } from "../../core/age";
import { TELEMETRY_AGE_MS_MAX, VIDEO_AGE_MS_MAX } from "../../core/deadman";
import { UNKNOWN } from "../../core/say";
import { sparkline } from "../../core/series";
import { latencyWord } from "../../core/status";
import { type DriveView, LATENCY_SPAN_MS } from "../../io/drive-view";
import type { Telemetry } from "../../protocol/telemetry";
import { m, say } from "../say";
import { Aged, AgeOf } from "./aged";

const BOX = { width: 120, height: 34, spanMs: LATENCY_SPAN_MS, top: 200 };

export function LinkPanel(props: { view: DriveView }): JSX.Element {
  const stale = () => props.view.telemetryAgeMs === null || props.view.telemetryAgeMs > TELEMETRY_AGE_MS_MAX;
  const videoGone = () => (props.view.videoAgeMs ?? 0) > VIDEO_AGE_MS_MAX;
  /** When no new picture comes, the one on the screen keeps ageing. */
  const latency = () => {
    if (videoGone()) return Math.round(props.view.videoAgeMs ?? 0);
    return stale() ? null : (props.view.telemetry?.loopLatencyMs ?? null);
  };
  const word = createMemo(() =>
    videoGone() ? "lost" : latencyWord(latency(), props.view.telemetryAgeMs ?? 1e9),
  );
  const latencyNumber = () => {
    const value = latency();
    if (value === null) return UNKNOWN;
    return value < 10_000 ? String(value) : `${Math.round(value / 1000)}k`;
  };
  /** How long ago the latency was measured; while no picture comes it is measured now. */
  const measured = () => {
    const age = props.view.telemetryAgeMs;
    if (age === null || videoGone()) return "";
    return stale() ? m().age.stale(say().roughAge(age)) : say().roughAge(age);
  };
  /** What the robot said, as far as it is fresh. */
  const robot = (words: (t: Telemetry) => string): Shown =>
    shown(
      props.view.telemetryAgeMs,
      STALE_MS.telemetry,
      () => (props.view.telemetry === null ? UNKNOWN : words(props.view.telemetry)),
      say(),
    );
  const link = (words: () => string): Shown => shown(props.view.linkAgeMs, STALE_MS.link, words, say());
  const video = () =>
    link(() => {
      const { bitrateBps, fps } = props.view.link;
      if (bitrateBps === null || fps === null) return UNKNOWN;
      return `${say().bitrate(bitrateBps)}, ${m().link.fps(String(Math.round(fps)))}`;
    });
  const loss = () =>
    link(() => {
      const { loss, rttMs } = props.view.link;
      const lost = loss === null ? UNKNOWN : say().percent(loss, 1);
      return `${lost}, ${stale() ? m().age.staleShort : rttMs === null ? UNKNOWN : `${Math.round(rttMs)} ms`}`;
    });
  const battery = () => robot((t) => (t.batteryPct === null ? UNKNOWN : say().percent(t.batteryPct / 100)));
  const gnss = () =>
    robot((t) => {
      if (t.fix === 0 || t.hAccCm === null) return m().link.noFix;
      const sats = t.satellites === null ? "" : `, ${m().link.sats(t.satellites)}`;
      return `±${say().distance(t.hAccCm / 100)}${sats}`;
    });
  const lease = () =>
    robot((t) => {
      const recorded = t.recording ? say().bytes(t.recordedKib * 1024) : m().link.notRecording;
      return `${Math.round(t.leaseLeftMs / 1000)} s, ${t.recorderLost ? m().link.withLoss : recorded}`;
    });
  const batteryLow = () => !stale() && (props.view.telemetry?.batteryPct ?? 100) < 20;
  return (
    <section class="panel link-panel" aria-label={m().link.youSee}>
      <div class="row spread">
        <span class="label">{m().link.youSee}</span>
        <span class={`chip link-${word()}`}>{m().link.words[word()]}</span>
      </div>
      <div class="row spread age">
        <div class={`age-number link-${word()}`}>
          <span class="big" data-testid="hud-latency" data-ms={latency() ?? ""}>
            {latencyNumber()}
          </span>
          <span class="unit">{m().link.msOld}</span>
          <AgeOf age={measured()} />
        </div>
        <svg class={`spark link-${word()}`} viewBox={`0 0 ${BOX.width} ${BOX.height}`} aria-hidden="true">
          <polyline points={sparkline(props.view.latencies, props.view.nowMs, BOX)} />
        </svg>
      </div>
      <dl class="kv">
        <dt>{m().link.video}</dt>
        <dd>
          <Aged shown={video()} />
        </dd>
        <dt>{m().link.loss}</dt>
        <dd>
          <Aged shown={loss()} />
        </dd>
        <dt>{m().link.battery}</dt>
        <dd>
          <Aged shown={battery()} warn={batteryLow()} testid="hud-battery" />
        </dd>
        <dt>{m().link.gnss}</dt>
        <dd>
          <Aged shown={gnss()} />
        </dd>
        <dt>{m().link.lease}</dt>
        <dd>
          <Aged shown={lease()} />
        </dd>
      </dl>
      <Show when={props.view.notice}>
        {(notice) => (
          <p class="notice" role="status">
            {notice()}
          </p>
        )}
      </Show>
    </section>
  );
}
