/** Once a second: how much video arrives, and how much of it is lost. */
import type { Link, VideoCounters } from "./backend";

export interface LinkMeasure {
  readonly bitrateBps: number;
  readonly fps: number;
  readonly loss: number;
  readonly codec: string | null;
}

export interface LinkMeter {
  readonly frameShown: () => void;
  /** Null for the first time on a link. */
  readonly measure: (link: Link | null) => Promise<LinkMeasure | null>;
}

export function linkMeter(): LinkMeter {
  let frames = 0;
  let before: VideoCounters | null = null;
  return {
    frameShown: () => {
      frames += 1;
    },
    measure: async (link) => {
      const now = (await link?.counters()) ?? null;
      const then = before;
      const shown = frames;
      before = now;
      frames = 0;
      // On a new link the counters begin anew.
      if (now === null || then === null || now.atMs <= then.atMs || now.bytes < then.bytes) return null;
      const spanS = (now.atMs - then.atMs) / 1000;
      const lost = Math.max(0, now.packetsLost - then.packetsLost);
      const received = Math.max(0, now.packets - then.packets);
      return {
        bitrateBps: ((now.bytes - then.bytes) * 8) / spanS,
        fps: shown / spanS,
        loss: lost + received === 0 ? 0 : lost / (lost + received),
        codec: now.codec,
      };
    },
  };
}
