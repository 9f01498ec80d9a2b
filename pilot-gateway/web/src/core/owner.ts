/** What the owner's pages make of the fleet's answers. */
import type { Corner, Hours } from "../protocol/settings";
import type { GeoPoint } from "./geo";
import type { Mission } from "./model";

export const WHOLE_PPM = 1_000_000;

export function cornerOf(point: GeoPoint): Corner {
  return [Math.round(point.lonDeg * 1e7), Math.round(point.latDeg * 1e7)];
}

export function pointOf([lon, lat]: Corner): GeoPoint {
  return { latDeg: lat / 1e7, lonDeg: lon / 1e7 };
}

/** A robot's name as a word for URLs and keys: what `RobotId` of protocol/ takes. */
export function robotIdOf(name: string): string {
  const word = name
    .normalize("NFKD")
    .replace(/[\u0300-\u036f]/g, "")
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .slice(0, 40)
    .replace(/^-+|-+$/g, "");
  return word;
}

/** The one line that makes a machine the robot. */
export function enrolCommand(server: string, code: string): string {
  return `sudo -u longrein robot-agent enroll --server ${server} --code ${code} --data /var/lib/longrein`;
}

export interface Day {
  /** Days since 1970, UTC. */
  readonly day: number;
  readonly amount: number;
}

const DAY_MS = 86_400_000;

/** What `owner` earned with `robot` on each of the last `days` days, the newest last. */
export function earningsByDay(
  missions: readonly Mission[],
  robot: string,
  owner: string,
  nowMs: number,
  days: number,
): readonly Day[] {
  const today = Math.floor(nowMs / DAY_MS);
  const sums = new Array<number>(days).fill(0);
  for (const mission of missions) {
    const paid = mission.settlement;
    if (mission.robot !== robot || paid === null || paid.atMs === null) continue;
    const at = days - 1 - (today - Math.floor(paid.atMs / DAY_MS));
    if (at < 0 || at >= days) continue;
    const part = paid.owners.find((o) => o.owner === owner)?.amount ?? 0;
    sums[at] = (sums[at] ?? 0) + part;
  }
  return sums.map((amount, i) => ({ day: today - days + 1 + i, amount }));
}

/** Shares in per cent to shares in millionths that add up; null when they don't add up to 100 %. */
export function sharesOf(
  percents: readonly { owner: string; percent: number }[],
): readonly { owner: string; share_ppm: number }[] | null {
  const shares = percents
    .map(({ owner, percent }) => ({ owner, share_ppm: Math.round(percent * 10_000) }))
    .filter((share) => share.share_ppm > 0);
  const sum = shares.reduce((all, share) => all + share.share_ppm, 0);
  return shares.length > 0 && sum === WHOLE_PPM ? shares : null;
}

export interface DayHours {
  readonly open: boolean;
  /** Minutes from midnight. */
  readonly fromMin: number;
  readonly toMin: number;
}

const DAY_MIN = 24 * 60;

/** The same hours on some days of the week, Monday first. */
export function weekHours(days: readonly boolean[], fromMin: number, toMin: number): readonly Hours[] {
  return days.flatMap((open, day) => {
    if (!open) return [];
    const from = day * DAY_MIN + fromMin;
    const to = day * DAY_MIN + (toMin > fromMin ? toMin : toMin + DAY_MIN);
    return [{ fromMin: from, toMin: to > 7 * DAY_MIN ? to - 7 * DAY_MIN : to }];
  });
}

/** The reverse, for showing what was set; null when the windows are not of this kind. */
export function daysOf(hours: readonly Hours[]): { days: boolean[]; fromMin: number; toMin: number } | null {
  const days = new Array<boolean>(7).fill(false);
  let from: number | null = null;
  let long: number | null = null;
  for (const { fromMin, toMin } of hours) {
    const length = toMin > fromMin ? toMin - fromMin : toMin - fromMin + 7 * DAY_MIN;
    const day = Math.floor(fromMin / DAY_MIN);
    if ((from !== null && from !== fromMin % DAY_MIN) || (long !== null && long !== length)) return null;
    if (length > DAY_MIN || days[day]) return null;
    [from, long] = [fromMin % DAY_MIN, length];
    days[day] = true;
  }
  const start = from ?? 8 * 60;
  return { days, fromMin: start, toMin: (start + (long ?? 10 * 60)) % DAY_MIN };
}

export function clockOf(minutes: number): string {
  const two = (n: number) => n.toString().padStart(2, "0");
  return `${two(Math.floor(minutes / 60) % 24)}:${two(minutes % 60)}`;
}

/** Null when `text` is no time of day such as 08:30. */
export function minutesOf(text: string): number | null {
  const match = /^(\d{1,2}):(\d{2})$/.exec(text.trim());
  const [hours, minutes] = [Number(match?.[1]), Number(match?.[2])];
  return match !== null && hours < 24 && minutes < 60 ? hours * 60 + minutes : null;
}
