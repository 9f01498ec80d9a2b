/**
 * One drive: takes the lease, opens the link, runs the control loop, keeps the lease alive, signs receipts, ends.
 * What it decides, it asks of core/; here are only the wires between it and the browser.
 */
import { type Deadman, nextDeadman, RELEASED } from "../core/deadman";
import { type GeoPoint, offsetM } from "../core/geo";
import { afterWord, firstAim, type Goal, type GoalKey, goalWords, isOpen } from "../core/goal";
import { AT_REST, nextWish, REACH, type Reach, type Stick, type Wish } from "../core/input";
import type { InputSettings } from "../core/preferences";
import { problemWords, refusalWords } from "../core/problem";
import type { Say } from "../core/say";
import { roundTripMs, type Sample, withSample } from "../core/series";
import { endedWords } from "../core/status";
import { clamp } from "../core/units";
import { encodeDrive, type Seen } from "../protocol/drive";
import { parseFromRobot, RECEIPT_EVERY_MS, RENEW_EVERY_MS, type ToRobot } from "../protocol/session";
import { decodeTelemetry, type Telemetry } from "../protocol/telemetry";
import type { Api, LeaseOrder } from "./api";
import type { Backend } from "./backend";
import { clientMs, nowMs, startTicker } from "./clock";
import { openControls } from "./controls";
import { type DriveView, LATENCY_SAMPLES_MAX, LATENCY_SPAN_MS, NO_VIEW } from "./drive-view";
import { estopLane } from "./estop-lane";
import type { Identity } from "./keys";
import { linkKeeper } from "./link-keeper";
import { linkMeter } from "./link-meter";
import type { ShownFrame } from "./media";
import { callRobot, type Failure, type Granted, takeLease } from "./opening";
import { type ReceiptWriter, receiptWriter } from "./receipts";
import { voiceLane } from "./voice-lane";

const TICK_MS = 20;
const VIEW_EVERY_MS = 50;
const LINK_STATS_EVERY_MS = 1_000;
/** How long the robot may take to say that the drive has ended. */
const ENDED_MS_MAX = 2_000;

export interface DriveOptions {
  readonly backend: Backend;
  readonly api: Api;
  readonly identity: Identity;
  readonly order: LeaseOrder;
  /** The pilot's language and units, and input settings, as they are now. */
  readonly say: () => Say;
  readonly inputs: () => InputSettings;
  readonly onView: (view: DriveView) => void;
  readonly onVideo: (camera: number, stream: MediaStream) => void;
  /** The driver asks to see the last seconds again. */
  readonly onReplay: () => void;
}

export interface Drive {
  /** Every loop latency that telemetry brought, oldest first. */
  readonly latencySamplesMs: readonly number[];
  /** From the start to the first picture on the screen; null before it. */
  readonly firstFrameMs: () => number | null;
  readonly frameShown: (frame: ShownFrame) => void;
  readonly setPad: (stick: Stick | null) => void;
  /** Sets a goal for the robot's own autonomy. It stands until it is let drive. */
  readonly setGoal: (at: GeoPoint) => void;
  /** Begins or leaves the placing of a goal. */
  readonly aim: () => void;
  readonly cancelGoal: () => void;
  /** What lets the robot drive is held on the page. */
  readonly setGo: (held: boolean) => void;
  readonly estop: () => void;
  readonly clearEstop: () => void;
  /** Sets the lamp, 0 to 3; sounds the horn once; says a text aloud. What the robot refuses becomes a notice. */
  readonly setLamp: (level: number) => void;
  readonly horn: () => void;
  readonly sayAloud: (text: string) => void;
  /** Turns the robot's sound on or off; holds the button to talk, or lets it go. */
  readonly listen: (active: boolean) => void;
  readonly talk: (held: boolean) => void;
  /** Ends the drive: the robot stops, seals its recording and is free. */
  readonly end: () => Promise<void>;
  /** Lets go of everything at once, as when the page goes away. */
  readonly close: () => void;
}

export function startDrive(options: DriveOptions): Drive {
  const { api, identity } = options;
  const latencySamplesMs: number[] = [];
  const m = () => options.say().m.drive;
  let view: DriveView = { ...NO_VIEW, connectionWords: m().asking };
  const startedAtMs = nowMs();
  let firstFrameMs: number | null = null;
  let viewAtMs = 0;
  let granted: Granted | null = null;
  let receipts: ReceiptWriter | null = null;
  let ended = false;
  let closed = false;
  let seq = 0;
  let telemetry: Telemetry | null = null;
  let telemetryAtMs: number | null = null;
  let linkAtMs: number | null = null;
  let goalAtMs: number | null = null;
  let videoAtMs: number | null = null;
  let seen: Seen = { kind: "nothing" };
  let deadman: Deadman = RELEASED;
  let wish: Wish = AT_REST;
  let reach: Reach = REACH;
  let lastTickMs = nowMs() as number;
  let latencies: readonly Sample[] = [];
  let robotEnded: (() => void) | null = null;
  const meter = linkMeter();
  let goals = 0;
  /** The goal that holds if the robot refuses the one that was sent after it. */
  let standing: Goal | null = null;
  const controls = openControls(
    {
      estop: () => pressStop(),
      horn: () => horn(),
      replay: options.onReplay,
      goalKey: onGoalKey,
      aiming: () => view.aim !== null,
      goalOpen: () => isOpen(view.goal),
    },
    options.inputs,
  );

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
      linkAgeMs: linkAtMs === null ? null : now - linkAtMs,
      goalAgeMs: goalAtMs === null ? null : now - goalAtMs,
      latencies,
      deadman,
      wish,
      estopAsked: estop.asked(),
      clearRefused: estop.refused(),
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
    if (t.state === "emergency_stopped") estop.confirmed();
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
      case "equipment":
        show({ equipment: message.equipment });
        break;
      case "renewed":
        break;
      case "ended":
        robotEnded?.();
        finish(endedWords(message.why, options.say()));
        if (message.why === "fenced") void tellWhoTookOver();
        break;
      case "goal":
        onGoal(message);
        break;
      case "refused":
        show({ notice: refusalWords(message, options.say().m) });
        break;
    }
  }

  /** The robot knows that there is another driver; the fleet knows who. */
  async function tellWhoTookOver(): Promise<void> {
    if (granted === null) return;
    const lease = await api.leaseEnd(granted.lease.leaseId);
    if (lease.ok && lease.value.by !== null) {
      show({ connectionWords: options.say().m.takenOver(lease.value.by) });
    }
  }

  function onEstop(bytes: Uint8Array): void {
    estop.received(bytes);
    show({});
  }

  function say(message: ToRobot): boolean {
    return keeper.link()?.sendSession(JSON.stringify(message)) ?? false;
  }

  function ask(message: ToRobot): void {
    const sent = !ended && say(message);
    show({ notice: sent ? null : m().noConnection });
  }

  function horn(): void {
    if (view.equipment?.horn === true) ask({ type: "horn" });
  }

  // ---- sound -----------------------------------------------------------------------------------------------

  const voice = voiceLane({
    send: (track) => keeper.link()?.sendVoice(track),
    say: (active) => void (keeper.isOpen() && !ended && say({ type: "talk", active })),
    changed: (talks) => show({ talks }),
    failed: (why) => show({ notice: m().noMicrophone(why) }),
  });

  function listen(active: boolean): void {
    show({ listens: active });
    if (keeper.isOpen() && !ended) say({ type: "listen", active });
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
      connected: keeper.isOpen(),
      videoAgeMs: videoAtMs === null ? null : now - videoAtMs,
      telemetryAgeMs: telemetryAtMs === null ? null : now - telemetryAtMs,
      gamepadLost: reading.gamepadLost,
      estopped: estop.asked() || telemetry?.state === "emergency_stopped",
    });
    if (!deadman.held) wish = { ...AT_REST, wants: wish.wants };
    sendDrive();
    keeper.look(now);
    estop.tick(now);
    show({ keys: reading.controls.keys, gamepad: reading.gamepad }, false);
  }

  function sendDrive(): void {
    // A link in doubt as well: it may be deaf in one direction only, and the robot waits five seconds for its driver.
    const link = keeper.link();
    if (granted === null || link === null || ended) return;
    const packet = encodeDrive({
      deadman: deadman.held,
      // Only to a robot that knows what it means.
      autonomy: deadman.held && wish.letsDrive && telemetry?.autonomy === true,
      camera: 0,
      seq: seq + 1,
      epoch: granted.lease.epoch,
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

  // ---- goals -----------------------------------------------------------------------------------------------

  function position(): GeoPoint | null {
    if (telemetry === null || telemetry.lat1e7 === null || telemetry.lon1e7 === null) return null;
    return { latDeg: telemetry.lat1e7 / 1e7, lonDeg: telemetry.lon1e7 / 1e7 };
  }

  function setGoal(at: GeoPoint): void {
    if (telemetry?.autonomy !== true) return;
    goals += 1;
    if (view.goal?.state !== "sent") standing = view.goal;
    const goal = { id: goals, at, state: "sent", detail: "", distanceM: null } as const;
    show({ aim: null, goal });
    const asked = say({ type: "goal", id: goals, position: { lat_deg: at.latDeg, lon_deg: at.lonDeg } });
    if (asked) return;
    show({ goal: { ...goal, state: "refused", detail: options.say().m.goal.noConnection } });
  }

  function onGoal(word: Parameters<typeof afterWord>[1]): void {
    goalAtMs = nowMs();
    standing = afterWord(standing, word);
    const goal = afterWord(view.goal, word);
    if (goal?.state === "refused" && isOpen(standing)) {
      const { title, detail } = goalWords(goal, "", options.say());
      show({ goal: standing, notice: `${title} ${detail}` });
    } else show({ goal });
  }

  function cancelGoal(): void {
    if (isOpen(view.goal)) say({ type: "cancel_goal" });
  }

  function onGoalKey(key: GoalKey): void {
    const at = position();
    switch (key.act) {
      case "aim":
        if (at === null || telemetry?.autonomy !== true) return;
        show({ aim: firstAim(at, telemetry.headingCdeg === null ? null : telemetry.headingCdeg / 100) });
        break;
      case "move":
        if (view.aim !== null) show({ aim: offsetM(view.aim, key.eastM, key.northM) });
        break;
      case "set":
        if (view.aim !== null) setGoal(view.aim);
        break;
      case "leave":
        if (view.aim === null) cancelGoal();
        show({ aim: null });
        break;
    }
  }

  // ---- emergency stop --------------------------------------------------------------------------------------

  const estop = estopLane({
    epoch: () => granted?.lease.epoch ?? 0n,
    send: (packet) => keeper.link()?.sendEstop(packet) ?? false,
    byHttp: () => void estopByHttp(),
  });

  async function estopByHttp(): Promise<void> {
    if (granted === null) return;
    const asked = await api.estop(granted.lease.robot);
    if (asked.ok) show({ notice: null });
    else show({ notice: m().stopNotSent(problemWords(asked.problem, options.say().m)) });
  }

  function pressStop(): void {
    if (closed || ended) return;
    estop.stop();
    show({});
  }

  function clearEstop(): void {
    const sent = estop.clear();
    show(sent ? {} : { notice: m().clearNeedsLink });
  }

  // ---- opening ---------------------------------------------------------------------------------------------

  async function open(): Promise<void> {
    const taken = await takeLease(api, options.order, options.say().m);
    if (!taken.ok) {
      fail(taken.failure);
      return;
    }
    granted = taken.value;
    const { lease } = granted;
    if (closed) {
      void api.endLease(lease.leaseId);
      return;
    }
    reach = { ...REACH, forwardMps: Math.min(REACH.forwardMps, lease.speedMpsMax) };
    receipts = receiptWriter(identity, lease.leaseId, lease.epoch, (receipt) =>
      say({ type: "receipt", receipt }),
    );
    show({ leaseId: lease.leaseId, connectionWords: m().calling(lease.robot) });
    const begun = await keeper.begin();
    if ("failure" in begun) fail(begun.failure);
    else show({ episode: begun.episode, connectionWords: m().openingVideo });
  }

  function fail({ title, detail }: Failure): void {
    if (closed || ended) return;
    finish(detail);
    show({ failure: { title, detail } });
  }

  function doubted(words: string): void {
    voice.release();
    // A closed stream leaves a black picture behind, which is shown as any other: it counts for nothing.
    videoAtMs = null;
    seen = { kind: "nothing" };
    show({ aim: null, connection: "lost", connectionWords: `${words} ${m().anotherWay}` });
  }

  const keeper = linkKeeper(
    async (events) => {
      if (granted === null)
        return { ok: false, failure: { code: "lease-ended", title: "no lease", detail: m().noLease } };
      const called = await callRobot(
        { ...options, words: options.say().m },
        granted,
        events,
        view.episode === null,
      );
      if (called.ok) granted = { ...granted, path: called.value.path };
      return called;
    },
    nowMs,
    {
      telemetry: onTelemetry,
      session: onSession,
      estop: onEstop,
      video: options.onVideo,
      sound: (sound) => show({ sound }),
      opened: (first) => {
        if (!first) receipts?.again();
        // The robot forgets a goal with its link.
        const goal =
          !first && isOpen(view.goal)
            ? ({ ...view.goal, state: "cancelled", detail: options.say().m.goal.connectionLost } as const)
            : view.goal;
        videoAtMs = null;
        seen = { kind: "nothing" };
        show({ goal, sound: null, connection: "open", connectionWords: "", notice: null });
        if (view.listens) listen(true);
      },
      doubted,
      back: () => show({ connection: "open", connectionWords: "" }),
      failed: ({ detail }) => show({ connectionWords: `${m().notHeard} ${detail}` }),
      over: finish,
    },
    m,
  );

  // ---- keeping ---------------------------------------------------------------------------------------------

  async function renew(): Promise<void> {
    if (granted === null || ended) return;
    const renewed = await api.renewLease(granted.lease.leaseId);
    if (ended) return;
    if (!renewed.ok) {
      const away = renewed.problem.status === 0 || renewed.problem.status >= 500;
      show({
        notice: away ? m().fleetAway : problemWords(renewed.problem, options.say().m),
      });
      return;
    }
    granted = { ...granted, envelope: renewed.value };
    if (view.notice === m().fleetAway) show({ notice: null });
    say({ type: "renew", lease: renewed.value });
  }

  async function measureLink(): Promise<void> {
    const measured = await meter.measure(keeper.link());
    if (measured === null) return;
    linkAtMs = nowMs();
    show({ link: { ...view.link, ...measured } });
    const { rttMs } = view.link;
    if (rttMs === null || telemetry === null || telemetry.loopLatencyMs === null) return;
    // The loop latency was taken when a command arrived: half a round trip ago, on this page's side.
    const seen_age_ms = Math.max(0, telemetry.loopLatencyMs - rttMs / 2);
    const { fps, bitrateBps: bitrate_bps, loss } = measured;
    say({ type: "link_stats", fps, bitrate_bps, loss, rtt_ms: rttMs, seen_age_ms });
  }

  // ---- ending ----------------------------------------------------------------------------------------------

  function finish(words: string): void {
    if (ended) return;
    ended = true;
    for (const stop of stops) stop();
    keeper.close();
    show({ connection: "ended", connectionWords: words, deadman: RELEASED });
    if (granted !== null) void api.endLease(granted.lease.leaseId);
  }

  async function end(): Promise<void> {
    if (ended) return;
    const told = new Promise<void>((resolve) => {
      robotEnded = resolve;
      setTimeout(resolve, ENDED_MS_MAX);
    });
    await receipts?.flush();
    if (say({ type: "release" })) await told;
    finish(options.say().m.ended.released);
  }

  function close(): void {
    closed = true;
    for (const stop of stops) stop();
    if (!ended) {
      ended = true;
      say({ type: "release" });
      if (granted !== null) void api.endLease(granted.lease.leaseId);
    }
    keeper.close();
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
    voice.close,
    controls.close,
  ];
  void open();

  return {
    latencySamplesMs,
    firstFrameMs: () => firstFrameMs,
    frameShown: (frame) => {
      if (keeper.link() === null) return;
      firstFrameMs ??= frame.shownAtMs - startedAtMs;
      videoAtMs = nowMs();
      meter.frameShown();
      if (frame.rtp !== null) seen = { kind: "rtp", stamp: frame.rtp };
    },
    setPad: controls.setPad,
    setGo: controls.setGo,
    setGoal,
    aim: () => onGoalKey({ act: view.aim === null ? "aim" : "leave" }),
    cancelGoal,
    estop: pressStop,
    clearEstop,
    setLamp: (level) => ask({ type: "lamp", level }),
    horn,
    sayAloud: (text) => ask({ type: "say", text }),
    listen,
    talk: (held) => (held ? voice.press() : voice.release()),
    end,
    close,
  };
}
