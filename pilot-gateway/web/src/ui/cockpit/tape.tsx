/** The compass: heading in the middle, the next checkpoint as a dot. */
import { createMemo, For, type JSX, Show } from "solid-js";
import { STALE_MS, shown } from "../../core/age";
import { degrees } from "../../core/format";
import { turnDeg } from "../../core/geo";
import { clamp } from "../../core/units";
import { m, say } from "../say";

const WIDTH = 360;
const SPAN_DEG = 120;
const STEP_DEG = 15;
/** Every so many degrees a direction has a name. */
const NAMED_DEG = 45;
const TICKS = Array.from({ length: 360 / STEP_DEG }, (_, i) => i * STEP_DEG);
const EDGE_PX = 12;
/** The right end belongs to the age. */
const AGE_PX = 46;

const xOf = (turn: number) => WIDTH / 2 + (turn / SPAN_DEG) * WIDTH;

export function Tape(props: {
  headingDeg: number | null;
  bearingDeg: number | null;
  /** Since the robot last said which way it looks. */
  ageMs: number | null;
}): JSX.Element {
  const aged = () => shown(props.ageMs, STALE_MS.telemetry, () => "", say());
  const live = () => aged().freshness === "live";
  const words = () => {
    if (aged().freshness === "stale") return aged().text;
    return props.headingDeg === null || !live() ? m().tape.noneShort : degrees(props.headingDeg);
  };
  const ticks = createMemo(() => {
    const heading = props.headingDeg;
    if (heading === null || !live()) return [];
    return TICKS.map((deg) => ({
      deg,
      x: xOf(turnDeg(heading, deg)),
      name: deg % NAMED_DEG === 0 ? m().tape.points[deg / NAMED_DEG] : undefined,
    })).filter(({ x }) => x > 4 && x < WIDTH - 4);
  });
  const dot = () => {
    if (props.headingDeg === null || props.bearingDeg === null || !live()) return null;
    return clamp(xOf(turnDeg(props.headingDeg, props.bearingDeg)), EDGE_PX, WIDTH - EDGE_PX);
  };
  return (
    <div
      class="panel tape"
      role="img"
      aria-label={
        props.headingDeg === null || !live() ? m().tape.none : m().tape.heading(degrees(props.headingDeg))
      }
    >
      <svg viewBox={`0 0 ${WIDTH} 44`} aria-hidden="true">
        <For each={ticks()}>
          {(tick) => (
            <>
              <path class="tick" d={`M${tick.x} ${tick.name ? 29 : 33}V38`} />
              <Show when={tick.name && Math.abs(tick.x - WIDTH / 2) > 34 && tick.x < WIDTH - AGE_PX}>
                <text x={tick.x} y="20" class="name">
                  {tick.name}
                </text>
              </Show>
            </>
          )}
        </For>
        <Show when={dot()}>{(x) => <circle cx={x()} cy="31" r="4.5" class="dot" />}</Show>
        <path d="M180 44l-7-9h14z" class="needle" />
        <text x={WIDTH / 2} y="21" class={live() ? "heading" : "heading stale"}>
          {words()}
        </text>
        <text x={WIDTH - 8} y="14" class="age-text">
          {aged().age}
        </text>
      </svg>
    </div>
  );
}
