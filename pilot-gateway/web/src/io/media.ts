/** Watching which picture is on the screen. */
import { type Ms, ms } from "../core/units";

export interface ShownFrame {
  /** The frame's RTP timestamp; null when the stream has none. */
  readonly rtp: number | null;
  /** When it was put on the screen, on this page's clock. */
  readonly shownAtMs: Ms;
}

/** Calls `shown` for every frame that reaches the screen; returns how to stop. */
export function watchFrames(video: HTMLVideoElement, shown: (frame: ShownFrame) => void): () => void {
  // A browser without it shows pictures and can't say which: it counts as seeing none.
  if (typeof video.requestVideoFrameCallback !== "function") return () => undefined;
  let handle = 0;
  const next: VideoFrameRequestCallback = (now, metadata) => {
    shown({ rtp: metadata.rtpTimestamp ?? null, shownAtMs: ms(now) });
    handle = video.requestVideoFrameCallback(next);
  };
  handle = video.requestVideoFrameCallback(next);
  return () => video.cancelVideoFrameCallback(handle);
}
