/** What is drawn into the picture: the way ahead, where the robot would stop, the next checkpoint, the goal. */
import { createMemo, createSignal, For, type JSX, onCleanup, onMount, Show } from "solid-js";
import { type Ahead, type Camera, type Crop, cropOf } from "../../core/camera";
import { groundPath } from "../../core/path";
import type { NextCheckpoint } from "../../core/progress";
import { clamp } from "../../core/units";
import { m, say } from "../say";

/** Turns beyond this are outside of the picture. */
const EDGE_DEG = 42;
const RING_POINTS = 40;
const RING_DISTANCE_M_MAX = 30;
/** A place in the picture farther away than this can't be pointed at: a pixel there is metres. */
const PICK_M_MAX = 25;

/** How high the panels along the lower edge of a small screen are. */
const PANELS_PX = 150;

/** How the robot moves now; null when that is not known, or it stands. */
export interface Motion {
  readonly speedMps: number;
  readonly yawRadps: number;
  readonly loopLatencyMs: number;
}

interface Marker {
  readonly x: number;
  readonly y: number;
  readonly foot: { x: number; y: number } | null;
  readonly ring: string;
}

function ringOnGround({ project }: Camera, forwardM: number, leftM: number, radiusM: number): string {
  const points: string[] = [];
  for (let i = 0; i < RING_POINTS; i++) {
    const angle = (i / RING_POINTS) * 2 * Math.PI;
    const pixel = project(forwardM + radiusM * Math.cos(angle), leftM + radiusM * Math.sin(angle));
    // A ring around the robot itself would turn inside out: it is drawn as far as it lies ahead.
    if (pixel !== null && pixel.depthM > 0.5) points.push(`${pixel.x.toFixed(1)} ${pixel.y.toFixed(1)}`);
  }
  return points.length < 3 ? "" : `M${points.join("L")}${points.length === RING_POINTS ? "Z" : ""}`;
}

function markerOf(camera: Camera, next: NextCheckpoint, radiusM: number): Marker | null {
  if (next.turnDeg === null || Math.abs(next.turnDeg) > EDGE_DEG) return null;
  const turn = (next.turnDeg * Math.PI) / 180;
  const [forwardM, leftM] = [next.distanceM * Math.cos(turn), -next.distanceM * Math.sin(turn)];
  const head = camera.project(forwardM, leftM, 0.9);
  if (head === null) return null;
  const near = next.distanceM <= RING_DISTANCE_M_MAX;
  return {
    x: head.x,
    y: Math.max(150, head.y),
    foot: near ? camera.project(forwardM, leftM) : null,
    ring: near ? ringOnGround(camera, forwardM, leftM, radiusM) : "",
  };
}

/** The place on the ground under a point of the screen; null where there is none that one could mean. */
function pointedAt(camera: Camera, event: MouseEvent & { currentTarget: HTMLElement }): Ahead | null {
  // A click without a pointer, as Enter makes it on a button, is at no place.
  if (event.detail === 0) return null;
  const box = event.currentTarget.getBoundingClientRect();
  const crop = cropOf(box.width, box.height, camera);
  const place = camera.groundAt(
    crop.leftPx + (event.clientX - box.left) / crop.scale,
    crop.topPx + (event.clientY - box.top) / crop.scale,
  );
  return place === null || Math.hypot(place.forwardM, place.leftM) > PICK_M_MAX ? null : place;
}

function Way(props: { motion: Motion; camera: Camera; crop: Crop }): JSX.Element {
  const px = (size: number) => size / props.crop.scale;
  const path = createMemo(() => {
    const { speedMps, yawRadps, loopLatencyMs } = props.motion;
    return groundPath(speedMps, yawRadps, loopLatencyMs, props.camera, props.crop);
  });
  return (
    <Show when={path()}>
      {(way) => {
        const words = () => {
          const { stopInPicture, stopM } = way();
          const length = say().distance(stopM);
          return stopInPicture ? m().world.stopsHere(length) : m().world.offPicture(length);
        };
        /** Above the line, and above the panels that lie along the lower edge of a small screen. */
        const above = () => {
          const { scale, bottomPx, topPx, leftPx, rightPx } = props.crop;
          const small = (rightPx - leftPx) * scale < 1180 || (bottomPx - topPx) * scale < 420;
          const lowest = bottomPx - px(small ? PANELS_PX : 0);
          const at = way().label;
          const side = px(110);
          const x = at === null ? 0 : clamp(at.x, leftPx + side, Math.max(leftPx + side, rightPx - side));
          return at === null ? null : { x, y: Math.min(at.y - px(12), lowest) };
        };
        return (
          <g data-testid="path" data-stop-m={way().stopM.toFixed(2)}>
            <path class="committed" d={way().committed} />
            <path class="committed-lines" d={way().committed} fill="url(#committed-lines)" />
            <path class="wheel" d={way().wheels.join("")} stroke-width={px(1.5)} />
            <path
              class="brakes"
              d={way().brakes}
              stroke-width={px(2.5)}
              stroke-dasharray={`${px(8)} ${px(6)}`}
            />
            <path class="rest under" d={way().stop} stroke-width={px(9)} />
            <path class="rest" d={way().stop} stroke-width={px(5)} />
            <Show when={way().brakesLabel}>
              {(at) => (
                <text x={at().x + px(10)} y={at().y + px(4)} font-size={`${px(12)}px`} stroke-width={px(3)}>
                  {m().world.brakes}
                </text>
              )}
            </Show>
            <Show when={above()}>
              {(at) => (
                <text
                  class="rest-words"
                  x={at().x}
                  y={at().y}
                  font-size={`${px(14)}px`}
                  stroke-width={px(3)}
                  text-anchor="middle"
                >
                  {words()}
                </text>
              )}
            </Show>
          </g>
        );
      }}
    </Show>
  );
}

function Flag(props: { at: Ahead; aiming: boolean; camera: Camera; crop: Crop }): JSX.Element {
  const px = (size: number) => size / props.crop.scale;
  const foot = () =>
    props.at.forwardM < 0.6 ? null : props.camera.project(props.at.forwardM, props.at.leftM);
  return (
    <Show when={foot()}>
      {(at) => (
        <g class={props.aiming ? "flag aiming" : "flag"}>
          <path
            d={ringOnGround(props.camera, props.at.forwardM, props.at.leftM, 0.35)}
            stroke-width={px(3)}
          />
          <path
            d={`M${at().x} ${at().y}v${-px(46)}l${px(20)} ${px(8)}l${-px(20)} ${px(8)}`}
            stroke-width={px(3)}
          />
          <text x={at().x + px(24)} y={at().y - px(34)} font-size={`${px(14)}px`} stroke-width={px(3)}>
            {m().goal.marker}
          </text>
        </g>
      )}
    </Show>
  );
}

/** What the calibration says: the horizon, the robot's sides, and a line across at each of these distances. */
const RULER_M = [1, 2, 3, 5, 8];

function Rulers(props: { camera: Camera; crop: Crop }): JSX.Element {
  const px = (size: number) => size / props.crop.scale;
  const line = (...points: readonly Ahead[]) =>
    points
      .map(({ forwardM, leftM }) => props.camera.project(forwardM, leftM))
      .filter((p) => p !== null)
      .map((p, i) => `${i === 0 ? "M" : "L"}${p.x.toFixed(1)} ${p.y.toFixed(1)}`)
      .join("");
  const side = (leftM: number) => line({ forwardM: 0.9, leftM }, { forwardM: 12, leftM });
  const half = () => props.camera.calibration.halfWidthM;
  return (
    <g class="rulers" stroke-width={px(2)}>
      <path d={`M0 ${props.camera.horizonPx}H${props.camera.widthPx}`} />
      <path d={side(half()) + side(-half())} />
      <For each={RULER_M}>
        {(forwardM) => {
          const end = () => props.camera.project(forwardM, -1);
          return (
            <>
              <path d={line({ forwardM, leftM: 1 }, { forwardM, leftM: -1 })} />
              <Show when={end()}>
                {(at) => (
                  <text x={at().x + px(8)} y={at().y + px(4)} font-size={`${px(13)}px`} stroke-width={px(3)}>
                    {say().distance(forwardM)}
                  </text>
                )}
              </Show>
            </>
          );
        }}
      </For>
    </g>
  );
}

export function World(props: {
  camera: Camera;
  motion: Motion | null;
  next: NextCheckpoint | null;
  radiusM: number;
  /** The goal, or the cross while one is placed. */
  goal: Ahead | null;
  aiming: boolean;
  /** The camera is being calibrated: lines on the ground to hold the picture against. */
  calibrating: boolean;
  /** A place in the picture was pointed at, while a goal is placed. */
  onPick: (place: Ahead) => void;
}): JSX.Element {
  let svg: SVGSVGElement | undefined;
  const [box, setBox] = createSignal<{ readonly width: number; readonly height: number } | null>(null);
  const crop = createMemo<Crop>(() => {
    const { width, height } = box() ?? { width: props.camera.widthPx, height: props.camera.heightPx };
    return cropOf(width, height, props.camera);
  });
  onMount(() => {
    const observer = new ResizeObserver(() => {
      const now = svg?.getBoundingClientRect();
      if (now) setBox({ width: now.width, height: now.height });
    });
    if (svg) observer.observe(svg);
    onCleanup(() => observer.disconnect());
  });
  // The drawing scales with the picture; words and lines keep their size on the screen.
  const px = (size: number) => size / crop().scale;
  const marker = createMemo(() => {
    const found = props.next === null ? null : markerOf(props.camera, props.next, props.radiusM);
    return found !== null && found.x > crop().leftPx && found.x < crop().rightPx ? found : null;
  });
  const words = () =>
    props.next === null ? "" : `${props.next.index + 1} · ${say().distance(props.next.distanceM)}`;
  const edge = () => {
    const turn = props.next?.turnDeg ?? null;
    if (turn === null || marker() !== null || props.next?.inside) return null;
    return turn > 0 ? "right" : "left";
  };
  const pick = (event: MouseEvent & { currentTarget: HTMLElement }) => {
    const place = pointedAt(props.camera, event);
    if (place !== null) props.onPick(place);
  };
  return (
    <>
      <svg
        ref={svg}
        class="world"
        viewBox={`0 0 ${props.camera.widthPx} ${props.camera.heightPx}`}
        preserveAspectRatio="xMidYMid slice"
        aria-hidden="true"
      >
        <defs>
          <pattern
            id="committed-lines"
            width={px(12)}
            height={px(12)}
            patternUnits="userSpaceOnUse"
            patternTransform="rotate(45)"
          >
            <rect width={px(3)} height={px(12)} class="hatch" />
          </pattern>
        </defs>
        <Show when={props.calibrating}>
          <Rulers camera={props.camera} crop={crop()} />
        </Show>
        <Show when={props.motion}>
          {(motion) => <Way motion={motion()} camera={props.camera} crop={crop()} />}
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
        <Show when={props.goal}>
          {(goal) => <Flag at={goal()} aiming={props.aiming} camera={props.camera} crop={crop()} />}
        </Show>
      </svg>
      <Show when={props.aiming}>
        <button
          type="button"
          class="pick picture"
          data-testid="picture-pick"
          aria-label={m().goal.placeTouch}
          tabindex={-1}
          onClick={pick}
        />
      </Show>
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
