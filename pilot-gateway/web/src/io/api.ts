/** The fleet's and the gateway's HTTP API. Every call gives a value or a problem that says what to do. */
import type { GeoPoint } from "../core/geo";
import { object, text, textOrNull } from "../core/json";
import {
  type Episode,
  type Invitation,
  type KeptSettings,
  type Me,
  type Mission,
  type Problem,
  parseEpisode,
  parseInvitation,
  parseItems,
  parseKeptSettings,
  parseMe,
  parseMission,
  parseProblem,
  parseRobot,
  parseSession,
  parseTrack,
  type Robot,
  type Session,
} from "../core/model";
import { ownProblem } from "../core/problem";
import { type Played, parsePlayed, type Scene, scenarioOf } from "../core/safety-try";
import { type Server, serversOf as serversOfLink } from "../core/watch";
import { toHex } from "../protocol/bytes";
import { type Envelope, parseEnvelope } from "../protocol/dsse";
import { type OwnerSettings, PAYLOAD_OWNER_SETTINGS, settingsBody } from "../protocol/settings";
import { authBytes, invitationBytes } from "../protocol/signed";
import type { Backend, IceServer } from "./backend";
import { type Identity, signEnvelope } from "./keys";

export type Result<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problem: Problem };

export interface GatewayConfig {
  readonly iceServers: readonly IceServer[];
  readonly fleetDid: string;
  readonly name: string;
  /** Whether there is a relay, for which each lease gets credentials. */
  readonly turn: boolean;
}

export interface IceServers {
  readonly iceServers: readonly IceServer[];
  readonly validS: number;
}

export interface OpenedSession {
  readonly episode: string;
  readonly answerSdp: string;
  readonly robotSignature: string;
}

/** What a drive is of: a mission, or a robot alone. */
export interface LeaseOrder {
  readonly robot: string | null;
  readonly mission: string | null;
  /** Whether somebody else's drive ends. */
  readonly takeover: boolean;
}

/** How a lease ended. */
export interface LeaseEnd {
  readonly why: string | null;
  /** Who took over. */
  readonly by: string | null;
}

export interface Api {
  readonly invitation: (code: string) => Promise<Result<Invitation>>;
  readonly accept: (code: string, name: string, identity: Identity) => Promise<Result<Session>>;
  readonly signIn: (identity: Identity) => Promise<Result<Session>>;
  readonly config: () => Promise<Result<GatewayConfig>>;
  /** How a phone on the same network gets here; null when there is no way. */
  readonly phone: () => Promise<Result<PhoneWay | null>>;
  /** Gives the path of a single-use link. */
  readonly invite: (role: string, validS: number) => Promise<Result<string>>;
  readonly me: () => Promise<Result<Me>>;
  readonly missions: () => Promise<Result<readonly Mission[]>>;
  readonly mission: (id: string) => Promise<Result<Mission>>;
  readonly robots: () => Promise<Result<readonly Robot[]>>;
  readonly episodes: () => Promise<Result<readonly Episode[]>>;
  readonly episode: (id: string) => Promise<Result<Episode>>;
  readonly episodeFile: (id: string, name: string) => Promise<Result<Blob>>;
  readonly takeLease: (order: LeaseOrder) => Promise<Result<Envelope>>;
  readonly leaseEnd: (id: string) => Promise<Result<LeaseEnd>>;
  readonly renewLease: (id: string) => Promise<Result<Envelope>>;
  readonly endLease: (id: string) => Promise<Result<null>>;
  readonly openSession: (
    robot: string,
    lease: Envelope,
    offerSdp: string,
    driverSignature: string,
    patienceMs: number,
  ) => Promise<Result<OpenedSession>>;
  /** Servers with credentials for the holder of a lease. */
  readonly iceServers: (robot: string, lease: Envelope) => Promise<Result<IceServers>>;
  readonly estop: (robot: string) => Promise<Result<null>>;
  /** Servers for a player. */
  readonly watchServers: (robot: string) => Promise<Result<readonly Server[]>>;
  readonly watch: (
    robot: string,
    camera: string,
    offerSdp: string,
  ) => Promise<Result<{ readonly sdp: string; readonly location: string | null }>>;
  readonly endWatch: (location: string) => Promise<Result<null>>;
  /** What the safety core decides in a scene. Needs no session. */
  readonly trySafety: (scene: Scene) => Promise<Result<Played>>;
  readonly robot: (id: string) => Promise<Result<Robot>>;
  readonly track: (robot: string) => Promise<Result<readonly GeoPoint[]>>;
  /** Null when the owner never set any. */
  readonly settings: (robot: string) => Promise<Result<KeptSettings | null>>;
  readonly setSettings: (settings: OwnerSettings, identity: Identity) => Promise<Result<KeptSettings | null>>;
  /** Gives the single-use code with which a robot enrols. */
  readonly enrol: (robot: string, name: string, owners: readonly OwnerShare[]) => Promise<Result<string>>;
  readonly setOwners: (robot: string, owners: readonly OwnerShare[]) => Promise<Result<Robot>>;
  readonly revoke: (robot: string, reason: string) => Promise<Result<Robot>>;
}

/** How a phone gets here, and what it may compare. */
export interface PhoneWay {
  readonly urls: readonly string[];
  readonly certificateSha256: string;
  /** The root that it may install, if the gateway made its own certificate. */
  readonly root: { readonly path: string; readonly sha256: string } | null;
}

export interface OwnerShare {
  readonly owner: string;
  readonly share_ppm: number;
}

/** Who is signed in; the caller keeps it and may sign in anew when a session has ended. */
export interface Credentials {
  readonly token: () => string | null;
  /** Signs in again; false when that did not work. */
  readonly refresh: () => Promise<boolean>;
}

const TIMEOUT_MS = 15_000;
const DOWNLOAD_MS = 30 * 60_000;

const id = encodeURIComponent;

export function createApi(backend: Backend, credentials: Credentials): Api {
  async function send(
    method: string,
    path: string,
    body: unknown,
    timeoutMs = TIMEOUT_MS,
    retried = false,
  ): Promise<Result<Response>> {
    const token = credentials.token();
    const headers: Record<string, string> = { accept: "application/json" };
    if (token !== null) headers["authorization"] = `Bearer ${token}`;
    // A text is a session description.
    const sdp = typeof body === "string";
    if (body !== undefined) headers["content-type"] = sdp ? "application/sdp" : "application/json";
    if (sdp) headers["accept"] = "application/sdp, application/json";
    let response: Response;
    try {
      response = await backend.fetch(path, {
        method,
        headers,
        ...(body === undefined ? {} : { body: sdp ? body : JSON.stringify(body) }),
        signal: AbortSignal.timeout(timeoutMs),
      });
    } catch {
      return { ok: false, problem: ownProblem("no-answer") };
    }
    if (response.ok) return { ok: true, value: response };
    if (response.status === 401 && token !== null && !retried && (await credentials.refresh())) {
      return send(method, path, body, timeoutMs, true);
    }
    const problem = await response.json().catch(() => ({}));
    return { ok: false, problem: parseProblem(response.status, problem) };
  }

  async function call<T>(
    method: string,
    path: string,
    body: unknown,
    parse: (json: unknown) => T | null,
    timeoutMs = TIMEOUT_MS,
  ): Promise<Result<T>> {
    const sent = await send(method, path, body, timeoutMs);
    if (!sent.ok) return sent;
    const parsed = parse(await sent.value.json().catch(() => null));
    if (parsed === null) return { ok: false, problem: ownProblem("odd-answer", sent.value.status) };
    return { ok: true, value: parsed };
  }

  const get = <T>(path: string, parse: (json: unknown) => T | null) => call("GET", path, undefined, parse);
  const post = <T>(path: string, body: unknown, parse: (json: unknown) => T | null) =>
    call("POST", path, body, parse);
  async function plain(method: string, path: string, body?: unknown): Promise<Result<null>> {
    const sent = await send(method, path, body);
    return sent.ok ? { ok: true, value: null } : sent;
  }
  const parseGrant = (json: unknown) => parseEnvelope(object(json)["lease"]);

  return {
    invitation: (code) => get(`/v1/invitations/${id(code)}`, parseInvitation),
    accept: async (code, name, identity) => {
      const signature = toHex(await identity.sign(invitationBytes(code)));
      const body = { did: identity.did, name, signature };
      return post(`/v1/invitations/${id(code)}/accept`, body, parseSession);
    },
    signIn: async (identity) => {
      const { did } = identity;
      const asked = await post("/v1/auth/challenge", { did }, (json) => text(object(json)["nonce"]) || null);
      if (!asked.ok) return asked;
      const nonce = asked.value;
      const signature = toHex(await identity.sign(authBytes(nonce)));
      return post("/v1/auth/session", { did, nonce, signature }, parseSession);
    },
    config: () => get("/v1/config", parseConfig),
    phone: async () => {
      const asked = await get("/v1/phone", (json) => ({ way: parsePhone(json) }));
      return asked.ok ? { ok: true, value: asked.value.way } : asked;
    },
    invite: (role, validS) =>
      post("/v1/invitations", { role, valid_s: validS }, (json) => text(object(json)["path"]) || null),
    me: () => get("/v1/me", parseMe),
    missions: () => get("/v1/missions?limit=200", (json) => parseItems(json, parseMission)),
    mission: (mission) => get(`/v1/missions/${id(mission)}`, parseMission),
    robots: () => get("/v1/robots?limit=200", (json) => parseItems(json, parseRobot)),
    episodes: () => get("/v1/episodes?limit=200", (json) => parseItems(json, parseEpisode)),
    episode: (episode) => get(`/v1/episodes/${id(episode)}`, parseEpisode),
    episodeFile: async (episode, name) => {
      const sent = await send("GET", `/v1/episodes/${id(episode)}/files/${id(name)}`, undefined, DOWNLOAD_MS);
      return sent.ok ? { ok: true, value: await sent.value.blob() } : sent;
    },
    takeLease: ({ robot, mission, takeover }) =>
      post("/v1/leases", { robot, mission, relay: null, takeover }, parseGrant),
    leaseEnd: (lease) =>
      get(`/v1/leases/${id(lease)}`, (json) => {
        const { why, ended_by } = object(json);
        return { why: textOrNull(why), by: textOrNull(ended_by) };
      }),
    renewLease: (lease) => post(`/v1/leases/${id(lease)}/renew`, undefined, parseGrant),
    endLease: (lease) => plain("DELETE", `/v1/leases/${id(lease)}`),
    openSession: (robot, lease, offer_sdp, driver_signature, patienceMs) => {
      const body = { lease, offer_sdp, driver_signature };
      return call("POST", `/v1/robots/${id(robot)}/session`, body, parseOpened, patienceMs);
    },
    iceServers: (robot, lease) => post(`/v1/robots/${id(robot)}/ice-servers`, { lease }, parseIceServers),
    trySafety: (scene) => post("/v1/safety/try", scenarioOf(scene), parsePlayed),
    estop: (robot) => plain("POST", `/v1/robots/${id(robot)}/estop`, {}),
    watchServers: async (robot) => {
      const sent = await send("OPTIONS", `/v1/robots/${id(robot)}/watch`, undefined);
      return sent.ok ? { ok: true, value: serversOfLink(sent.value.headers.get("link")) } : sent;
    },
    watch: async (robot, camera, offerSdp) => {
      const sent = await send("POST", `/v1/robots/${id(robot)}/watch?camera=${id(camera)}`, offerSdp);
      if (!sent.ok) return sent;
      const location = sent.value.headers.get("location");
      return { ok: true, value: { sdp: await sent.value.text(), location } };
    },
    endWatch: (location) => plain("DELETE", location),
    robot: (robot) => get(`/v1/robots/${id(robot)}`, parseRobot),
    track: (robot) => get(`/v1/robots/${id(robot)}/track`, parseTrack),
    settings: (robot) =>
      kept(get(`/v1/robots/${id(robot)}/settings`, (json) => ({ kept: parseKeptSettings(json) }))),
    setSettings: async (settings, identity) => {
      const envelope = await signEnvelope(identity, PAYLOAD_OWNER_SETTINGS, settingsBody(settings));
      const path = `/v1/robots/${id(settings.robot)}/settings`;
      return kept(call("PUT", path, envelope, (json) => ({ kept: parseKeptSettings(json) })));
    },
    enrol: (robot, name, owners) =>
      post("/v1/enrolments", { robot, name, owners }, (json) => text(object(json)["code"]) || null),
    setOwners: (robot, owners) => call("PUT", `/v1/robots/${id(robot)}/owners`, { owners }, parseRobot),
    revoke: (robot, reason) => post(`/v1/robots/${id(robot)}/revoke`, { reason }, parseRobot),
  };
}

/** A missing document is an answer, and not an odd one. */
async function kept(
  asked: Promise<Result<{ readonly kept: KeptSettings | null }>>,
): Promise<Result<KeptSettings | null>> {
  const result = await asked;
  return result.ok ? { ok: true, value: result.value.kept } : result;
}

function parsePhone(json: unknown): PhoneWay | null {
  const https = object(json)["https"];
  if (https === null || https === undefined) return null;
  const { urls, certificate_sha256, root } = object(https);
  const { path, sha256 } = object(root);
  return {
    urls: (Array.isArray(urls) ? urls : []).map(String).filter((url) => url.startsWith("https://")),
    certificateSha256: text(certificate_sha256),
    // Only a file of this origin is offered.
    root: typeof path === "string" && /^\/[\w.-]+$/.test(path) ? { path, sha256: text(sha256) } : null,
  };
}

function parseConfig(json: unknown): GatewayConfig | null {
  const c = object(json);
  if (typeof c["fleet_did"] !== "string") return null;
  return {
    iceServers: serversOf(c["ice_servers"]),
    fleetDid: c["fleet_did"],
    name: text(c["name"], "Longrein"),
    turn: c["turn"] === true,
  };
}

function serversOf(list: unknown): readonly IceServer[] {
  return (Array.isArray(list) ? list : []).map((value: unknown) => {
    const s = object(value);
    const urls = Array.isArray(s["urls"]) ? s["urls"].map(String) : [];
    return { urls, username: text(s["username"]), credential: text(s["credential"]) };
  });
}

function parseIceServers(json: unknown): IceServers | null {
  const { ice_servers, valid_s } = object(json);
  return typeof valid_s === "number" ? { iceServers: serversOf(ice_servers), validS: valid_s } : null;
}

function parseOpened(json: unknown): OpenedSession | null {
  const o = object(json);
  const { episode, answer_sdp, robot_signature } = o;
  if (typeof episode !== "string" || typeof answer_sdp !== "string" || typeof robot_signature !== "string") {
    return null;
  }
  return { episode, answerSdp: answer_sdp, robotSignature: robot_signature };
}
