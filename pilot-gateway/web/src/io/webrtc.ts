/**
 * A link to a robot over WebRTC: two cameras to watch and four negotiated channels. Channels that only the
 * browser creates would be reliable and ordered towards it, hence the fixed ids on both sides.
 */
import type { Messages } from "../core/words/words";
import { CHANNELS } from "../protocol/session";
import type { IceServer, Link, LinkEvents, VideoCounters, Viewer, ViewerEvents } from "./backend";
import { streamOf } from "./media";

/** Candidates of the machine itself come within milliseconds; a dead STUN server must not hold up the drive. */
const GATHERING_MS_MAX = 1_500;
/** With one relayed address in hand, others are hardly worth a wait: a relay that is blocked takes seconds to say so. */
const GATHERING_AFTER_RELAY_MS = 100;
/** A link that is only "disconnected" may come back: ICE needs a few seconds to be sure. */
const DISCONNECTED_MS_MAX = 3_000;

function gathered(pc: RTCPeerConnection): Promise<void> {
  return new Promise((resolve) => {
    let timer = setTimeout(resolve, GATHERING_MS_MAX);
    let relayed = false;
    pc.addEventListener("icecandidate", ({ candidate }) => {
      if (relayed || candidate?.type !== "relay") return;
      relayed = true;
      clearTimeout(timer);
      timer = setTimeout(resolve, GATHERING_AFTER_RELAY_MS);
    });
    const look = () => {
      if (pc.iceGatheringState !== "complete") return;
      clearTimeout(timer);
      resolve();
    };
    pc.addEventListener("icegatheringstatechange", look);
    look();
  });
}

function iceServer({ urls, username, credential }: IceServer): RTCIceServer {
  return {
    urls: [...urls],
    ...(username ? { username } : {}),
    ...(credential ? { credential } : {}),
  };
}

type Words = Messages["drive"];

function watchState(pc: RTCPeerConnection, events: LinkEvents, words: Words): void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  pc.addEventListener("connectionstatechange", () => {
    clearTimeout(timer);
    if (pc.connectionState === "failed") events.lost(words.noPath);
    if (pc.connectionState === "disconnected") {
      timer = setTimeout(() => events.lost(words.pathBroke), DISCONNECTED_MS_MAX);
    }
  });
}

async function countersOf(receiver: RTCRtpReceiver): Promise<VideoCounters | null> {
  const reports = await receiver.getStats();
  for (const report of reports.values()) {
    if (report.type !== "inbound-rtp") continue;
    const inbound = report as RTCInboundRtpStreamStats;
    const codec = inbound.codecId === undefined ? undefined : reports.get(inbound.codecId);
    return {
      atMs: inbound.timestamp,
      bytes: inbound.bytesReceived ?? 0,
      packets: inbound.packetsReceived ?? 0,
      packetsLost: inbound.packetsLost ?? 0,
      codec: (codec as { mimeType?: string } | undefined)?.mimeType?.replace(/^video\//i, "") ?? null,
    };
  }
  return null;
}

export async function openLink(
  iceServers: readonly IceServer[],
  events: LinkEvents,
  words: Words,
): Promise<Link> {
  const pc = new RTCPeerConnection({ iceServers: iceServers.map(iceServer), bundlePolicy: "max-bundle" });
  const cameras = [0, 1].map(() => pc.addTransceiver("video", { direction: "recvonly" }));
  for (const { receiver } of cameras) {
    if ("jitterBufferTarget" in receiver) receiver.jitterBufferTarget = 0;
  }
  // Offered to every robot; one without sound declines. After the pictures, whose order counts.
  const ear = pc.addTransceiver("audio", { direction: "recvonly" });
  const mouth = pc.addTransceiver("audio", { direction: "sendonly" });
  pc.addEventListener("track", ({ transceiver, receiver, track }) => {
    if (transceiver === ear) events.sound(new MediaStream([track]));
    const camera = cameras.indexOf(transceiver);
    if (camera >= 0) events.video(camera, streamOf(receiver));
  });

  const latest: RTCDataChannelInit = { ordered: false, maxRetransmits: 0 };
  const channel = (name: keyof typeof CHANNELS, init: RTCDataChannelInit) => {
    const made = pc.createDataChannel(name, { ...init, negotiated: true, id: CHANNELS[name] });
    made.binaryType = "arraybuffer";
    return made;
  };
  const drive = channel("drive", latest);
  const telemetry = channel("telemetry", latest);
  const session = channel("session", {});
  const estop = channel("estop", {});
  telemetry.onmessage = ({ data }) => events.telemetry(new Uint8Array(data as ArrayBuffer));
  estop.onmessage = ({ data }) => events.estop(new Uint8Array(data as ArrayBuffer));
  session.onmessage = ({ data }) => events.session(String(data));
  let openChannels = 0;
  let closed = false;
  for (const each of [drive, telemetry, session, estop]) {
    each.onopen = () => {
      openChannels += 1;
      if (openChannels === 4) events.open();
    };
    each.onclose = () => {
      if (!closed) events.lost(words.robotClosed);
    };
  }
  const lost = (why: string) => {
    if (!closed) events.lost(why);
  };
  watchState(pc, { ...events, lost }, words);

  const complete = gathered(pc);
  await pc.setLocalDescription(await pc.createOffer());
  await complete;
  const send = (to: RTCDataChannel, data: string | ArrayBuffer): boolean => {
    if (to.readyState !== "open") return false;
    if (typeof data === "string") to.send(data);
    else to.send(data);
    return true;
  };
  const front = cameras[0]?.receiver;
  return {
    offerSdp: pc.localDescription?.sdp ?? "",
    accept: (sdp) => pc.setRemoteDescription({ type: "answer", sdp }),
    // Latest wins: a command is dropped rather than queued behind older ones.
    sendDrive: (packet) => drive.bufferedAmount === 0 && send(drive, packet.buffer),
    sendSession: (text) => send(session, text),
    sendEstop: (packet) => send(estop, packet.buffer),
    sendVoice: (track) => void mouth.sender.replaceTrack(track).catch(() => {}),
    counters: async () => (front === undefined ? null : countersOf(front)),
    close: () => {
      closed = true;
      pc.close();
    },
  };
}

/** One camera to watch, and nothing to say. */
export async function openViewer(iceServers: readonly IceServer[], events: ViewerEvents): Promise<Viewer> {
  const pc = new RTCPeerConnection({ iceServers: iceServers.map(iceServer), bundlePolicy: "max-bundle" });
  pc.addTransceiver("video", { direction: "recvonly" });
  let closed = false;
  const lost = () => {
    if (!closed) events.lost();
  };
  pc.addEventListener("track", ({ track }) => events.video(new MediaStream([track])));
  let timer: ReturnType<typeof setTimeout> | undefined;
  pc.addEventListener("connectionstatechange", () => {
    clearTimeout(timer);
    if (pc.connectionState === "failed" || pc.connectionState === "closed") lost();
    if (pc.connectionState === "disconnected") timer = setTimeout(lost, DISCONNECTED_MS_MAX);
  });
  // The gateway learns of this page's addresses by itself: nothing to gather before the offer.
  await pc.setLocalDescription(await pc.createOffer());
  return {
    offerSdp: pc.localDescription?.sdp ?? "",
    accept: (sdp) => pc.setRemoteDescription({ type: "answer", sdp }),
    close: () => {
      closed = true;
      clearTimeout(timer);
      pc.close();
    },
  };
}
