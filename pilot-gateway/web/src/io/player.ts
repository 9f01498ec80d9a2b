/** A player of a robot's live video: asks the gateway by WHEP, and asks again when the video breaks off. */
import type { Problem } from "../core/model";
import { problemWords } from "../core/problem";
import type { Say } from "../core/say";
import { retryMs } from "../core/watch";
import type { Api } from "./api";
import type { Backend, Viewer } from "./backend";

export interface PlayerOptions {
  readonly backend: Backend;
  readonly api: Api;
  readonly robot: string;
  readonly camera: string;
  readonly say: () => Say;
  readonly onVideo: (stream: MediaStream | null) => void;
  /** What stands in the way; empty when nothing does. */
  readonly onWords: (words: string) => void;
}

export interface Player {
  readonly close: () => void;
}

export function startPlayer(options: PlayerOptions): Player {
  const { backend, api, robot, camera } = options;
  const m = () => options.say().m.watch;
  /** Counts up with each attempt, and when one is over: what an older one still brings is not listened to. */
  let attempt = 0;
  let closed = false;
  let failures = 0;
  let viewer: Viewer | null = null;
  let location: string | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;

  function leave(): void {
    attempt += 1;
    viewer?.close();
    viewer = null;
    // The gateway notices by itself, only later.
    if (location !== null) void api.endWatch(location);
    location = null;
  }

  function again(why: string): void {
    leave();
    failures += 1;
    options.onVideo(null);
    options.onWords(m().again(why));
    timer = setTimeout(() => void open(), retryMs(failures));
  }

  async function open(): Promise<void> {
    attempt += 1;
    const mine = attempt;
    const over = () => closed || mine !== attempt;
    const words = (problem: Problem) => problemWords(problem, options.say().m);
    const servers = await api.watchServers(robot);
    if (over()) return;
    if (!servers.ok) return again(words(servers.problem));
    let opened: Viewer;
    try {
      opened = await backend.openViewer(servers.value, {
        video: (stream) => {
          if (over()) return;
          failures = 0;
          options.onVideo(stream);
          options.onWords("");
        },
        lost: () => {
          if (!over()) again(m().lost);
        },
      });
    } catch (error) {
      console.error(error);
      if (!over()) again(m().noWebRtc);
      return;
    }
    if (over()) return opened.close();
    viewer = opened;
    const answered = await api.watch(robot, camera, opened.offerSdp);
    if (over()) {
      // Nobody waits for it any more.
      if (answered.ok && answered.value.location !== null) void api.endWatch(answered.value.location);
      return;
    }
    if (!answered.ok) return again(words(answered.problem));
    location = answered.value.location;
    try {
      await opened.accept(answered.value.sdp);
    } catch (error) {
      console.error(error);
      if (!over()) again(m().noAnswer);
    }
  }

  void open();
  return {
    close: () => {
      closed = true;
      clearTimeout(timer);
      leave();
    },
  };
}
