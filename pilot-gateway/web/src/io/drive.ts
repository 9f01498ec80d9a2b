/**
 * One drive: takes the lease, opens the link, runs the control loop, keeps the lease alive, signs receipts, ends.
 * What it decides, it asks of core/; here are only the wires between it and the browser.
 */
import { type Deadman, nextDeadman, RELEASED } from "../core/deadman";
import { AT_REST, nextWish, REACH, type Reach, type Stick, type Wish } from "../core/input";
import { roundTripMs, type Sample, withSample } from "../core/series";
import { clamp } from "../core/units";
import { fromHex, toHex, utf8 } from "../protocol/bytes";
import { encodeDrive, type Seen } from "../protocol/drive";
import { bodyUnverified, type Envelope, PAYLOAD_LEASE } from "../protocol/dsse";
import { decodeEstop, encodeEstop } from "../protocol/estop";
import { type Lease, leaseUnverified } from "../protocol/lease";
import { parseFromRobot, RECEIPT_EVERY_MS, RENEW_EVERY_MS, type ToRobot } from "../protocol/session";
import { answerBytes, openBytes } from "../protocol/signed";
import { decodeTelemetry, type Telemetry } from "../protocol/telemetry";
import type { Api, GatewayConfig } from "./api";
import type { Backend, Link, VideoCounters } from "./backend";
import { clientMs, nowMs, startTicker } from "./clock";
import { openControls } from "./controls";
import { type DriveView, LATENCY_SAMPLES_MAX, LATENCY_SPAN_MS, NO_VIEW } from "./drive-view";
import { type Identity, sha256, verify, verifyEnvelope } from "./keys";
import type { ShownFrame } from "./media";
import { type ReceiptWriter, receiptWriter } from "./receipts";

const TICK_MS = 20;
const VIEW_EVERY_MS = 50;
const LINK_STATS_EVERY_MS = 1_000;
const OPEN_MS_MAX = 10_000;
const REOPEN_EVERY_MS = 1_500;
/** How long the robot may take to say that the drive has ended. */
const ENDED_MS_MAX = 2_000;
/** When the robot has not said within this that it stopped, the stop is also asked for by HTTP. */
const ESTOP_ANSWER_MS_MAX = 300;

export interface DriveOptions {
  readonly backend: Backend;
  readonly api: Api;
  readonly identity: Identity;
  readonly missionId: string;
  readonly onView: (view: DriveView) => void;
  readonly onVideo: (camera: number, stream: MediaStream) => void;
}

export interface Drive {
  /** Every loop latency that telemetry brought, oldest first. */
  readonly latencySamplesMs: readonly number[];
  /** From the start to the first picture on the screen; null before it. */
  readonly firstFrameMs: () => number | null;
  readonly frameShown: (frame: ShownFrame) => void;
  readonly setPad: (stick: Stick | null) => void;
  readonly estop: () => void;
  readonly clearEstop: () => void;
  /** Ends the drive: the robot stops, seals its recording and is free. */
  readonly end: () => Promise<void>;
  /** Lets go of everything at once, as when the page goes away. */
  readonly close: () => void;
}

type Failure = { title: string; detail: string };

export function startDrive(options: DriveOptions): Drive {
  const { api, backend, identity } = options;
  const latencySamplesMs: number[] = [];
  let view: DriveView = NO_VIEW;
  const startedAtMs = nowMs();
  let firstFrameMs: number | null = null;
  let viewAtMs = 0;
  let config: GatewayConfig | null = null;
  let envelope: Envelope | null = null;
  let lease: Lease | null = null;
  let receipts: ReceiptWriter | null = null;
  let link: Link | null = null;
  let linkOpen = false;
  let reopening = false;
  let ended = false;
  let closed = false;
  let seq = 0;
  let estopSeq = 0;
  let estopAskedAtMs: number | null = null;
  let telemetry: Telemetry | null = null;
  let telemetryAtMs: number | null = null;
  let videoAtMs: number | null = null;
  let seen: Seen = { kind: "nothing" };
  let frames = 0;
  let counters: VideoCounters | null = null;
  let deadman: Deadman = RELEASED;
  let wish: Wish = AT_REST;
  let reach: Reach = REACH;
  let lastTickMs = nowMs() as number;
  let latencies: readonly Sample[] = [];
  let robotEnded: (() => void) | null = null;
  const controls = openControls(() => estop());

  function show(change: Partial<DriveView>, always = true): void {
    const now = nowMs();
    view = { ...view, ...change };
    if (closed || (!always && now - viewAtMs < VIEW_EVERY_MS)) return;
    viewAtMs = now;
    view = {
      ...view,
      nowMs: now,
      telemetry,
      telemetryAgeMs: telemetryAtMs === null ? null : now - telemetryAtMs,
      videoAgeMs: videoAtMs === null ? null : now - videoAtMs,
      latencies,
      deadman,
      wish,
      estopAsked: estopAskedAtMs !== null,
    };
    options.onView(view);
  }

  // ---- the lanes -------------------------------------------------------------------------------------------

  function onTelemetry(bytes: Uint8Array): void {
    const decoded = decodeTelemetry(bytes);
    if (!decoded.ok) {
      console.warn(`telemetry refused: ${decoded.error}`);
      return;
    }
    const t = decoded.value;
    // Unordered lane: an older packet that comes late changes nothing.
    if (telemetry !== null && t.robotMs <= telemetry.robotMs) return;
    const now = nowMs();
    telemetry = t;
    telemetryAtMs = now;
    if (t.state === "emergency_stopped") estopAskedAtMs = null;
    if (t.loopLatencyMs !== null) {
      latencies = withSample(latencies, { atMs: now, value: t.loopLatencyMs }, LATENCY_SPAN_MS);
      if (latencySamplesMs.length < LATENCY_SAMPLES_MAX) latencySamplesMs.push(t.loopLatencyMs);
    }
    const rttMs = roundTripMs(clientMs(), t.echoClientMs, t.echoHoldMs);
    show({ link: { ...view.link, rttMs } }, false);
  }

  function onSession(text: string): void {
    const message = parseFromRobot(text);
    switch (message?.type) {
      case undefined:
        console.warn("the robot said something that this page does not know");
        break;
      case "opened":
        show({ episode: message.episode });
        break;
      case "renewed":
        break;
      case "ended":
        robotEnded?.();
        finish(endedWords(message.why));
        break;
      case "refused":
        show({ notice: message.detail });
        break;
    }
  }

  function onEstop(bytes: Uint8Array): void {
    const decoded = decodeEstop(bytes);
    if (!decoded.ok) {
      console.warn(`e-stop answer refused: ${decoded.error}`);
      return;
    }
    if (decoded.value.action === "stopped") estopAskedAtMs = null;
    if (decoded.value.action === "cleared") show({ clearRefused: false });
    if (decoded.value.action === "clear-refused") show({ clearRefused: true });
  }

  function say(message: ToRobot): boolean {
    return link?.sendSession(JSON.stringify(message)) ?? false;
  }

  // ---- the control loop ------------------------------------------------------------------------------------

  function tick(): void {
    const now = nowMs();
    const reading = controls.read();
    wish = nextWish(wish, reading.controls, reach, now - lastTickMs);
    lastTickMs = now;
    deadman = nextDeadman(deadman, {
      wants: wish.wants,
      focused: reading.focused,
      visible: reading.visible,
      connected: linkOpen,
      videoAgeMs: videoAtMs === null ? null : now - videoAtMs,
      telemetryAgeMs: telemetryAtMs === null ? null : now - telemetryAtMs,
      gamepadLost: reading.gamepadLost,
      estopped: estopAskedAtMs !== null || telemetry?.state === "emergency_stopped",
    });
    if (!deadman.held) wish = { ...AT_REST, wants: wish.wants };
    sendDrive();
    askEstopAgain(now);
    const { keys, slow } = reading.controls;
    show({ keys, slow, gamepadThere: reading.gamepadThere }, false);
  }

  function sendDrive(): void {
    if (lease === null || link === null || !linkOpen || ended) return;
    const packet = encodeDrive({
      deadman: deadman.held,
      camera: 0,
      seq: seq + 1,
      epoch: lease.epoch,
      seen,
      robotStampMs: telemetry === null ? 0 : Number(telemetry.robotMs & 0xffff_ffffn),
      linearMmps: Math.round(clamp(wish.linearMps * 1000, -32_768, 32_767)),
      angularMradps: Math.round(clamp(wish.angularRadps * 1000, -32_768, 32_767)),
      clientMs: clientMs(),
    });
    if (!link.sendDrive(packet)) return;
    seq += 1;
    receipts?.sent(packet);
  }

  // ---- emergency stop --------------------------------------------------------------------------------------

  function estop(): void {
    if (closed || ended) return;
    if (estopAskedAtMs === null && telemetry?.state !== "emergency_stopped") estopAskedAtMs = nowMs();
    const sent = sendEstop("stop");
    if (!sent) void estopByHttp();
    show({ clearRefused: false });
  }

  function sendEstop(action: "stop" | "clear"): boolean {
    estopSeq += 1;
    return link?.sendEstop(encodeEstop({ action, seq: estopSeq, epoch: lease?.epoch ?? 0n })) ?? false;
  }

  let estopByHttpAtMs = Number.NEGATIVE_INFINITY;
  function askEstopAgain(now: number): void {
    if (estopAskedAtMs === null || now - estopAskedAtMs < ESTOP_ANSWER_MS_MAX) return;
    if (now - estopByHttpAtMs < 1_000) return;
    sendEstop("stop");
    void estopByHttp();
  }

  async function estopByHttp(): Promise<void> {
    if (lease === null) return;
    estopByHttpAtMs = nowMs();
    const asked = await api.estop(lease.robot);
    if (asked.ok) show({ notice: null });
    else show({ notice: `The stop could not be sent by the server: ${asked.problem.detail}` });
  }

  function clearEstop(): void {
    estopAskedAtMs = null;
    if (!sendEstop("clear")) show({ notice: "The stop can't be cleared without a connection to the robot." });
  }

  // ---- opening ---------------------------------------------------------------------------------------------

  async function open(): Promise<void> {
    const failure = (await takeLease()) ?? (await openLink());
    if (closed) return;
    if (failure !== null) {
      const { title, detail } = failure;
      if (lease !== null) void api.endLease(lease.leaseId);
      ended = true;
      show({ connection: "ended", connectionWords: detail, failure: { title, detail } });
    }
  }

  async function takeLease(): Promise<Failure | null> {
    const [configured, granted] = await Promise.all([api.config(), api.takeLease(options.missionId)]);
    if (!configured.ok) return configured.problem;
    if (!granted.ok) return granted.problem;
    config = configured.value;
    envelope = granted.value;
    lease = leaseUnverified(envelope);
    if (lease === null || !(await verifyEnvelope(envelope, PAYLOAD_LEASE, config.fleetDid))) {
      lease = null;
      return {
        title: "bad lease",
        detail:
          "The fleet's lease is not signed by the fleet. Reload the page; if it stays, tell the operator.",
      };
    }
    reach = { ...REACH, forwardMps: Math.min(REACH.forwardMps, lease.speedMpsMax) };
    receipts = receiptWriter(identity, lease.leaseId, lease.epoch, (receipt) =>
      say({ type: "receipt", receipt }),
    );
    show({ leaseId: lease.leaseId, connectionWords: `Calling ${lease.robot}.` });
    return null;
  }

  async function openLink(): Promise<Failure | null> {
    if (lease === null || envelope === null || config === null)
      return { title: "no lease", detail: "No lease." };
    const opened = await backend.openLink(config.iceServers, {
      telemetry: onTelemetry,
      session: onSession,
      estop: onEstop,
      video: options.onVideo,
      open: () => {
        linkOpen = true;
        show({ connection: "open", connectionWords: "", notice: null });
      },
      lost: (words) => {
        if (!ended && link === opened) void reopen(words);
      },
    });
    if (closed) {
      opened.close();
      return null;
    }
    const body = bodyUnverified(envelope) ?? utf8("");
    const proof = openBytes(await sha256(body), await sha256(utf8(opened.offerSdp)));
    const signature = toHex(await identity.sign(proof));
    const answered = await api.openSession(lease.robot, envelope, opened.offerSdp, signature);
    if (!answered.ok) {
      opened.close();
      return answered.problem;
    }
    const { answerSdp, robotSignature, episode } = answered.value;
    const signed = answerBytes(lease.leaseId, await sha256(utf8(answerSdp)));
    if (!(await verify(lease.robotDid, signed, fromHex(robotSignature) ?? utf8("")))) {
      opened.close();
      return {
        title: "bad signature",
        detail: "The answer is not signed by the robot: something sits in between. Tell the operator.",
      };
    }
    link = opened;
    show({ episode, connectionWords: "Opening the video." });
    await opened.accept(answerSdp);
    setTimeout(() => {
      if (link === opened && !linkOpen && !ended) void reopen("The connection did not open.");
    }, OPEN_MS_MAX);
    return null;
  }

  /** The lease outlives its link: as long as it lives, a new link is tried. */
  async function reopen(words: string): Promise<void> {
    linkOpen = false;
    link?.close();
    link = null;
    show({ connection: "lost", connectionWords: `${words} Trying again.` });
    if (reopening) return;
    reopening = true;
    for (;;) {
      if (closed || ended) return;
      const failure = await openLink();
      if (failure === null) break;
      if ("code" in failure && ["lease-ended", "forbidden", "bad-signature"].includes(String(failure.code))) {
        return finish(`${words} ${failure.detail}`);
      }
      show({ connectionWords: `${words} ${failure.detail}` });
      await new Promise((resolve) => setTimeout(resolve, REOPEN_EVERY_MS));
    }
    reopening = false;
  }

  // ---- keeping ---------------------------------------------------------------------------------------------

  async function renew(): Promise<void> {
    if (lease === null || ended) return;
    const renewed = await api.renewLease(lease.leaseId);
    if (ended) return;
    if (!renewed.ok) {
      const away = renewed.problem.status === 0 || renewed.problem.status >= 500;
      show({
        notice: away ? "The fleet is away; the robot keeps your lease for a while." : renewed.problem.detail,
      });
      return;
    }
    envelope = renewed.value;
    if (view.notice?.startsWith("The fleet is away")) show({ notice: null });
    say({ type: "renew", lease: envelope });
  }

  async function measureLink(): Promise<void> {
    const before = counters;
    const fps = frames / (LINK_STATS_EVERY_MS / 1000);
    frames = 0;
    counters = (await link?.counters()) ?? null;
    if (counters === null || before === null || counters.atMs <= before.atMs) return;
    const spanS = (counters.atMs - before.atMs) / 1000;
    const lost = Math.max(0, counters.packetsLost - before.packetsLost);
    const received = Math.max(0, counters.packets - before.packets);
    const bitrateBps = (Math.max(0, counters.bytes - before.bytes) * 8) / spanS;
    const loss = lost + received === 0 ? 0 : lost / (lost + received);
    show({ link: { ...view.link, bitrateBps, fps, loss } });
    const { rttMs } = view.link;
    if (rttMs === null || telemetry === null || telemetry.loopLatencyMs === null) return;
    // The loop latency was taken when a command arrived: half a round trip ago, on this page's side.
    const seenAgeMs = Math.max(0, telemetry.loopLatencyMs - rttMs / 2);
    say({ type: "link_stats", fps, bitrate_bps: bitrateBps, loss, rtt_ms: rttMs, seen_age_ms: seenAgeMs });
  }

  // ---- ending ----------------------------------------------------------------------------------------------

  function finish(words: string): void {
    if (ended) return;
    ended = true;
    linkOpen = false;
    for (const stop of stops) stop();
    link?.close();
    show({ connection: "ended", connectionWords: words, deadman: RELEASED });
    if (lease !== null) void api.endLease(lease.leaseId);
  }

  async function end(): Promise<void> {
    if (ended) return;
    const told = new Promise<void>((resolve) => {
      robotEnded = resolve;
      setTimeout(resolve, ENDED_MS_MAX);
    });
    await receipts?.flush();
    if (say({ type: "release" })) await told;
    finish("You ended it.");
  }

  function close(): void {
    closed = true;
    for (const stop of stops) stop();
    if (!ended) {
      ended = true;
      say({ type: "release" });
      if (lease !== null) void api.endLease(lease.leaseId);
    }
    link?.close();
  }

  const every = (periodMs: number, act: () => unknown) => {
    const timer = setInterval(act, periodMs);
    return () => clearInterval(timer);
  };
  const stops = [
    startTicker(TICK_MS, tick),
    every(RENEW_EVERY_MS, renew),
    every(RECEIPT_EVERY_MS, () => receipts?.flush()),
    every(LINK_STATS_EVERY_MS, measureLink),
    controls.close,
  ];
  void open();

  return {
    latencySamplesMs,
    firstFrameMs: () => firstFrameMs,
    frameShown: (frame) => {
      firstFrameMs ??= frame.shownAtMs - startedAtMs;
      videoAtMs = nowMs();
      frames += 1;
      if (frame.rtp !== null) seen = { kind: "rtp", stamp: frame.rtp };
    },
    setPad: controls.setPad,
    estop,
    clearEstop,
    end,
    close,
  };
}

function endedWords(why: string): string {
  switch (why) {
    case "released":
      return "You ended it.";
    case "driver-gone":
      return "The robot did not hear from you for 5 seconds.";
    case "expired":
      return "The lease ran out.";
    case "fenced":
      return "Someone else took over.";
    case "stopping":
      return "The robot is being shut down.";
    default:
      return `The robot ended it (${why}).`;
  }
}
