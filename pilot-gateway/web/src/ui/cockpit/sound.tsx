/** The robot's sound, off until its driver turns it on, and the button to talk through it. Shown only as far as it has them. */
import { createEffect, type JSX, onCleanup, Show } from "solid-js";
import type { Drive } from "../../io/drive";
import type { DriveView } from "../../io/drive-view";
import { m } from "../say";

const TALK_KEY = "KeyT";

export function Sound(props: { view: DriveView; drive: Drive }): JSX.Element {
  return (
    <>
      <Show when={props.view.equipment?.microphone}>
        <Ear view={props.view} drive={props.drive} />
      </Show>
      <Show when={props.view.equipment?.loudspeaker}>
        <Mouth talks={props.view.talks} drive={props.drive} />
      </Show>
    </>
  );
}

function Ear(props: { view: DriveView; drive: Drive }): JSX.Element {
  let player: HTMLAudioElement | undefined;
  createEffect(() => {
    const { sound, listens } = props.view;
    if (player === undefined) return;
    if (player.srcObject !== sound) player.srcObject = sound;
    player.muted = !listens;
    // Browsers want a gesture before a sound: the press on the button is one.
    if (listens && sound !== null) player.play().catch(() => {});
  });
  return (
    <button
      type="button"
      class="extra"
      data-testid="listen"
      aria-pressed={props.view.listens}
      onClick={() => props.drive.listen(!props.view.listens)}
    >
      {m().extras.sound} <small>{props.view.listens ? m().extras.on : m().extras.off}</small>
      {/* biome-ignore lint/a11y/useMediaCaption: what is said on the street has no captions */}
      <audio ref={player} data-testid="robot-sound" autoplay />
    </button>
  );
}

function Mouth(props: { talks: boolean; drive: Drive }): JSX.Element {
  const stop = new AbortController();
  const { signal } = stop;
  const letGo = () => props.drive.talk(false);
  const onKey = (event: KeyboardEvent) => {
    if (event.code !== TALK_KEY) return;
    const typing = event.target instanceof HTMLInputElement || event.target instanceof HTMLTextAreaElement;
    const modified = event.ctrlKey || event.altKey || event.metaKey;
    if (event.type === "keyup") letGo();
    else if (!typing && !modified && !event.repeat) props.drive.talk(true);
  };
  window.addEventListener("keydown", onKey, { signal });
  window.addEventListener("keyup", onKey, { signal });
  window.addEventListener("blur", letGo, { signal });
  document.addEventListener("visibilitychange", letGo, { signal });
  onCleanup(() => {
    stop.abort();
    letGo();
  });
  return (
    <button
      type="button"
      class="extra"
      data-testid="push-to-talk"
      aria-pressed={props.talks}
      aria-keyshortcuts="T"
      onPointerDown={(event) => {
        event.currentTarget.setPointerCapture(event.pointerId);
        props.drive.talk(true);
      }}
      onPointerUp={letGo}
      onPointerCancel={letGo}
      onLostPointerCapture={letGo}
    >
      {props.talks ? m().extras.talking : m().extras.talk} <small>{m().extras.holdTalk}</small>
    </button>
  );
}
