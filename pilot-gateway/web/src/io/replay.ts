/** Keeps small copies of the pictures on the screen, for the replay of the last seconds. */
import { type Kept, keep, REPLAY_EVERY_MS } from "../core/replay";
import { nowMs } from "./clock";

export interface Recorder {
  /** A picture is on the screen. Cheap: most are not kept, one is copied at a time, and that by a worker. */
  readonly frameShown: (video: HTMLVideoElement) => void;
  readonly frames: () => readonly Kept<Blob>[];
  readonly close: () => void;
}

/** A browser that can't hand pictures to a worker has no replay: copying them here would hold up the driver's commands. */
const NO_RECORDER: Recorder = { frameShown: () => undefined, frames: () => [], close: () => undefined };

export function replayRecorder(): Recorder {
  if (typeof VideoFrame !== "function" || typeof OffscreenCanvas !== "function") return NO_RECORDER;
  const worker = new Worker(new URL("./replay.worker.ts", import.meta.url), { type: "module" });
  let frames: readonly Kept<Blob>[] = [];
  let lastMs = Number.NEGATIVE_INFINITY;
  let copying = false;
  worker.onmessage = ({ data }: MessageEvent<{ atMs: number; item: Blob | null }>) => {
    copying = false;
    const { atMs, item } = data;
    if (item !== null) frames = keep(frames, { atMs, bytes: item.size, item });
  };
  worker.onerror = (event) => console.warn("the replay's worker failed", event.message);
  return {
    frameShown: (video) => {
      const atMs = nowMs();
      if (copying || atMs - lastMs < REPLAY_EVERY_MS) return;
      lastMs = atMs;
      let frame: VideoFrame;
      try {
        frame = new VideoFrame(video);
      } catch {
        // No picture yet, or one that is just being replaced: the next will do.
        return;
      }
      copying = true;
      worker.postMessage({ frame, atMs }, [frame]);
    },
    frames: () => frames,
    close: () => {
      worker.terminate();
      frames = [];
    },
  };
}
