/** Where a robot is, where it has been, and where it may be driven. North up, metres; drawn here, asked of nobody. */
import { createMemo, For, type JSX, Show } from "solid-js";
import { enuM, type GeoPoint, offsetM } from "../../core/geo";
import { pointOf } from "../../core/owner";
import type { Corner } from "../../protocol/settings";
import { m, say } from "../say";

const WIDTH = 640;
const HEIGHT = 400;
const MARGIN = 44;
/** The smallest view, metres: a robot that stands is not shown in centimetres. */
const SPAN_M_MIN = 40;

interface View {
  readonly origin: GeoPoint;
  readonly eastM: number;
  readonly northM: number;
  readonly scale: number;
}

function viewOf(points: readonly GeoPoint[]): View | null {
  const origin = points[0];
  if (origin === undefined) return null;
  const places = points.map((point) => enuM(point, origin));
  const bounds = (values: readonly number[]) => [Math.min(...values), Math.max(...values)] as const;
  const [west, east] = bounds(places.map((p) => p.eastM));
  const [south, north] = bounds(places.map((p) => p.northM));
  const scale = Math.min(
    (WIDTH - 2 * MARGIN) / Math.max(east - west, SPAN_M_MIN),
    (HEIGHT - 2 * MARGIN) / Math.max(north - south, SPAN_M_MIN),
  );
  return { origin, eastM: (west + east) / 2, northM: (south + north) / 2, scale };
}

/** A round length that fits into a fifth of the width. */
function rulerM(scale: number): number {
  const most = WIDTH / 5 / scale;
  const power = 10 ** Math.floor(Math.log10(most));
  return [5, 2, 1].map((step) => step * power).find((length) => length <= most) ?? power;
}

export function RobotMap(props: {
  position: GeoPoint | null;
  accuracyM: number | null;
  online: boolean;
  track: readonly GeoPoint[];
  area: readonly (readonly Corner[])[] | null;
  /** Corners that are being set; null when the map is only looked at. */
  draft: readonly Corner[] | null;
  onPlace: (point: GeoPoint) => void;
}): JSX.Element {
  const shown = createMemo(() => {
    const area = (props.area ?? []).flat().map(pointOf);
    const here = props.position === null ? [] : [props.position];
    return [...here, ...props.track, ...area];
  });
  // While corners are set the view stays: what moves can't be clicked.
  const view = createMemo<View | null>(
    (before) => (props.draft !== null && before ? before : viewOf(shown())),
    null,
  );
  const place = (point: GeoPoint) => {
    const v = view();
    if (v === null) return { x: 0, y: 0 };
    const { eastM, northM } = enuM(point, v.origin);
    return { x: WIDTH / 2 + (eastM - v.eastM) * v.scale, y: HEIGHT / 2 - (northM - v.northM) * v.scale };
  };
  const line = (points: readonly GeoPoint[]) =>
    points
      .map(place)
      .map(({ x, y }) => `${x.toFixed(1)},${y.toFixed(1)}`)
      .join(" ");
  const click = (event: MouseEvent & { currentTarget: SVGSVGElement }) => {
    const v = view();
    if (v === null || props.draft === null) return;
    const matrix = event.currentTarget.getScreenCTM();
    if (matrix === null) return;
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix.inverse());
    const eastM = (at.x - WIDTH / 2) / v.scale + v.eastM;
    const northM = (HEIGHT / 2 - at.y) / v.scale + v.northM;
    props.onPlace(offsetM(v.origin, eastM, northM));
  };
  return (
    <div class={props.draft === null ? "robot-map" : "robot-map drawing"}>
      <Show when={view()} fallback={<p class="dim nowhere">{m().robotMap.nowhere}</p>}>
        {(v) => (
          // biome-ignore lint/a11y/useKeyWithClickEvents: corners are set by pointing; the list beside takes them as numbers
          <svg
            viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
            data-testid="robot-map"
            onClick={click}
            role="img"
            aria-label={m().robotMap.title}
          >
            <defs>
              <pattern id="map-grid" width="40" height="40" patternUnits="userSpaceOnUse">
                <path d="M40 0H0V40" class="grid" />
              </pattern>
            </defs>
            <rect width={WIDTH} height={HEIGHT} fill="url(#map-grid)" />
            <For each={props.area ?? []}>
              {(polygon) => <polygon class="allowed" points={line(polygon.map(pointOf))} />}
            </For>
            <polyline class="track" points={line(props.track)} />
            <Show when={props.draft}>
              {(draft) => (
                <>
                  <polygon class="draft" points={line(draft().map(pointOf))} />
                  <For each={draft()}>
                    {(corner) => (
                      <circle
                        class="corner"
                        cx={place(pointOf(corner)).x}
                        cy={place(pointOf(corner)).y}
                        r="5"
                      />
                    )}
                  </For>
                </>
              )}
            </Show>
            <Show when={props.position}>
              {(here) => (
                <g class={props.online ? "robot-spot on" : "robot-spot"}>
                  <circle
                    class="accuracy"
                    cx={place(here()).x}
                    cy={place(here()).y}
                    r={Math.max(9, (props.accuracyM ?? 0) * v().scale)}
                  />
                  <circle class="here" cx={place(here()).x} cy={place(here()).y} r="6" />
                </g>
              )}
            </Show>
            <g class="ruler" transform={`translate(16 ${HEIGHT - 16})`}>
              <path d={`M0 -5V0H${(rulerM(v().scale) * v().scale).toFixed(1)}V-5`} />
              <text x="6" y="-7">
                {say().distance(rulerM(v().scale))}
              </text>
            </g>
          </svg>
        )}
      </Show>
    </div>
  );
}
