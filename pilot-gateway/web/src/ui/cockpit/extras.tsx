/** What the robot has beside wheels and cameras: lamp, horn, voice. Shown only as far as it has them. */
import { createSignal, type JSX, Show } from "solid-js";
import type { Drive } from "../../io/drive";
import type { DriveView } from "../../io/drive-view";
import { LAMP_LEVEL_MAX, SAY_CHARS_MAX } from "../../protocol/session";
import { m } from "../say";
import { Sound } from "./sound";

export function Extras(props: { view: DriveView; drive: Drive }): JSX.Element {
  const [talking, setTalking] = createSignal(false);
  const equipment = () => props.view.equipment;
  const has = (part: "lamp" | "horn" | "voice") => equipment()?.[part] === true;
  const sounds = () => equipment()?.microphone === true || equipment()?.loudspeaker === true;
  const lit = () => (equipment()?.lampLevel ?? 0) > 0;
  let talk: HTMLButtonElement | undefined;
  const close = () => {
    setTalking(false);
    // The keys drive again only when no text has the focus.
    talk?.focus();
    talk?.blur();
  };
  const submit = (event: SubmitEvent & { currentTarget: HTMLFormElement }) => {
    event.preventDefault();
    const text = new FormData(event.currentTarget).get("text");
    if (typeof text === "string" && text.trim() !== "") props.drive.sayAloud(text.trim());
    close();
  };
  return (
    <Show when={has("lamp") || has("horn") || has("voice") || sounds()}>
      <div class="extras" role="toolbar" aria-label={m().extras.title}>
        <Show when={has("lamp")}>
          <button
            type="button"
            class="extra"
            data-testid="lamp"
            aria-pressed={lit()}
            onClick={() => props.drive.setLamp(lit() ? 0 : LAMP_LEVEL_MAX)}
          >
            {m().extras.lamp} <small>{lit() ? m().extras.on : m().extras.off}</small>
          </button>
        </Show>
        <Show when={has("horn")}>
          <button type="button" class="extra" data-testid="horn" onClick={() => props.drive.horn()}>
            {m().extras.horn} <small>H</small>
          </button>
        </Show>
        <Show when={has("voice")}>
          <button
            ref={talk}
            type="button"
            class="extra"
            data-testid="talk"
            aria-expanded={talking()}
            onClick={() => (talking() ? close() : setTalking(true))}
          >
            {m().extras.say} <small>{m().extras.aloud}</small>
          </button>
        </Show>
        <Sound view={props.view} drive={props.drive} />
        <Show when={talking()}>
          <form class="panel say" onSubmit={submit}>
            <label for="say-text">{m().extras.help}</label>
            <div class="row">
              <input
                id="say-text"
                name="text"
                data-testid="say-text"
                maxlength={SAY_CHARS_MAX}
                autocomplete="off"
                placeholder={m().extras.example}
                ref={(input) => queueMicrotask(() => input.focus())}
                onKeyDown={(event) => event.key === "Escape" && close()}
              />
              <button type="submit" class="extra" data-testid="say">
                {m().extras.sayIt}
              </button>
            </div>
          </form>
        </Show>
      </div>
    </Show>
  );
}
