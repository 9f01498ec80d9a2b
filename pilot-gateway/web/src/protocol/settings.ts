/** What a robot's owner allows: the document that the owner signs here and the robot enforces. protocol/SPEC.md §7. */
import { utf8 } from "./bytes";

export const PAYLOAD_OWNER_SETTINGS = "application/vnd.longrein.owner-settings+json";
export const POLYGONS_MAX = 8;
export const CORNERS_MAX = 32;
export const HOURS_MAX = 14;
export const DRIVERS_MAX = 64;
const WEEK_MIN = 7 * 24 * 60;

/** Longitude and latitude in units of 1e-7 degrees. */
export type Corner = readonly [number, number];

/** Minutes from Monday 00:00 at the owner's place; over the end of the week when `fromMin` is not below `toMin`. */
export interface Hours {
  readonly fromMin: number;
  readonly toMin: number;
}

export interface OwnerSettings {
  readonly robot: string;
  readonly version: number;
  readonly atMs: number;
  readonly speedMmpsMax: number | null;
  readonly area: readonly (readonly Corner[])[] | null;
  readonly hours: readonly Hours[] | null;
  readonly utcOffsetMin: number;
  readonly pilots: boolean;
  readonly agents: boolean;
  readonly only: readonly string[];
  readonly blindDriving: boolean;
  readonly pricePerHour: number | null;
}

/** The bytes that are signed: compact JSON with the fields in the order of protocol/src/settings.rs. */
export function settingsBody(s: OwnerSettings): Uint8Array<ArrayBuffer> {
  const hours = s.hours?.map((h) => ({ from_min: h.fromMin, to_min: h.toMin })) ?? null;
  const document = {
    v: 1,
    robot: s.robot,
    version: s.version,
    at: s.atMs,
    speed_mmps_max: s.speedMmpsMax,
    area: s.area,
    hours,
    utc_offset_min: s.utcOffsetMin,
    drivers: { pilots: s.pilots, agents: s.agents, only: s.only },
    blind_driving: s.blindDriving,
    price_per_hour: s.pricePerHour,
  };
  return utf8(JSON.stringify(document));
}

function integer(value: unknown, min: number, max: number): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= min && value <= max;
}

function only(value: object, names: readonly string[]): boolean {
  const keys = Object.keys(value);
  return keys.length === names.length && names.every((name) => keys.includes(name));
}

function parseArea(value: unknown): OwnerSettings["area"] | undefined {
  if (value === null) return null;
  if (!Array.isArray(value) || value.length < 1 || value.length > POLYGONS_MAX) return undefined;
  const corner = (c: unknown): c is Corner =>
    Array.isArray(c) &&
    c.length === 2 &&
    integer(c[0], -1_800_000_000, 1_800_000_000) &&
    integer(c[1], -900_000_000, 900_000_000);
  const polygon = (p: unknown): p is Corner[] =>
    Array.isArray(p) && p.length >= 3 && p.length <= CORNERS_MAX && p.every(corner);
  return value.every(polygon) ? value : undefined;
}

function parseHours(value: unknown): OwnerSettings["hours"] | undefined {
  if (value === null) return null;
  if (!Array.isArray(value) || value.length > HOURS_MAX) return undefined;
  const hours: Hours[] = [];
  for (const h of value as unknown[]) {
    if (typeof h !== "object" || h === null || !only(h, ["from_min", "to_min"])) return undefined;
    const { from_min: fromMin, to_min: toMin } = h as Record<string, unknown>;
    if (!integer(fromMin, 0, WEEK_MIN - 1) || !integer(toMin, 0, WEEK_MIN)) return undefined;
    hours.push({ fromMin, toMin });
  }
  return hours;
}

const FIELDS = [
  "v",
  "robot",
  "version",
  "at",
  "speed_mmps_max",
  "area",
  "hours",
  "utc_offset_min",
  "drivers",
  "blind_driving",
  "price_per_hour",
];

/** Reads the document; null when it is none that a robot would take. */
export function parseSettings(value: unknown): OwnerSettings | null {
  if (typeof value !== "object" || value === null || !only(value, FIELDS)) return null;
  const s = value as Record<string, unknown>;
  const drivers = s["drivers"];
  if (typeof drivers !== "object" || drivers === null || !only(drivers, ["pilots", "agents", "only"]))
    return null;
  const { pilots, agents, only: named } = drivers as Record<string, unknown>;
  const speed = s["speed_mmps_max"];
  const price = s["price_per_hour"];
  const area = parseArea(s["area"]);
  const hours = parseHours(s["hours"]);
  const right =
    s["v"] === 1 &&
    typeof s["robot"] === "string" &&
    integer(s["version"], 1, Number.MAX_SAFE_INTEGER) &&
    integer(s["at"], 0, Number.MAX_SAFE_INTEGER) &&
    (speed === null || integer(speed, 0, 10_000)) &&
    (price === null || integer(price, 0, 0xffff_ffff)) &&
    integer(s["utc_offset_min"], -840, 840) &&
    typeof pilots === "boolean" &&
    typeof agents === "boolean" &&
    Array.isArray(named) &&
    named.length <= DRIVERS_MAX &&
    named.every((did) => typeof did === "string") &&
    typeof s["blind_driving"] === "boolean";
  if (!right || area === undefined || hours === undefined) return null;
  return {
    robot: s["robot"] as string,
    version: s["version"] as number,
    atMs: s["at"] as number,
    speedMmpsMax: speed as number | null,
    area,
    hours,
    utcOffsetMin: s["utc_offset_min"] as number,
    pilots: pilots as boolean,
    agents: agents as boolean,
    only: named as string[],
    blindDriving: s["blind_driving"] as boolean,
    pricePerHour: price as number | null,
  };
}

/** Whether `nowMs` is within the hours. */
export function isOpen(s: OwnerSettings, nowMs: number): boolean {
  if (s.hours === null) return true;
  // 1 January 1970 was a Thursday: three days after a Monday.
  const minutes = Math.floor(nowMs / 60_000) + 3 * 24 * 60 + s.utcOffsetMin;
  const minute = ((minutes % WEEK_MIN) + WEEK_MIN) % WEEK_MIN;
  return s.hours.some(({ fromMin, toMin }) =>
    fromMin < toMin ? minute >= fromMin && minute < toMin : minute >= fromMin || minute < toMin,
  );
}

/** Even-odd rule in integers, as the robot does it. */
export function isInside(polygon: readonly Corner[], [x, y]: Corner): boolean {
  let inside = false;
  let before = polygon.at(-1);
  for (const corner of polygon) {
    if (before !== undefined) {
      const [x1, y1] = before;
      const [x2, y2] = corner;
      if (y1 > y !== y2 > y) {
        // Products of differences of up to 3.6e9: more than 53 bits.
        const side = BigInt(x2 - x1) * BigInt(y - y1) - BigInt(x - x1) * BigInt(y2 - y1);
        if (side > 0n === y2 > y1) inside = !inside;
      }
    }
    before = corner;
  }
  return inside;
}

/** Whether a place is inside the area. */
export function contains(s: OwnerSettings, place: Corner): boolean {
  return s.area === null || s.area.some((polygon) => isInside(polygon, place));
}
