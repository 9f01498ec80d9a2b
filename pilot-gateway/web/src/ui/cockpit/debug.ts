/** A read-only view of the drive for tests and measurements: `window.__longrein`. */

import type { Mission } from "../../core/model";
import type { NextCheckpoint } from "../../core/progress";
import type { Drive } from "../../io/drive";
import type { DriveView } from "../../io/drive-view";
import { reasonOf } from "../../protocol/safety";

interface Facts {
  readonly view: () => DriveView;
  readonly drive: Drive;
  readonly next: () => NextCheckpoint | null;
  readonly mission: () => Mission | undefined;
}

export function publishDebugView(facts: Facts): () => void {
  const view = {
    get telemetry() {
      return facts.view().telemetry;
    },
    get latencySamplesMs() {
      return [...facts.drive.latencySamplesMs];
    },
    get connected() {
      return facts.view().connection === "open";
    },
    get connection() {
      return facts.view().connection;
    },
    get state() {
      return facts.view().telemetry?.state ?? null;
    },
    /** The stable code of the robot's reason; `rearm-needed` also when only this page waits for the keys. */
    get reason() {
      const { telemetry, deadman } = facts.view();
      if (telemetry === null) return null;
      if (deadman.letGoFirst && telemetry.state === "ready") return "rearm-needed";
      return reasonOf(telemetry.reason).code;
    },
    /** Why this page itself holds the deadman released; null when it does not. */
    get release() {
      return facts.view().deadman.release;
    },
    /** From taking the mission to the first picture on the screen, milliseconds. */
    get firstFrameMs() {
      return facts.drive.firstFrameMs();
    },
    /** Whether the robot has an autonomy, and whether that drives. */
    get autonomy() {
      const { telemetry } = facts.view();
      return telemetry === null ? null : { there: telemetry.autonomy, drives: telemetry.autonomous };
    },
    get goal() {
      return facts.view().goal;
    },
    get aim() {
      return facts.view().aim;
    },
    get letGoFirst() {
      return facts.view().deadman.letGoFirst;
    },
    get nextCheckpoint() {
      const next = facts.next();
      if (next === null) return null;
      return { index: next.index, distanceM: next.distanceM, bearingDeg: next.bearingDeg };
    },
    get headingDeg() {
      const heading = facts.view().telemetry?.headingCdeg ?? null;
      return heading === null ? null : heading / 100;
    },
    get speedMps() {
      const speed = facts.view().telemetry?.speedMmps;
      return speed === undefined ? null : speed / 1000;
    },
    get link() {
      return facts.view().link;
    },
    get mission() {
      return facts.mission() ?? null;
    },
    get episode() {
      return facts.view().episode;
    },
  };
  Object.defineProperty(window, "__longrein", { value: view, configurable: true });
  return () => {
    Reflect.deleteProperty(window, "__longrein");
  };
}
