/** How old the picture is: the number that decides whether one may drive. Below it, the rest of the link. */
import { createMemo, type JSX, Show } from "solid-js";
import { TELEMETRY_AGE_MS_MAX, VIDEO_AGE_MS_MAX } from "../../core/deadman";
import { bitrate, bytes, UNKNOWN } from "../../core/format";
import { sparkline } from "../../core/series";
import { latencyWord } from "../../core/status";
import { type DriveView, LATENCY_SPAN_MS } from "../../io/drive-view";

const BOX = { width: 120, height: 34, spanMs: LATENCY_SPAN_MS, top: 200 };
const STALE = "stale";

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
  const t = () => (stale() ? null : props.view.telemetry);
  const shown = () => {
    const value = latency();
    if (value === null) return UNKNOWN;
    return value < 10_000 ? String(value) : `${Math.round(value / 1000)}k`;
  };
  const video = () => {
    const { bitrateBps, fps } = props.view.link;
    return bitrateBps === null || fps === null ? UNKNOWN : `${bitrate(bitrateBps)}, ${Math.round(fps)} fps`;
  };
  const link = () => {
    const { loss, rttMs } = props.view.link;
    const lost = loss === null ? UNKNOWN : `${(loss * 100).toFixed(1)} %`;
    return `${lost}, ${stale() ? STALE : rttMs === null ? UNKNOWN : `${Math.round(rttMs)} ms`}`;
  };
  const battery = () => {
    const now = t();
    if (now === null) return STALE;
    return now.batteryPct === null ? UNKNOWN : `${now.batteryPct} %`;
  };
  const gnss = () => {
    const now = t();
    if (now === null) return STALE;
    if (now.fix === 0 || now.hAccCm === null) return "no fix";
    const sats = now.satellites === null ? "" : `, ${now.satellites} sats`;
    return `±${(now.hAccCm / 100).toFixed(1)} m${sats}`;
  };
  const lease = () => {
    const now = t();
    if (now === null) return STALE;
    const recorded = now.recording ? bytes(now.recordedKib * 1024) : "not recording";
    return `${Math.round(now.leaseLeftMs / 1000)} s, ${now.recorderLost ? "with loss" : recorded}`;
  };
  return (
    <div class="panel link-panel">
      <div class="row spread">
        <span class="label">What you see is</span>
        <span class={`chip link-${word()}`}>{word()}</span>
      </div>
      <div class="row spread age">
        <div class={`age-number link-${word()}`}>
          <span class="big" data-testid="hud-latency" data-ms={latency() ?? ""}>
            {shown()}
          </span>
          <span class="unit">ms old</span>
        </div>
        <svg class={`spark link-${word()}`} viewBox={`0 0 ${BOX.width} ${BOX.height}`} aria-hidden="true">
          <polyline points={sparkline(props.view.latencies, props.view.nowMs, BOX)} />
        </svg>
      </div>
      <dl class="kv">
        <dt>Video</dt>
        <dd>{video()}</dd>
        <dt>Loss, round trip</dt>
        <dd>{link()}</dd>
        <dt>Battery</dt>
        <dd classList={{ warn: (t()?.batteryPct ?? 100) < 20 }}>{battery()}</dd>
        <dt>GNSS</dt>
        <dd>{gnss()}</dd>
        <dt>Lease, recorded</dt>
        <dd>{lease()}</dd>
      </dl>
      <Show when={props.view.notice}>{(notice) => <p class="notice">{notice()}</p>}</Show>
    </div>
  );
}
