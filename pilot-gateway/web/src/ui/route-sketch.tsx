/** A mission's route as a small drawing, north up. */
import { createMemo, For, type JSX } from "solid-js";
import { enuM } from "../core/geo";
import type { Checkpoint } from "../core/model";

const WIDTH = 320;
const HEIGHT = 120;
const MARGIN = 20;

interface Spot {
  readonly x: number;
  readonly y: number;
}

function layout(checkpoints: readonly Checkpoint[]): readonly Spot[] {
  const origin = checkpoints[0]?.position;
  if (origin === undefined) return [];
  const points = checkpoints.map((c) => enuM(c.position, origin));
  const east = points.map((p) => p.eastM);
  const north = points.map((p) => p.northM);
  const [west, south] = [Math.min(...east), Math.min(...north)];
  const [wide, high] = [Math.max(...east) - west, Math.max(...north) - south];
  const scale = Math.min((WIDTH - 2 * MARGIN) / Math.max(wide, 5), (HEIGHT - 2 * MARGIN) / Math.max(high, 5));
  return points.map((p) => ({
    x: WIDTH / 2 + (p.eastM - west - wide / 2) * scale,
    y: HEIGHT / 2 - (p.northM - south - high / 2) * scale,
  }));
}

export function RouteSketch(props: { checkpoints: readonly Checkpoint[]; reached: number }): JSX.Element {
  const spots = createMemo(() => layout(props.checkpoints));
  const line = (part: readonly Spot[]) => part.map((s) => `${s.x.toFixed(1)},${s.y.toFixed(1)}`).join(" ");
  return (
    <svg class="sketch" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} aria-hidden="true">
      <defs>
        <pattern id="sketch-grid" width="20" height="20" patternUnits="userSpaceOnUse">
          <path d="M20 0H0V20" class="grid" />
        </pattern>
      </defs>
      <rect width={WIDTH} height={HEIGHT} fill="url(#sketch-grid)" />
      <polyline class="ahead" points={line(spots())} />
      <polyline class="behind" points={line(spots().slice(0, props.reached))} />
      <For each={spots()}>
        {(spot, index) => (
          <circle class={index() < props.reached ? "spot reached" : "spot"} cx={spot.x} cy={spot.y} r="5.5" />
        )}
      </For>
    </svg>
  );
}
