/** Keeps small copies of the pictures on the screen, for the replay of the last seconds. */
import { type Kept, keep, REPLAY_EVERY_MS } from "../core/replay";
import { nowMs } from "./clock";

const WIDTH_PX = 480;
const HEIGHT_PX = 270;
const QUALITY = 0.6;

export interface Recorder {
  /** A picture is on the screen. Cheap: most are not kept, and one is encoded at a time. */
  readonly frameShown: (video: HTMLVideoElement) => void;
  readonly frames: () => readonly Kept<Blob>[];
  readonly close: () => void;
}

export function replayRecorder(): Recorder {
  const canvas = Object.assign(document.createElement("canvas"), { width: WIDTH_PX, height: HEIGHT_PX });
  const context = canvas.getContext("2d", { alpha: false, willReadFrequently: true });
  let frames: readonly Kept<Blob>[] = [];
  let lastMs = Number.NEGATIVE_INFINITY;
  let encoding = false;
  let closed = false;
  return {
    frameShown: (video) => {
      const atMs = nowMs();
      if (context === null || encoding || closed || atMs - lastMs < REPLAY_EVERY_MS) return;
      lastMs = atMs;
      encoding = true;
      // Not in the callback of the frame: what it is there for comes first.
      setTimeout(() => {
        context.drawImage(video, 0, 0, WIDTH_PX, HEIGHT_PX);
        canvas.toBlob(
          (item) => {
            encoding = false;
            if (item !== null && !closed) frames = keep(frames, { atMs, bytes: item.size, item });
          },
          "image/jpeg",
          QUALITY,
        );
      });
    },
    frames: () => frames,
    close: () => {
      closed = true;
      frames = [];
    },
  };
}
