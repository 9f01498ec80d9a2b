/** The page on which one drives: the picture, and over it what must be known at a glance. */
import { createEffect, createMemo, createSignal, type JSX, on, onCleanup, Show } from "solid-js";
import { freshness, STALE_MS } from "../../core/age";
import { type Ahead, cameraOf, SIMULATED } from "../../core/camera";
import { aheadOf, enuM, type GeoPoint, placeAhead } from "../../core/geo";
import { isOpen } from "../../core/goal";
import type { Mission } from "../../core/model";
import { nextCheckpoint } from "../../core/progress";
import { statusOf } from "../../core/status";
import type { Drive } from "../../io/drive";
import type { DriveView } from "../../io/drive-view";
import { watchFrames } from "../../io/media";
import { replayRecorder } from "../../io/replay";
import { m, preferences, say } from "../say";
import { CalibratePanel } from "./calibrate";
import { publishDebugView } from "./debug";
import { Extras } from "./extras";
import { GoalPanel } from "./goal-panel";
import { LinkPanel } from "./link-panel";
import { MapPanel } from "./map-panel";
import { MissionPanel } from "./mission-panel";
import { Replay } from "./replay";
import { SpeedPanel } from "./speed-panel";
import { StateNote } from "./state-note";
import { Tape } from "./tape";
import { ThumbPad } from "./thumb-pad";
import { type Motion, World } from "./world";

const TRAIL_STEP_M = 0.4;
const TRAIL_POINTS_MAX = 3_000;
/** A latency for the stopping line when none is known yet: rather too long than too short. */
const LATENCY_MS_UNKNOWN = 300;

export interface CockpitProps {
  readonly drive: Drive;
  readonly view: DriveView;
  readonly mission: Mission | undefined;
  /** When the fleet last said how the mission stands, on this page's clock. */
  readonly missionAtMs: number | null;
  readonly front: MediaStream | null;
  readonly rear: MediaStream | null;
  readonly onEnd: () => void;
  readonly ending: boolean;
  /** The last seconds are shown again. */
  readonly replaying: boolean;
  readonly onReplay: () => void;
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

function hintOf(view: DriveView): string {
  const words = m().status;
  if (view.gamepad === "standard") return words.hintGamepad;
  if (view.gamepad === "taught") return words.hintTaught;
  return matchMedia("(pointer: coarse)").matches ? words.hintTouch : words.hintKeys;
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
    statusOf(
      {
        ...props.view,
        hint: hintOf(props.view),
      },
      say(),
    ),
  );
  /** Where it is, is not where it was: what is drawn by its place goes when that is old. */
  const placed = () => freshness(props.view.telemetryAgeMs, STALE_MS.telemetry) === "live";
  const motion = createMemo<Motion | null>(() => {
    const t = telemetry();
    if (t === null || t.state !== "driving" || status().gravity === "stop") return null;
    const loopLatencyMs = t.loopLatencyMs ?? LATENCY_MS_UNKNOWN;
    return { speedMps: t.speedMmps / 1000, yawRadps: t.yawMradps / 1000, loopLatencyMs };
  });
  const [aspect, setAspect] = createSignal(16 / 9);
  const robot = () => props.mission?.robot ?? "";
  const calibration = () => {
    const { cameras } = preferences();
    return (Object.hasOwn(cameras, robot()) ? cameras[robot()] : undefined) ?? SIMULATED;
  };
  const camera = createMemo(() => cameraOf(calibration(), aspect()));
  const [calibrating, setCalibrating] = createSignal(false);
  const goal = createMemo<Ahead | null>(() => {
    const [here, heading] = [at(), headingDeg()];
    const point = props.view.aim ?? (isOpen(props.view.goal) ? props.view.goal.at : null);
    if (here === null || heading === null || point === null || !placed()) return null;
    return aheadOf(here, heading, point);
  });
  const pick = (place: Ahead) => {
    const [here, heading] = [at(), headingDeg()];
    if (here !== null && heading !== null) props.drive.setGoal(placeAhead(here, heading, place));
  };
  const recorder = replayRecorder();
  onCleanup(recorder.close);
  const watch = (video: HTMLVideoElement) => {
    video.addEventListener("resize", () => {
      if (video.videoWidth > 0 && video.videoHeight > 0) setAspect(video.videoWidth / video.videoHeight);
    });
    onCleanup(
      watchFrames(video, (frame) => {
        props.drive.frameShown(frame);
        recorder.frameShown(video);
      }),
    );
  };
  onCleanup(
    publishDebugView({ view: () => props.view, drive: props.drive, next, mission: () => props.mission }),
  );
  const latched = () => props.view.estopAsked || telemetry()?.state === "emergency_stopped";

  return (
    <main
      class={`cockpit ${status().gravity} hand-${preferences().inputs.hand} pad-${preferences().inputs.thumbPad}`}
    >
      <h1 class="visually-hidden">{m().cockpit.title}</h1>
      <div class="stage">
        <Camera stream={props.front} ref={watch} testid="video-front" label={m().cockpit.front} />
        <World
          camera={camera()}
          calibrating={calibrating()}
          motion={motion()}
          next={placed() ? next() : null}
          radiusM={radiusM()}
          goal={goal()}
          aiming={props.view.aim !== null}
          onPick={pick}
        />
        <div class="veil" />
      </div>
      <MissionPanel
        mission={props.mission}
        missionAgeMs={props.missionAtMs === null ? null : Math.max(0, props.view.nowMs - props.missionAtMs)}
        next={next()}
        positionAgeMs={props.view.telemetryAgeMs}
        onEnd={props.onEnd}
        ending={props.ending}
        calibrating={calibrating()}
        onCalibrate={() => setCalibrating((now) => !now)}
      />
      <Show when={calibrating()}>
        <CalibratePanel robot={robot()} calibration={calibration()} onClose={() => setCalibrating(false)} />
      </Show>
      <Tape
        headingDeg={headingDeg()}
        bearingDeg={next()?.bearingDeg ?? null}
        ageMs={props.view.telemetryAgeMs}
      />
      <LinkPanel view={props.view} />
      <StateNote status={status()} view={props.view} onClear={props.drive.clearEstop} />
      <SpeedPanel view={props.view} />
      <MapPanel
        checkpoints={props.mission?.checkpoints ?? []}
        area={props.mission?.area ?? []}
        reached={props.mission?.reached ?? 0}
        at={at()}
        ageMs={props.view.telemetryAgeMs}
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
        <Camera stream={props.rear} label={m().cockpit.rear} />
        <span class="tag">{m().cockpit.rearTag}</span>
        <Show when={props.rear === null}>
          <span class="none">{m().cockpit.noPicture}</span>
        </Show>
        <button
          type="button"
          class="replay-button"
          data-testid="replay-open"
          aria-label={m().replay.open}
          aria-keyshortcuts="R"
          aria-pressed={props.replaying}
          onClick={() => props.onReplay()}
        >
          ↺ <span>{m().replay.open}</span>
        </button>
      </div>
      <Show when={props.replaying}>
        <Replay frames={recorder.frames()} onClose={props.onReplay} />
      </Show>
      <Extras view={props.view} drive={props.drive} />
      <ThumbPad setPad={props.drive.setPad} />
      <button
        type="button"
        class={latched() ? "estop latched" : "estop"}
        data-testid="estop"
        aria-keyshortcuts="Space"
        onClick={() => props.drive.estop()}
      >
        {latched() ? m().cockpit.estopped : m().cockpit.estop}
        <small>{latched() ? m().cockpit.estopHeld : m().cockpit.estopKey}</small>
      </button>
    </main>
  );
}
