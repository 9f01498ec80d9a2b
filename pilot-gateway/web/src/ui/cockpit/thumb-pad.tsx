/** The stick for a thumb: held is driving, let go is stopping. */
import { createSignal, type JSX } from "solid-js";
import type { Stick } from "../../core/input";
import { clamp } from "../../core/units";
import { m } from "../say";

export function ThumbPad(props: { setPad: (stick: Stick | null) => void }): JSX.Element {
  let pad: HTMLDivElement | undefined;
  const [knob, setKnob] = createSignal<Stick | null>(null);
  const put = (stick: Stick | null) => {
    setKnob(stick);
    props.setPad(stick);
  };
  const move = (event: PointerEvent) => {
    const box = pad?.getBoundingClientRect();
    if (box === undefined || pad?.hasPointerCapture(event.pointerId) !== true) return;
    const radius = box.width / 2;
    put({
      forward: clamp((box.top + radius - event.clientY) / (radius * 0.75), -1, 1),
      left: clamp((box.left + radius - event.clientX) / (radius * 0.75), -1, 1),
    });
  };
  return (
    <div
      ref={pad}
      class="thumb"
      role="application"
      aria-label={m().cockpit.thumb}
      onPointerDown={(event) => {
        pad?.setPointerCapture(event.pointerId);
        move(event);
      }}
      onPointerMove={move}
      onPointerUp={() => put(null)}
      onPointerCancel={() => put(null)}
      onLostPointerCapture={() => put(null)}
    >
      <span class="arrow up" />
      <span class="arrow down" />
      <span class="arrow left" />
      <span class="arrow right" />
      <i
        classList={{ on: knob() !== null }}
        style={{ transform: `translate(${-(knob()?.left ?? 0) * 75}%, ${-(knob()?.forward ?? 0) * 75}%)` }}
      />
    </div>
  );
}
