/** Opening a drive: the lease from the fleet, and a session with the robot, each checked by its signer's key. */
import type { Problem } from "../core/model";
import { problemWords } from "../core/problem";
import type { Messages } from "../core/words/words";
import { fromHex, toHex, utf8 } from "../protocol/bytes";
import { bodyUnverified, type Envelope, PAYLOAD_LEASE } from "../protocol/dsse";
import { type Lease, leaseUnverified } from "../protocol/lease";
import { answerBytes, openBytes } from "../protocol/signed";
import type { Api, GatewayConfig, LeaseOrder } from "./api";
import type { Backend, IceServer, Link, LinkEvents } from "./backend";
import { nowMs } from "./clock";
import { type Identity, sha256, verify, verifyEnvelope } from "./keys";

export interface Failure {
  /** Stable code of the problem, or one of this page. */
  readonly code: string;
  readonly title: string;
  readonly detail: string;
}

export type Opened<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly failure: Failure };

export interface Granted {
  readonly config: GatewayConfig;
  readonly envelope: Envelope;
  readonly lease: Lease;
  readonly path: Path;
}

/** Servers with which a path is found, as long as their credentials are good. */
export interface Path {
  readonly iceServers: readonly IceServer[];
  readonly untilMs: number;
}

/** What is nearly over is asked for anew. */
const PATH_LEFT_MS_MIN = 60_000;
/** A robot starts its encoders for the first link. A later one is wanted at once, or to be asked for again. */
const FIRST_ANSWER_MS_MAX = 12_000;
const ANSWER_MS_MAX = 4_000;

function failed(
  code: string,
  title: string,
  detail: string,
): { readonly ok: false; readonly failure: Failure } {
  return { ok: false, failure: { code, title, detail } };
}

function failureOf(problem: Problem, words: Messages): Failure {
  return { code: problem.code, title: problem.title, detail: problemWords(problem, words) };
}

export async function takeLease(api: Api, order: LeaseOrder, words: Messages): Promise<Opened<Granted>> {
  const [configured, granted] = await Promise.all([api.config(), api.takeLease(order)]);
  if (!configured.ok) return { ok: false, failure: failureOf(configured.problem, words) };
  if (!granted.ok) return { ok: false, failure: failureOf(granted.problem, words) };
  const [config, envelope] = [configured.value, granted.value];
  const lease = leaseUnverified(envelope);
  if (lease === null || !(await verifyEnvelope(envelope, PAYLOAD_LEASE, config.fleetDid))) {
    return failed("bad-signature", "bad lease", words.drive.badLease);
  }
  const path = await findPath(api, config, lease.robot, envelope);
  return { ok: true, value: { config, envelope, lease, path } };
}

/** The gateway's servers. Without its relay there may still be a direct path. */
async function findPath(api: Api, config: GatewayConfig, robot: string, lease: Envelope): Promise<Path> {
  if (!config.turn) return { iceServers: config.iceServers, untilMs: Number.POSITIVE_INFINITY };
  const asked = await api.iceServers(robot, lease);
  if (asked.ok) {
    return { iceServers: asked.value.iceServers, untilMs: nowMs() + asked.value.validS * 1_000 };
  }
  console.warn(`no relay: ${asked.problem.detail}`);
  return { iceServers: config.iceServers, untilMs: 0 };
}

/** Calls the robot. The answer is used only if the robot signed it: both descriptions carry the fingerprints of
 * the encryption, so nobody can sit in between. */
export async function callRobot(
  by: { readonly backend: Backend; readonly api: Api; readonly identity: Identity; readonly words: Messages },
  granted: Granted,
  events: LinkEvents,
  first: boolean,
): Promise<Opened<{ readonly link: Link; readonly episode: string; readonly path: Path }>> {
  const { config, envelope, lease } = granted;
  const stale = granted.path.untilMs - nowMs() < PATH_LEFT_MS_MIN;
  const path = stale ? await findPath(by.api, config, lease.robot, envelope) : granted.path;
  let link: Link;
  try {
    link = await by.backend.openLink(path.iceServers, events, by.words.drive);
  } catch (error) {
    console.error(error);
    return failed("no-webrtc", "no WebRTC", by.words.drive.noWebRtc);
  }
  const called = await exchange(by, granted, link, first ? FIRST_ANSWER_MS_MAX : ANSWER_MS_MAX);
  if (!called.ok) {
    link.close();
    return called;
  }
  return { ok: true, value: { ...called.value, path } };
}

async function exchange(
  { api, identity, words }: { readonly api: Api; readonly identity: Identity; readonly words: Messages },
  { envelope, lease }: Granted,
  link: Link,
  patienceMs: number,
): Promise<Opened<{ readonly link: Link; readonly episode: string }>> {
  const body = bodyUnverified(envelope) ?? utf8("");
  const proof = openBytes(await sha256(body), await sha256(utf8(link.offerSdp)));
  const signature = toHex(await identity.sign(proof));
  const answered = await api.openSession(lease.robot, envelope, link.offerSdp, signature, patienceMs);
  if (!answered.ok) return { ok: false, failure: failureOf(answered.problem, words) };
  const { answerSdp, robotSignature, episode } = answered.value;
  const signed = answerBytes(lease.leaseId, await sha256(utf8(answerSdp)));
  if (!(await verify(lease.robotDid, signed, fromHex(robotSignature) ?? utf8("")))) {
    return failed("bad-signature", "bad signature", words.drive.badAnswer);
  }
  try {
    await link.accept(answerSdp);
  } catch (error) {
    console.error(error);
    return failed("bad-sdp", "bad answer", words.drive.badSdp);
  }
  return { ok: true, value: { link, episode } };
}
