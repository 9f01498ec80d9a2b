/** Watching which picture is on the screen. */
import { NOTHING_SEEN, nextWatch } from "../core/shown";
import { type Ms, ms } from "../core/units";

export interface ShownFrame {
  /** The frame's RTP timestamp; null when the stream has none. */
  readonly rtp: number | null;
  /** When it was put on the screen, on this page's clock. */
  readonly shownAtMs: Ms;
}

/** Who receives a stream, for browsers whose video elements don't tell which picture they show. */
const receivers = new WeakMap<MediaStream, RTCRtpReceiver>();

/** The stream of a receiver, as a video element takes it. */
export function streamOf(receiver: RTCRtpReceiver): MediaStream {
  const stream = new MediaStream([receiver.track]);
  receivers.set(stream, receiver);
  return stream;
}

/** Whether the browser says of each picture that it shows it. */
export function tellsFrames(): boolean {
  return "requestVideoFrameCallback" in HTMLVideoElement.prototype;
}

/** Calls `shown` for every frame that reaches the screen; returns how to stop. */
export function watchFrames(video: HTMLVideoElement, shown: (frame: ShownFrame) => void): () => void {
  if (!tellsFrames()) return watchHanded(video, shown);
  let handle = 0;
  const next: VideoFrameRequestCallback = (now, metadata) => {
    shown({ rtp: metadata.rtpTimestamp ?? null, shownAtMs: ms(now) });
    handle = video.requestVideoFrameCallback(next);
  };
  handle = video.requestVideoFrameCallback(next);
  return () => video.cancelVideoFrameCallback(handle);
}

/** By what the receiver has handed over, and what the element has shown: see core/shown. */
function watchHanded(video: HTMLVideoElement, shown: (frame: ShownFrame) => void): () => void {
  let watch = NOTHING_SEEN;
  let from: MediaProvider | null = null;
  const look = (now: number) => {
    handle = requestAnimationFrame(look);
    if (video.srcObject !== from) {
      from = video.srcObject;
      watch = NOTHING_SEEN;
    }
    const receiver = from instanceof MediaStream ? receivers.get(from) : undefined;
    const sources = receiver?.getSynchronizationSources?.() ?? [];
    const newest = sources.reduce<RTCRtpSynchronizationSource | null>(
      (best, one) => (best === null || one.timestamp > best.timestamp ? one : best),
      null,
    );
    const { totalVideoFrames, droppedVideoFrames } = video.getVideoPlaybackQuality();
    const handed = { stamp: newest?.rtpTimestamp ?? null, shown: totalVideoFrames - droppedVideoFrames };
    const next = nextWatch(watch, handed);
    watch = next.watch;
    if (next.seen !== null) shown({ rtp: next.seen, shownAtMs: ms(now) });
  };
  let handle = requestAnimationFrame(look);
  return () => cancelAnimationFrame(handle);
}
