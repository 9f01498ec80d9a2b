/** What is drawn into the picture: the way ahead, where the robot would stop, and the next checkpoint. */
import { createMemo, createSignal, type JSX, onCleanup, onMount, Show } from "solid-js";
import { CAMERA, project } from "../../core/camera";
import { distance } from "../../core/format";
import type { GroundPath } from "../../core/path";
import type { NextCheckpoint } from "../../core/progress";

/** Turns beyond this are outside of the picture. */
const EDGE_DEG = 42;
const RING_POINTS = 40;
const RING_DISTANCE_M_MAX = 30;

interface Marker {
  readonly x: number;
  readonly y: number;
  readonly foot: { x: number; y: number } | null;
  readonly ring: string;
}

function ringOnGround(forwardM: number, leftM: number, radiusM: number): string {
  const points: string[] = [];
  for (let i = 0; i < RING_POINTS; i++) {
    const angle = (i / RING_POINTS) * 2 * Math.PI;
    const pixel = project(forwardM + radiusM * Math.cos(angle), leftM + radiusM * Math.sin(angle));
    // A ring around the robot itself would turn inside out: it is drawn as far as it lies ahead.
    if (pixel !== null && pixel.depthM > 0.5) points.push(`${pixel.x.toFixed(1)} ${pixel.y.toFixed(1)}`);
  }
  return points.length < 3 ? "" : `M${points.join("L")}${points.length === RING_POINTS ? "Z" : ""}`;
}

function markerOf(next: NextCheckpoint, radiusM: number): Marker | null {
  if (next.turnDeg === null || Math.abs(next.turnDeg) > EDGE_DEG) return null;
  const turn = (next.turnDeg * Math.PI) / 180;
  const [forwardM, leftM] = [next.distanceM * Math.cos(turn), -next.distanceM * Math.sin(turn)];
  const head = project(forwardM, leftM, 0.9);
  if (head === null) return null;
  const near = next.distanceM <= RING_DISTANCE_M_MAX;
  return {
    x: head.x,
    y: Math.max(150, head.y),
    foot: near ? project(forwardM, leftM) : null,
    ring: near ? ringOnGround(forwardM, leftM, radiusM) : "",
  };
}

export function World(props: {
  path: GroundPath | null;
  next: NextCheckpoint | null;
  radiusM: number;
}): JSX.Element {
  let svg: SVGSVGElement | undefined;
  const [scale, setScale] = createSignal(1);
  onMount(() => {
    const observer = new ResizeObserver(() => {
      const box = svg?.getBoundingClientRect();
      if (box) setScale(Math.max(box.width / CAMERA.widthPx, box.height / CAMERA.heightPx) || 1);
    });
    if (svg) observer.observe(svg);
    onCleanup(() => observer.disconnect());
  });
  // The drawing scales with the picture; words and lines keep their size on the screen.
  const px = (size: number) => size / scale();
  const marker = createMemo(() => (props.next === null ? null : markerOf(props.next, props.radiusM)));
  const words = () =>
    props.next === null ? "" : `${props.next.index + 1} · ${distance(props.next.distanceM)}`;
  const edge = () => {
    const turn = props.next?.turnDeg ?? null;
    if (turn === null || marker() !== null || props.next?.inside) return null;
    return turn > 0 ? "right" : "left";
  };
  return (
    <>
      <svg
        ref={svg}
        class="world"
        viewBox={`0 0 ${CAMERA.widthPx} ${CAMERA.heightPx}`}
        preserveAspectRatio="xMidYMid slice"
        aria-hidden="true"
      >
        <Show when={props.path}>
          {(path) => (
            <>
              <path class="way under" d={path().left + path().right} stroke-width={px(7)} />
              <path class="way" d={path().left + path().right} stroke-width={px(4)} />
              <path class="rest" d={path().stop} stroke-width={px(4)} />
              <Show when={path().label}>
                {(at) => (
                  <text
                    class="rest-words"
                    x={at().x}
                    y={at().y}
                    font-size={`${px(14)}px`}
                    stroke-width={px(3)}
                  >
                    stops here, {path().stopM.toFixed(1)} m
                  </text>
                )}
              </Show>
            </>
          )}
        </Show>
        <Show when={marker()}>
          {(at) => (
            <g class="checkpoint">
              <path d={at().ring} stroke-width={px(3)} class="ground" />
              <Show when={at().foot}>
                {(foot) => (
                  <path d={`M${foot().x} ${foot().y}L${at().x} ${at().y + px(13)}`} stroke-width={px(2)} />
                )}
              </Show>
              <circle cx={at().x} cy={at().y} r={px(13)} stroke-width={px(6)} class="under" />
              <circle cx={at().x} cy={at().y} r={px(13)} stroke-width={px(3)} />
              <text x={at().x + px(21)} y={at().y + px(5)} font-size={`${px(15)}px`} stroke-width={px(3)}>
                {words()}
              </text>
            </g>
          )}
        </Show>
      </svg>
      <Show when={edge()}>
        {(side) => (
          <div class={`edge ${side()}`}>
            {side() === "left" ? "◀ " : ""}
            {words()}
            {side() === "right" ? " ▶" : ""}
          </div>
        )}
      </Show>
    </>
  );
}
