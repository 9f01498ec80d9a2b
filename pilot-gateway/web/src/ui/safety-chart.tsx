/** Speed over time: what is allowed, and what the wheels get. */
import type { JSX } from "solid-js";
import { AFTER_MS, type Played, type Sample } from "../core/safety-try";
import { m } from "./say";

const WIDTH = 640;
const HEIGHT = 150;
const BEFORE_MS = 800;
/** The chart's top, m/s. */
const TOP_MMPS = 1800;
const PAD = 6;

function x(atMs: number): number {
  return ((atMs + BEFORE_MS) / (BEFORE_MS + AFTER_MS)) * WIDTH;
}

function y(mmps: number): number {
  const share = Math.min(Math.abs(mmps), TOP_MMPS) / TOP_MMPS;
  return HEIGHT - PAD - share * (HEIGHT - 2 * PAD);
}

function line(samples: readonly Sample[], of: (sample: Sample) => number): string {
  return samples.map((sample) => `${x(sample.atMs).toFixed(1)},${y(of(sample)).toFixed(1)}`).join(" ");
}

export function SafetyChart(props: { played: Played }): JSX.Element {
  const shown = () => props.played.samples.filter((sample) => sample.atMs >= -BEFORE_MS);
  return (
    <figure class="chart">
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
        <line class="floor" x1="0" x2={WIDTH} y1={y(0)} y2={y(0)} />
        <line class="change" x1={x(0)} x2={x(0)} y1="0" y2={HEIGHT} />
        <polyline class="allowed" points={line(shown(), (sample) => sample.limitMmps)} />
        <polyline class="got" points={line(shown(), (sample) => sample.wheelsMmps)} />
      </svg>
      <figcaption>
        <span class="key got">{m().safetyPage.chartWheels}</span>
        <span class="key allowed">{m().safetyPage.chartAllowed}</span>
        <span class="dim">{m().safetyPage.chartAxis}</span>
      </figcaption>
    </figure>
  );
}
