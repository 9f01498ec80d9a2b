/** What the fleet's API says, as this page needs it. Parsed once, here; inside are only these types. */
import { type OwnerSettings, parseSettings } from "../protocol/settings";
import type { GeoPoint } from "./geo";
import { list, number, numberOrNull, object, text, textOrNull } from "./json";

export interface Problem {
  readonly status: number;
  readonly code: string;
  readonly title: string;
  readonly detail: string;
}

export interface Claims {
  readonly did: string;
  readonly role: string;
  readonly name: string;
  readonly expiresAtMs: number;
}

export interface Session {
  readonly token: string;
  readonly claims: Claims;
}

export interface Invitation {
  readonly role: string;
  readonly invitedBy: string;
  readonly valid: boolean;
}

export interface Checkpoint {
  readonly position: GeoPoint;
  readonly radiusM: number;
  readonly dwellMs: number;
}

export interface Person {
  readonly did: string;
  readonly name: string;
}

export interface Settlement {
  readonly pilot: number;
  readonly owners: readonly { readonly owner: string; readonly name: string; readonly amount: number }[];
  readonly operator: number;
  /** When it was paid. */
  readonly atMs: number | null;
}

export interface Mission {
  readonly id: string;
  readonly name: string;
  readonly robot: string;
  readonly checkpoints: readonly Checkpoint[];
  /** Where the robot stays: being in one polygon is enough. Empty: no limit of the mission's. */
  readonly area: readonly (readonly GeoPoint[])[];
  readonly state: string;
  readonly reward: number;
  readonly deadlineAtMs: number | null;
  /** Checkpoints reached so far. */
  readonly reached: number;
  /** Index of the next one; null when all are reached. */
  readonly next: number | null;
  readonly driver: Person | null;
  readonly episode: string | null;
  readonly settlement: Settlement | null;
  readonly reason: string | null;
}

/** Something of a robot that does not work. */
export interface Trouble {
  readonly part: string;
  readonly words: string;
}

export interface Robot {
  readonly id: string;
  readonly name: string;
  readonly online: boolean;
  readonly safety: string | null;
  readonly position: GeoPoint | null;
  /** 0 to 1. */
  readonly battery: number | null;
  /** Who holds a live lease on it. */
  readonly holder: Person | null;
  /** What that lease is for. */
  readonly mission: string | null;
  readonly stateAgeMs: number | null;
  /** Why it does not go, or not faster: a stable code. */
  readonly reason: string | null;
  readonly speedMps: number | null;
  /** Highest speed that would be obeyed now. */
  readonly limitMps: number | null;
  /** Horizontal accuracy of the position. */
  readonly accuracyM: number | null;
  readonly episodesWaiting: number;
  /** What does not work, in the robot's words. */
  readonly troubles: readonly Trouble[];
  readonly version: string | null;
  readonly owners: readonly Share[];
  /** Why it was taken out of the fleet; null while it is in. */
  readonly revoked: { readonly why: string; readonly by: string } | null;
}

/** The owner's settings as the fleet keeps them. */
export interface KeptSettings {
  readonly settings: OwnerSettings;
  readonly onRobot: boolean;
}

/** An owner's share of what a robot earns, in millionths. */
export interface Share {
  readonly owner: string;
  readonly name: string;
  readonly sharePpm: number;
}

export interface EpisodeFile {
  readonly name: string;
  readonly size: number;
  /** Bytes that the server has. */
  readonly received: number;
}

/** One check of an episode, as `episode verify` makes it. */
export interface Check {
  readonly name: string;
  readonly outcome: "passed" | "failed" | "not_checked";
  readonly detail: string;
}

export interface Episode {
  readonly id: string;
  /** `recording`, `uploading`, `accepted` or `refused`. */
  readonly state: string;
  /** Why it was refused. */
  readonly reason: string | null;
  readonly verified: boolean;
  readonly checks: readonly Check[];
  readonly driver: Person | null;
  readonly mission: string | null;
  readonly missionName: string | null;
  readonly robot: string;
  readonly startedAtMs: number | null;
  readonly durationS: number | null;
  readonly distanceM: number | null;
  readonly size: number | null;
  readonly files: readonly EpisodeFile[];
  /** What the driver earned; null while that is not yet decided. */
  readonly earned: number | null;
  readonly settlement: Settlement | null;
}

export interface Me {
  readonly did: string;
  /** The owner that this principal is. */
  readonly owner: string | null;
  readonly role: string;
  readonly name: string;
  readonly balance: number | null;
  /** Ever settled to this account. */
  readonly earnings: number;
}

export function parseProblem(status: number, value: unknown): Problem {
  const p = object(value);
  const title = text(p["title"], status === 0 ? "no answer" : `status ${status}`);
  return { status, code: text(p["code"], "unknown"), title, detail: text(p["detail"], title) };
}

export function parseSession(value: unknown): Session | null {
  const { token, claims } = object(value);
  const c = object(claims);
  if (typeof token !== "string" || typeof c["did"] !== "string") return null;
  return {
    token,
    claims: {
      did: c["did"],
      role: text(c["role"]),
      name: text(c["name"]),
      expiresAtMs: number(c["expires_at"]),
    },
  };
}

export function parseInvitation(value: unknown): Invitation {
  const v = object(value);
  const by = v["invited_by"];
  return {
    role: text(v["role"], "pilot"),
    invitedBy: typeof by === "string" ? by : text(object(by)["name"]),
    valid: v["valid"] === true,
  };
}

export function parsePoint(value: unknown): GeoPoint | null {
  const p = object(value);
  const latDeg = numberOrNull(p["lat_deg"]);
  const lonDeg = numberOrNull(p["lon_deg"]);
  return latDeg === null || lonDeg === null ? null : { latDeg, lonDeg };
}

function parseCheckpoint(value: unknown): Checkpoint[] {
  const c = object(value);
  const position = parsePoint(c["position"]);
  if (position === null) return [];
  return [{ position, radiusM: number(c["radius_m"], 2), dwellMs: number(c["dwell_ms"]) }];
}

/** `{did, name}`, or the text alone. */
function parsePerson(value: unknown): Person | null {
  if (typeof value === "string") return { did: value, name: "" };
  const p = object(value);
  return typeof p["did"] === "string" ? { did: p["did"], name: text(p["name"]) } : null;
}

function parseSettlement(value: unknown): Settlement | null {
  if (typeof value !== "object" || value === null) return null;
  const s = object(value);
  return {
    pilot: number(s["pilot"]),
    owners: list(s["owners"]).map((o) => ({
      owner: text(object(o)["owner"]),
      name: text(object(o)["name"], text(object(o)["owner"])),
      amount: number(object(o)["amount"]),
    })),
    operator: number(s["operator"]),
    atMs: numberOrNull(s["at"]),
  };
}

export function parseMission(value: unknown): Mission | null {
  const m = object(value);
  if (typeof m["id"] !== "string") return null;
  const checkpoints = list(m["checkpoints"]).flatMap(parseCheckpoint);
  const reached = list(m["reached"]).length;
  const next = numberOrNull(m["next_checkpoint"]) ?? (reached < checkpoints.length ? reached : null);
  return {
    id: m["id"],
    name: text(m["name"], m["id"]),
    robot: text(m["robot"]),
    checkpoints,
    area: list(m["area"]).map((polygon) => list(polygon).flatMap((corner) => parsePoint(corner) ?? [])),
    state: text(m["state"]),
    reward: number(m["reward"]),
    deadlineAtMs: numberOrNull(m["deadline_at"]),
    reached,
    next,
    driver: parsePerson(m["driver"]),
    episode: textOrNull(m["episode"]),
    settlement: parseSettlement(m["settlement"]),
    reason: textOrNull(m["reason"]),
  };
}

export function parseRobot(value: unknown): Robot | null {
  const r = object(value);
  if (typeof r["id"] !== "string") return null;
  const state = object(r["state"]);
  const lease = object(r["lease"]);
  return {
    id: r["id"],
    name: text(r["name"], r["id"]),
    online: r["online"] === true,
    safety: textOrNull(state["safety"]),
    position: parsePoint(object(state["position"])["point"]),
    battery: numberOrNull(state["battery"]),
    holder:
      typeof lease["holder"] === "string" && lease["state"] !== "ended"
        ? { did: lease["holder"], name: text(lease["holder_name"]) }
        : null,
    mission: lease["state"] === "ended" ? null : textOrNull(lease["mission"]),
    stateAgeMs: numberOrNull(r["age_ms"]),
    reason: textOrNull(state["reason"]),
    speedMps: numberOrNull(state["speed_mps"]),
    limitMps: numberOrNull(state["limit_mps"]),
    accuracyM: numberOrNull(object(state["position"])["h_acc_m"]),
    episodesWaiting: number(state["episodes_waiting"]),
    troubles: list(state["troubles"]).map((value) => {
      const trouble = object(value);
      return { part: text(trouble["part"]), words: text(trouble["words"]) };
    }),
    version: textOrNull(state["version"]),
    owners: list(r["owners"]).map((value) => {
      const share = object(value);
      return {
        owner: text(share["owner"]),
        name: text(share["name"], text(share["owner"])),
        sharePpm: number(share["share_ppm"]),
      };
    }),
    revoked: parseRevoked(r["revoked"]),
  };
}

function parseRevoked(value: unknown): Robot["revoked"] {
  if (typeof value !== "object" || value === null) return null;
  const r = object(value);
  return { why: text(r["why"]), by: text(r["by"]) };
}

/** Where a robot has been, oldest first. */
export function parseTrack(value: unknown): readonly GeoPoint[] {
  return list(object(value)["points"]).flatMap((item) => {
    const point = parsePoint(item);
    return point === null ? [] : [point];
  });
}

export function parseKeptSettings(value: unknown): KeptSettings | null {
  const v = object(value);
  const settings = parseSettings(v["settings"]);
  return settings === null ? null : { settings, onRobot: v["on_robot"] === true };
}

function parseChecks(report: unknown): readonly Check[] {
  return list(object(report)["checks"]).map((value) => {
    const c = object(value);
    const outcome = c["outcome"] === "passed" || c["outcome"] === "failed" ? c["outcome"] : "not_checked";
    return { name: text(c["name"]).replaceAll("-", " "), outcome, detail: text(c["detail"]) };
  });
}

function parseRefusal(value: unknown): string | null {
  if (typeof value === "string") return value;
  const r = object(value);
  const detail = textOrNull(r["detail"]) ?? textOrNull(r["code"]);
  const file = textOrNull(r["file"]);
  if (detail === null || file === null || detail.includes(file)) return detail;
  return `${detail} (${file}, bytes ${number(r["from"])} to ${number(r["to"])})`;
}

export function parseEpisode(value: unknown): Episode | null {
  const e = object(value);
  if (typeof e["id"] !== "string") return null;
  const files = list(e["files"]).map((item) => {
    const f = object(item);
    const size = number(f["size"]);
    return { name: text(f["name"]), size, received: number(f["received"], size) };
  });
  const state = text(e["state"]);
  return {
    id: e["id"],
    state,
    reason: parseRefusal(e["reason"]),
    verified: state === "accepted",
    checks: parseChecks(e["verification"]),
    driver: parsePerson(e["driver"]),
    mission: textOrNull(e["mission"]),
    missionName: textOrNull(e["mission_name"]),
    robot: text(e["robot"]),
    startedAtMs: numberOrNull(e["started_at"]),
    durationS: numberOrNull(e["duration_s"]),
    distanceM: numberOrNull(e["distance_m"]),
    size: numberOrNull(e["size_bytes"]),
    files,
    earned: numberOrNull(e["earned"]),
    settlement: parseSettlement(e["settlement"]),
  };
}

export function parseMe(value: unknown): Me {
  const m = object(value);
  return {
    did: text(m["did"]),
    owner: textOrNull(m["owner"]),
    role: text(m["role"]),
    name: text(m["name"]),
    balance: numberOrNull(object(m["account"])["balance"]),
    earnings: number(m["earnings"]),
  };
}

/** `{"items": […]}` of things that `parse` reads; what it can't read is left out. */
export function parseItems<T>(value: unknown, parse: (item: unknown) => T | null): readonly T[] {
  return list(object(value)["items"]).flatMap((item) => {
    const parsed = parse(item);
    return parsed === null ? [] : [parsed];
  });
}
