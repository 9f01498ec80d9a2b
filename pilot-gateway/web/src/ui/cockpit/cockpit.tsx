/** The page on which one drives: the picture, and over it what must be known at a glance. */
import { createEffect, createMemo, createSignal, type JSX, on, onCleanup, Show } from "solid-js";
import { enuM, type GeoPoint } from "../../core/geo";
import { isOpen } from "../../core/goal";
import type { Mission } from "../../core/model";
import { groundPath } from "../../core/path";
import { nextCheckpoint } from "../../core/progress";
import { statusOf } from "../../core/status";
import type { Drive } from "../../io/drive";
import type { DriveView } from "../../io/drive-view";
import { watchFrames } from "../../io/media";
import { publishDebugView } from "./debug";
import { Extras } from "./extras";
import { GoalPanel } from "./goal-panel";
import { LinkPanel } from "./link-panel";
import { MapPanel } from "./map-panel";
import { MissionPanel } from "./mission-panel";
import { SpeedPanel } from "./speed-panel";
import { StateNote } from "./state-note";
import { Tape } from "./tape";
import { ThumbPad } from "./thumb-pad";
import { World } from "./world";

const TRAIL_STEP_M = 0.4;
const TRAIL_POINTS_MAX = 3_000;
/** A latency for the stopping line when none is known yet: rather too long than too short. */
const LATENCY_MS_UNKNOWN = 300;

export interface CockpitProps {
  readonly drive: Drive;
  readonly view: DriveView;
  readonly mission: Mission | undefined;
  readonly front: MediaStream | null;
  readonly rear: MediaStream | null;
  readonly onEnd: () => void;
  readonly ending: boolean;
}

function Camera(props: {
  stream: MediaStream | null;
  ref?: (video: HTMLVideoElement) => void;
  testid?: string;
  label: string;
}): JSX.Element {
  let video: HTMLVideoElement | undefined;
  createEffect(() => {
    if (video && props.stream !== null) {
      video.srcObject = props.stream;
      // Refused only when the stream is replaced meanwhile: then the next effect plays it.
      video.play().catch(() => undefined);
    }
  });
  return (
    <video
      ref={(element) => {
        video = element;
        props.ref?.(element);
      }}
      aria-label={props.label}
      data-testid={props.testid}
      autoplay
      muted
      playsinline
      disablepictureinpicture
    />
  );
}

export function Cockpit(props: CockpitProps): JSX.Element {
  const telemetry = createMemo(() => props.view.telemetry);
  const at = createMemo<GeoPoint | null>(() => {
    const t = telemetry();
    if (t === null || t.lat1e7 === null || t.lon1e7 === null) return null;
    return { latDeg: t.lat1e7 / 1e7, lonDeg: t.lon1e7 / 1e7 };
  });
  const headingDeg = createMemo(() => {
    const heading = telemetry()?.headingCdeg ?? null;
    return heading === null ? null : heading / 100;
  });

  const [trail, setTrail] = createSignal<readonly GeoPoint[]>([]);
  createEffect(
    on(at, (point) => {
      const last = trail().at(-1);
      if (point === null || trail().length >= TRAIL_POINTS_MAX) return;
      if (last !== undefined) {
        const { eastM, northM } = enuM(point, last);
        if (Math.hypot(eastM, northM) < TRAIL_STEP_M) return;
      }
      setTrail([...trail(), point]);
    }),
  );

  const next = createMemo(() =>
    nextCheckpoint(
      props.mission?.checkpoints ?? [],
      props.mission?.next ?? null,
      at(),
      headingDeg(),
      trail()[0] ?? null,
    ),
  );
  const radiusM = () => props.mission?.checkpoints[next()?.index ?? 0]?.radiusM ?? 2;
  const status = createMemo(() =>
    statusOf({
      ...props.view,
      hint: props.view.gamepadThere
        ? "Hold a shoulder button and steer."
        : matchMedia("(pointer: coarse)").matches
          ? "Hold the pad and steer."
          : "Hold W to drive, A and D to turn.",
    }),
  );
  const path = createMemo(() => {
    const t = telemetry();
    if (t === null || t.state !== "driving" || status().gravity === "stop") return null;
    return groundPath(t.speedMmps / 1000, t.yawMradps / 1000, t.loopLatencyMs ?? LATENCY_MS_UNKNOWN);
  });
  const watch = (video: HTMLVideoElement) => onCleanup(watchFrames(video, props.drive.frameShown));
  onCleanup(
    publishDebugView({ view: () => props.view, drive: props.drive, next, mission: () => props.mission }),
  );
  const latched = () => props.view.estopAsked || telemetry()?.state === "emergency_stopped";

  return (
    <div class={`cockpit ${status().gravity}`}>
      <div class="stage">
        <Camera stream={props.front} ref={watch} testid="video-front" label="Front camera" />
        <World path={path()} next={next()} radiusM={radiusM()} />
        <div class="veil" />
      </div>
      <MissionPanel mission={props.mission} next={next()} onEnd={props.onEnd} ending={props.ending} />
      <Tape headingDeg={headingDeg()} bearingDeg={next()?.bearingDeg ?? null} />
      <LinkPanel view={props.view} />
      <StateNote status={status()} view={props.view} onClear={props.drive.clearEstop} />
      <SpeedPanel view={props.view} />
      <MapPanel
        checkpoints={props.mission?.checkpoints ?? []}
        area={props.mission?.area ?? []}
        reached={props.mission?.reached ?? 0}
        at={at()}
        headingDeg={headingDeg()}
        accuracyM={telemetry()?.hAccCm ? (telemetry()?.hAccCm ?? 0) / 100 : null}
        trail={trail()}
        goal={isOpen(props.view.goal) ? props.view.goal.at : null}
        aim={props.view.aim}
        onPick={telemetry()?.autonomy ? props.drive.setGoal : null}
      />
      <Show when={telemetry()?.autonomy || props.view.goal !== null}>
        <GoalPanel view={props.view} drive={props.drive} />
      </Show>
      <div class="panel rear">
        <Camera stream={props.rear} label="Rear camera" />
        <span class="tag">Rear</span>
        <Show when={props.rear === null}>
          <span class="none">no picture</span>
        </Show>
      </div>
      <Extras view={props.view} drive={props.drive} />
      <ThumbPad setPad={props.drive.setPad} />
      <button
        type="button"
        class={latched() ? "estop latched" : "estop"}
        data-testid="estop"
        tabindex={-1}
        onClick={() => props.drive.estop()}
      >
        {latched() ? "Stopped" : "Emergency stop"}
        <small>{latched() ? "the stop is held" : "Space"}</small>
      </button>
    </div>
  );
}
