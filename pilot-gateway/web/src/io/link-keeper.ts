/**
 * Keeps a link to the robot for as long as the lease lives. A link that falls silent may come back by itself, or its path
 * may be gone for good: an address changed, a relay ended. Nobody can tell, so another link is opened beside it, over
 * whatever path there is by then, and the one that is heard first carries on. The robot does the same at its end: it
 * goes over to the new link when that is connected, and not before.
 */
import type { Messages } from "../core/words/words";
import type { Link, LinkEvents } from "./backend";
import type { Failure, Opened } from "./opening";

/** A link that is not heard for so long is in doubt: thirty packets of telemetry did not come. The robot has stopped long
 * before, and gives the lease up after five seconds without its driver. */
export const SILENT_MS_MAX = 1_500;
/** A new link may be silent at first: keys are agreed, and the first telemetry is under way. */
const OPEN_MS_MAX = 10_000;
const REOPEN_EVERY_MS = 500;
/** A new link can't help against these. */
const FINAL_CODES = ["lease-ended", "forbidden", "bad-signature"];
/** What the robot may say on a link before it is taken. */
const EARLY_MAX = 16;

export interface KeeperEvents
  extends Pick<LinkEvents, "telemetry" | "session" | "estop" | "video" | "sound"> {
  /** A link carries the drive from now on; `first` is the first of all. */
  readonly opened: (first: boolean) => void;
  /** Nothing comes any more, and another link is tried. */
  readonly doubted: (words: string) => void;
  /** The link that was in doubt is heard again. */
  readonly back: () => void;
  /** Another link was not opened; it is tried again. */
  readonly failed: (failure: Failure) => void;
  /** There can be no link any more. */
  readonly over: (words: string) => void;
}

export type Call = (events: LinkEvents) => Promise<Opened<{ readonly link: Link; readonly episode: string }>>;

export interface LinkKeeper {
  /** The link that carries the drive, in doubt or not. */
  readonly link: () => Link | null;
  /** Whether it is open and heard. */
  readonly isOpen: () => boolean;
  /** Opens the first link; null when the robot has answered. */
  readonly begin: () => Promise<{ readonly failure: Failure } | { readonly episode: string }>;
  /** Looks whether the link is heard. */
  readonly look: (nowMs: number) => void;
  readonly close: () => void;
}

type Early = () => void;

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

export function linkKeeper(
  call: Call,
  nowMs: () => number,
  events: KeeperEvents,
  words: () => Messages["drive"],
): LinkKeeper {
  let current: Link | null = null;
  /** The link that is being opened, and how to give it up. */
  let giveUp: (() => void) | null = null;
  let heardMs = 0;
  let doubt: string | null = null;
  let everOpen = false;
  let retrying = false;
  let closed = false;

  const needed = () => !closed && (current === null || doubt !== null);

  function heard(): void {
    heardMs = nowMs();
    if (doubt === null) return;
    doubt = null;
    giveUp?.();
    events.back();
  }

  /** One link: called, opened, taken. Null when it carries the drive, or when it is not needed any more. */
  async function attempt(answered: (episode: string) => void): Promise<Failure | null> {
    let mine: Link | null = null;
    let open = false;
    let lostWhy: string | null = null;
    const early: Early[] = [];
    let settle: (failure: Failure | null) => void = () => {};
    const settled = new Promise<Failure | null>((resolve) => {
      settle = resolve;
    });
    const isCurrent = () => mine !== null && current === mine;
    const pass = (act: Early) => {
      if (isCurrent()) act();
      else if (early.length < EARLY_MAX) early.push(act);
    };
    const take = () => {
      if (mine === null || !open || !needed()) return;
      current?.close();
      current = mine;
      doubt = null;
      heardMs = nowMs();
      const first = !everOpen;
      everOpen = true;
      events.opened(first);
      for (const act of early.splice(0)) act();
      settle(null);
    };
    const lost = (why: string) => {
      lostWhy = why;
      if (isCurrent()) {
        current = null;
        mine?.close();
        void retry(why);
      } else settle({ code: "unavailable", title: "no connection", detail: why });
    };
    giveUp = () => settle(null);
    const called = await call({
      telemetry: (bytes) => {
        if (!isCurrent()) return;
        heard();
        events.telemetry(bytes);
      },
      session: (text) => pass(() => events.session(text)),
      estop: (bytes) => pass(() => events.estop(bytes)),
      video: (camera, stream) => pass(() => events.video(camera, stream)),
      sound: (stream) => pass(() => events.sound(stream)),
      open: () => {
        open = true;
        take();
      },
      lost,
    });
    if (!called.ok) return called.failure;
    mine = called.value.link;
    answered(called.value.episode);
    const timer = setTimeout(() => lost(words().didNotOpen), OPEN_MS_MAX);
    if (lostWhy !== null) lost(lostWhy);
    else take();
    const failure = needed() || isCurrent() ? await settled : null;
    clearTimeout(timer);
    if (!isCurrent()) mine.close();
    return failure;
  }

  async function retry(why: string): Promise<void> {
    doubt = why;
    if (closed) return;
    events.doubted(why);
    if (retrying) return;
    retrying = true;
    while (needed()) {
      const failure = await attempt(() => {});
      if (failure === null) continue;
      if (closed) break;
      if (FINAL_CODES.includes(failure.code)) events.over(failure.detail);
      else events.failed(failure);
      if (needed()) await pause(REOPEN_EVERY_MS);
    }
    retrying = false;
  }

  return {
    link: () => current,
    isOpen: () => current !== null && doubt === null,
    begin: () =>
      new Promise((resolve) => {
        let robotAnswered = false;
        const answered = (episode: string) => {
          robotAnswered = true;
          resolve({ episode });
        };
        void attempt(answered).then((failure) => {
          if (failure === null) return;
          if (robotAnswered) void retry(failure.detail);
          else resolve({ failure });
        });
      }),
    look: (now) => {
      if (current !== null && doubt === null && now - heardMs > SILENT_MS_MAX) {
        void retry(words().notHeard);
      }
    },
    close: () => {
      closed = true;
      giveUp?.();
      current?.close();
    },
  };
}
