/**
 * Push to talk: the browser's microphone on its way to the robot. It is asked for at the first press, open only for a
 * while after the last one, and never waited for: whatever it does, the drive goes on.
 */
import { TALK_EVERY_MS } from "../protocol/session";

/** After so long without a press the microphone is given back. */
const KEPT_MS = 60_000;

export interface VoiceLane {
  readonly press: () => void;
  readonly release: () => void;
  readonly close: () => void;
}

export function voiceLane(to: {
  readonly send: (track: MediaStreamTrack | null) => void;
  readonly say: (active: boolean) => void;
  readonly changed: (talks: boolean) => void;
  /** There is no microphone, for the reason that the browser gives. */
  readonly failed: (why: string) => void;
}): VoiceLane {
  let held = false;
  let closed = false;
  let asking = false;
  let microphone: MediaStreamTrack | null = null;
  let talking: ReturnType<typeof setInterval> | undefined;
  let keeping: ReturnType<typeof setTimeout> | undefined;

  const giveBack = () => {
    microphone?.stop();
    microphone = null;
  };

  /** Begins to talk, once there is a microphone and the button is still held. */
  const begin = () => {
    if (!held || closed || microphone === null || talking !== undefined) return;
    microphone.enabled = true;
    to.send(microphone);
    to.say(true);
    talking = setInterval(() => to.say(true), TALK_EVERY_MS);
    to.changed(true);
  };

  const ask = async () => {
    if (asking) return;
    asking = true;
    try {
      const audio = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
      const [track] = (await navigator.mediaDevices.getUserMedia({ audio })).getAudioTracks();
      microphone = track ?? null;
      if (microphone !== null) {
        microphone.enabled = false;
        // Pulled out: the next press asks anew.
        microphone.addEventListener("ended", () => {
          release();
          microphone = null;
        });
      }
      if (closed) giveBack();
    } catch (error) {
      to.failed(error instanceof Error ? error.message : String(error));
    } finally {
      asking = false;
    }
    begin();
  };

  function release(): void {
    held = false;
    if (talking === undefined) return;
    clearInterval(talking);
    talking = undefined;
    to.say(false);
    to.send(null);
    if (microphone !== null) microphone.enabled = false;
    to.changed(false);
    clearTimeout(keeping);
    keeping = setTimeout(giveBack, KEPT_MS);
  }

  return {
    press: () => {
      if (held || closed) return;
      held = true;
      clearTimeout(keeping);
      if (microphone === null) void ask();
      else begin();
    },
    release,
    close: () => {
      closed = true;
      release();
      clearTimeout(keeping);
      giveBack();
    },
  };
}
