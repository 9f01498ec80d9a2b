/** Where the robot is, where it was, and the checkpoints. North is up; there are no tiles, only the route. */
import { createMemo, createSignal, For, type JSX, Show } from "solid-js";
import { STALE_MS, shown } from "../../core/age";
import { enuM, type GeoPoint, offsetM } from "../../core/geo";
import type { Checkpoint } from "../../core/model";
import { m, say } from "../say";
import { AgeOf } from "./aged";

const WIDTH = 300;
const HEIGHT = 214;
const MARGIN = 26;
/** The lower edge belongs to the scale. */
const SCALE_PX = 16;
const SPAN_M_MIN = 24;
const STEPS_M = [5, 10, 20, 50, 100, 200, 500, 1000];
const FT_M = 0.3048;
const STEPS_FT = [20, 50, 100, 200, 500, 1000, 2000].map((feet) => feet * FT_M);
/** Where the map is too small to point at a place: a touch enlarges it first. */
const SMALL = "(max-width: 720px), (max-height: 520px)";

interface Frame {
  readonly origin: GeoPoint;
  readonly eastM: number;
  readonly northM: number;
  readonly pxPerM: number;
}

function frameOf(points: readonly GeoPoint[]): Frame | null {
  const origin = points[0];
  if (origin === undefined) return null;
  const all = points.map((p) => enuM(p, origin));
  const [west, east] = [Math.min(...all.map((p) => p.eastM)), Math.max(...all.map((p) => p.eastM))];
  const [south, north] = [Math.min(...all.map((p) => p.northM)), Math.max(...all.map((p) => p.northM))];
  const pxPerM = Math.min(
    (WIDTH - 2 * MARGIN) / Math.max(east - west, SPAN_M_MIN),
    (HEIGHT - 2 * MARGIN - SCALE_PX) / Math.max(north - south, SPAN_M_MIN / 2),
  );
  return { origin, eastM: (west + east) / 2, northM: (south + north) / 2, pxPerM };
}

function place(frame: Frame, point: GeoPoint): { x: number; y: number } {
  const { eastM, northM } = enuM(point, frame.origin);
  return {
    x: WIDTH / 2 + (eastM - frame.eastM) * frame.pxPerM,
    y: (HEIGHT - SCALE_PX) / 2 - (northM - frame.northM) * frame.pxPerM,
  };
}

/** The place under a point of the drawing: the inverse of `place`. */
function placeAt(frame: Frame, x: number, y: number): GeoPoint {
  const eastM = frame.eastM + (x - WIDTH / 2) / frame.pxPerM;
  const northM = frame.northM - (y - (HEIGHT - SCALE_PX) / 2) / frame.pxPerM;
  return offsetM(frame.origin, eastM, northM);
}

export function MapPanel(props: {
  checkpoints: readonly Checkpoint[];
  /** The mission's area, beyond which the robot does not go. */
  area: readonly (readonly GeoPoint[])[];
  reached: number;
  at: GeoPoint | null;
  /** Since the robot last said where it is. */
  ageMs: number | null;
  headingDeg: number | null;
  accuracyM: number | null;
  trail: readonly GeoPoint[];
  /** Where the robot's own autonomy shall drive. */
  goal: GeoPoint | null;
  /** The cross of a goal that is being placed by keyboard. */
  aim: GeoPoint | null;
  /** A place on the map was clicked; null where that means nothing. */
  onPick: ((at: GeoPoint) => void) | null;
}): JSX.Element {
  let drawing: SVGSVGElement | undefined;
  const [big, setBig] = createSignal(false);
  const aged = () => shown(props.ageMs, STALE_MS.telemetry, () => "", say());
  const small = () => matchMedia(SMALL).matches && !big();
  const pick = (event: MouseEvent) => {
    if (small()) {
      setBig(true);
      return;
    }
    setBig(false);
    const toDrawing = drawing?.getScreenCTM()?.inverse();
    const f = frame();
    // A click without a pointer, as Enter makes it on a button, is at no place.
    if (toDrawing === undefined || f === null || event.detail === 0) return;
    const { x, y } = new DOMPoint(event.clientX, event.clientY).matrixTransform(toDrawing);
    props.onPick?.(placeAt(f, x, y));
  };
  // The frame follows the route and the robot's start, not every move: a map that shivers can't be read.
  const frame = createMemo(() => {
    const start = props.trail[0];
    const far = props.trail.filter((_, i) => i % 20 === 0);
    return frameOf([...props.checkpoints.map((c) => c.position), ...(start ? [start] : []), ...far]);
  });
  const line = (points: readonly GeoPoint[]) => {
    const f = frame();
    if (f === null) return "";
    return points
      .map((p) => place(f, p))
      .map(({ x, y }) => `${x.toFixed(1)},${y.toFixed(1)}`)
      .join(" ");
  };
  const stepM = () => {
    const steps = say().units.length === "m" ? STEPS_M : STEPS_FT;
    return steps.find((step) => step * (frame()?.pxPerM ?? 1) >= 34) ?? 1000;
  };
  const stepWords = () => (say().units.length === "m" ? `${stepM()} m` : `${Math.round(stepM() / FT_M)} ft`);
  const ahead = () => {
    const start = props.at === null ? [] : [props.at];
    return line([...start, ...props.checkpoints.slice(props.reached).map((c) => c.position)]);
  };
  return (
    <div class="panel map" classList={{ enlarged: big(), stale: aged().freshness === "stale" }}>
      <Show when={frame()} fallback={<p class="label">{m().map.waiting}</p>}>
        {(f) => {
          const grid = () => stepM() * f().pxPerM;
          return (
            <svg ref={drawing} viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={m().map.title}>
              <defs>
                <pattern id="map-grid" width={grid()} height={grid()} patternUnits="userSpaceOnUse">
                  <path d={`M${grid()} 0H0V${grid()}`} class="grid" />
                </pattern>
              </defs>
              <rect width={WIDTH} height={HEIGHT} fill="url(#map-grid)" />
              <For each={props.area}>{(polygon) => <polygon class="area" points={line(polygon)} />}</For>
              <polyline class="ahead" points={ahead()} />
              <polyline class="trail" points={line([...props.trail, ...(props.at ? [props.at] : [])])} />
              <For each={props.checkpoints}>
                {(checkpoint, index) => {
                  const at = () => place(f(), checkpoint.position);
                  const kind = () =>
                    index() < props.reached
                      ? "spot reached"
                      : index() === props.reached
                        ? "spot next"
                        : "spot";
                  return (
                    <g class={kind()}>
                      <circle class="radius" cx={at().x} cy={at().y} r={checkpoint.radiusM * f().pxPerM} />
                      <circle cx={at().x} cy={at().y} r="8" />
                      <text x={at().x} y={at().y + 3.5}>
                        {index() + 1}
                      </text>
                    </g>
                  );
                }}
              </For>
              <Show when={props.goal}>
                {(goal) => {
                  const to = () => place(f(), goal());
                  return (
                    <g class="goal">
                      <polyline points={line([...(props.at ? [props.at] : []), goal()])} />
                      <path
                        d="M0 0L-5.5 -11a6.2 6.2 0 1 1 11 0Z"
                        transform={`translate(${to().x.toFixed(1)} ${to().y.toFixed(1)})`}
                      />
                    </g>
                  );
                }}
              </Show>
              <Show when={props.aim}>
                {(aim) => {
                  const to = () => place(f(), aim());
                  return (
                    <path
                      class="aim"
                      d="M-9 0h18M0 -9v18"
                      transform={`translate(${to().x.toFixed(1)} ${to().y.toFixed(1)})`}
                    />
                  );
                }}
              </Show>
              <Show when={props.at}>
                {(point) => {
                  const at = () => place(f(), point());
                  return (
                    <g transform={`translate(${at().x.toFixed(1)} ${at().y.toFixed(1)})`}>
                      <Show when={props.accuracyM}>
                        {(accuracy) => <circle class="accuracy" r={accuracy() * f().pxPerM} />}
                      </Show>
                      <path
                        class="robot"
                        transform={`rotate(${(props.headingDeg ?? 0).toFixed(1)})`}
                        d={
                          props.headingDeg === null
                            ? "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0"
                            : "M0-10L7 8L0 4L-7 8Z"
                        }
                      />
                    </g>
                  );
                }}
              </Show>
              <path class="scale" d={`M12 ${HEIGHT - 16}v4h${grid()}v-4`} />
              <text class="scale-words" x={18 + grid()} y={HEIGHT - 11}>
                {stepWords()}
              </text>
              <text class="scale-words" x={WIDTH - 18} y="20">
                {m().map.north}
              </text>
              <path class="north" d={`M${WIDTH - 14.5} 26v10m-3-7l3-3l3 3`} />
            </svg>
          );
        }}
      </Show>
      <span class="map-age">
        <Show when={aged().freshness === "stale"} fallback={<AgeOf age={aged().age} />}>
          <span class="aged stale">{m().map.stale(say().roughAge(props.ageMs ?? 0))}</span>
        </Show>
      </span>
      <button
        type="button"
        class="pick"
        data-testid="map-pick"
        // By keyboard a goal is placed with M; there is no place under a key.
        tabindex={-1}
        disabled={props.onPick === null && !matchMedia(SMALL).matches}
        aria-label={small() ? m().map.enlarge : props.onPick === null ? m().map.close : m().map.pick}
        onClick={pick}
      />
      <Show when={big()}>
        <button type="button" class="extra map-close" onClick={() => setBig(false)}>
          {m().map.close}
        </button>
      </Show>
    </div>
  );
}
