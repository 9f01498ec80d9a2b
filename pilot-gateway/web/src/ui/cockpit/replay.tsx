/** The last ten seconds again, in a corner, marked as past in words, stripes and grey; the live picture stays. */
import { createSignal, type JSX, onCleanup, onMount, Show } from "solid-js";
import { frameAt, type Kept } from "../../core/replay";
import { nowMs } from "../../io/clock";
import { m, say } from "../say";

const STEP_MS = 50;

export function Replay(props: { frames: readonly Kept<Blob>[]; onClose: () => void }): JSX.Element {
  let canvas: HTMLCanvasElement | undefined;
  const frames = props.frames;
  const [from, to] = [frames[0]?.atMs ?? 0, frames.at(-1)?.atMs ?? 0];
  const [startMs, setStartMs] = createSignal<number>(nowMs());
  const [now, setNow] = createSignal<number>(nowMs());
  const at = () => Math.min(to, from + now() - startMs());
  const over = () => frames.length > 0 && at() >= to;
  let drawn: Kept<Blob> | null = null;
  const draw = async (frame: Kept<Blob>) => {
    const picture = await createImageBitmap(frame.item).catch(() => null);
    if (picture === null) return;
    if (canvas && drawn === frame)
      canvas.getContext("2d")?.drawImage(picture, 0, 0, canvas.width, canvas.height);
    picture.close();
  };
  onMount(() => {
    const timer = setInterval(() => {
      setNow(nowMs());
      const frame = frameAt(frames, at());
      if (frame === null || frame === drawn) return;
      drawn = frame;
      void draw(frame);
    }, STEP_MS);
    onCleanup(() => clearInterval(timer));
  });
  return (
    <section class="panel replay" aria-label={m().replay.title} data-testid="replay">
      <canvas ref={canvas} width="480" height="270" />
      <p class="past">
        <Show when={frames.length > 0} fallback={m().replay.empty}>
          {m().replay.past(say().roughAge(Math.max(0, now() - at())))}
        </Show>
      </p>
      <div class="past-bar" aria-hidden="true">
        <i style={{ transform: `scaleX(${to > from ? (at() - from) / (to - from) : 0})` }} />
      </div>
      <div class="row past-buttons">
        <button type="button" class="extra" disabled={!over()} onClick={() => setStartMs(nowMs())}>
          {m().replay.again}
        </button>
        <button type="button" class="extra" data-testid="replay-close" onClick={() => props.onClose()}>
          {m().replay.close} <small>R</small>
        </button>
      </div>
    </section>
  );
}
