/** What this page needs of the world outside: HTTP, events, and a link to a robot. The fake one in mock/ has the
 * same face. */

import type { Messages } from "../core/words/words";

export interface IceServer {
  readonly urls: readonly string[];
  readonly username?: string;
  readonly credential?: string;
}

export interface LinkEvents {
  readonly telemetry: (bytes: Uint8Array) => void;
  readonly session: (text: string) => void;
  readonly estop: (bytes: Uint8Array) => void;
  readonly video: (camera: number, stream: MediaStream) => void;
  /** What the robot's microphone hears, once the driver listens. */
  readonly sound: (stream: MediaStream) => void;
  readonly open: () => void;
  /** The link has gone for good; a new one is needed. */
  readonly lost: (words: string) => void;
}

/** Counters of the front camera's stream since its start. */
export interface VideoCounters {
  readonly atMs: number;
  readonly bytes: number;
  readonly packets: number;
  readonly packetsLost: number;
  /** Name of the codec that the robot sends, such as `H264`; null before the first packet. */
  readonly codec: string | null;
}

export interface Link {
  readonly offerSdp: string;
  readonly accept: (answerSdp: string) => Promise<void>;
  /** False when it was not sent: the channel is closed or something is still queued before it. */
  readonly sendDrive: (packet: Uint8Array<ArrayBuffer>) => boolean;
  readonly sendSession: (text: string) => boolean;
  readonly sendEstop: (packet: Uint8Array<ArrayBuffer>) => boolean;
  /** The driver's voice on its way to the robot; null for silence. */
  readonly sendVoice: (track: MediaStreamTrack | null) => void;
  readonly counters: () => Promise<VideoCounters | null>;
  readonly close: () => void;
}

/** A link on which nothing but one camera's video comes. */
export interface Viewer {
  readonly offerSdp: string;
  readonly accept: (answerSdp: string) => Promise<void>;
  readonly close: () => void;
}

export interface ViewerEvents {
  readonly video: (stream: MediaStream) => void;
  readonly lost: () => void;
}

export interface Backend {
  readonly fetch: (path: string, init: RequestInit) => Promise<Response>;
  /** Calls `on` for each event; returns how to stop. */
  readonly events: (token: string, on: (name: string, data: unknown) => void) => () => void;
  readonly openLink: (
    iceServers: readonly IceServer[],
    events: LinkEvents,
    words: Messages["drive"],
  ) => Promise<Link>;
  readonly openViewer: (iceServers: readonly IceServer[], events: ViewerEvents) => Promise<Viewer>;
}
