/**
 * Saying things to the pilot: the messages of a language, and numbers with the pilot's units. Everything that may be
 * unknown says so. `-0` never appears.
 */
import { type Reason, type ReasonNumber, reasonByCode, reasonOf } from "../protocol/safety";
import type { Language } from "./language";
import { MESSAGES, type Messages } from "./words/words";

export const SPEED_UNITS = ["m/s", "km/h", "mph"] as const;
export type SpeedUnit = (typeof SPEED_UNITS)[number];
export const LENGTH_UNITS = ["m", "ft"] as const;
export type LengthUnit = (typeof LENGTH_UNITS)[number];

export interface Units {
  readonly speed: SpeedUnit;
  readonly length: LengthUnit;
}

export const SI: Units = { speed: "m/s", length: "m" };

const PER_MPS: Readonly<Record<SpeedUnit, number>> = { "m/s": 1, "km/h": 3.6, mph: 2.236_936 };
const FT_PER_M = 3.280_84;
const FT_PER_MILE = 5_280;

export interface Say {
  readonly language: Language;
  readonly units: Units;
  readonly m: Messages;
  readonly number: (value: number, digits?: number) => string;
  readonly percent: (share: number, digits?: number) => string;
  /** `1.2 m/s`, in the pilot's unit. */
  readonly speed: (mps: number) => string;
  /** The number alone; its unit is `units.speed`. */
  readonly speedNumber: (mps: number) => string;
  readonly distance: (metres: number) => string;
  /** `86 ms`, `1.5 s`: how old something is, exactly. */
  readonly age: (ageMs: number) => string;
  /** How old a number on the screen is, in tenths of a second: it must not flicker. */
  readonly roughAge: (ageMs: number) => string;
  readonly duration: (seconds: number) => string;
  readonly timeLeft: (untilMs: number, nowMs: number) => string;
  readonly bytes: (size: number) => string;
  readonly bitrate: (bitsPerSecond: number) => string;
  readonly credits: (amount: number) => string;
  /** Date and time of day. */
  readonly when: (atMs: number | null) => string;
  /** Day and month, of a day since 1970. */
  readonly day: (day: number) => string;
  readonly reason: (reason: ReasonNumber) => Reason;
  /** By its stable code; `own` are the robot's own words for a code that this page does not know. */
  readonly reasonByCode: (code: string, own?: string) => Reason;
}

export const UNKNOWN = "–";

/** What numbers and dates look like. British, for English: days before months, 24 hours. */
const LOCALES: Readonly<Record<Language, string>> = { en: "en-GB", de: "de-DE" };

function numbers(locale: string): (value: number, digits: number, grouped?: boolean) => string {
  const made = new Map<string, Intl.NumberFormat>();
  return (value, digits, grouped = false) => {
    const key = `${digits}${grouped}`;
    let format = made.get(key);
    if (format === undefined) {
      format = new Intl.NumberFormat(locale, {
        minimumFractionDigits: digits,
        maximumFractionDigits: digits,
        useGrouping: grouped,
        signDisplay: "negative",
      });
      made.set(key, format);
    }
    return format.format(value);
  };
}

export function createSay(language: Language, units: Units): Say {
  const m = MESSAGES[language];
  const locale = LOCALES[language];
  const number = numbers(locale);
  const moment = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" });
  const date = new Intl.DateTimeFormat(locale, { day: "numeric", month: "short", timeZone: "UTC" });
  const speedNumber = (mps: number) => number(mps * PER_MPS[units.speed], 1);
  const translated = (reason: Reason): Reason => {
    const words = m.reasons[reason.code as keyof typeof m.reasons];
    return words === undefined ? { ...reason, ...m.reasonUnknown } : { code: reason.code, ...words };
  };
  return {
    language,
    units,
    m,
    number: (value, digits = 0) => number(value, digits),
    percent: (share, digits = 0) => `${number(share * 100, digits)} %`,
    speedNumber,
    speed: (mps) => `${speedNumber(mps)} ${units.speed}`,
    distance: (metres) => {
      if (units.length === "m") {
        if (metres < 9.95) return `${number(metres, 1)} m`;
        return metres < 1000 ? `${number(metres, 0)} m` : `${number(metres / 1000, 1)} km`;
      }
      const feet = metres * FT_PER_M;
      if (feet < 9.95) return `${number(feet, 1)} ft`;
      return feet < FT_PER_MILE / 2 ? `${number(feet, 0)} ft` : `${number(feet / FT_PER_MILE, 1)} mi`;
    },
    age: (ageMs) => (ageMs < 1000 ? `${number(ageMs, 0)} ms` : `${number(ageMs / 1000, 1)} s`),
    roughAge: (ageMs) => {
      // Never rounded down: what is shown as fresh is.
      const tenths = Math.max(1, Math.ceil(ageMs / 100));
      return tenths < 100 ? `${number(tenths / 10, 1)} s` : `${number(tenths / 10, 0)} s`;
    },
    duration: (seconds) => {
      const whole = Math.round(seconds);
      const two = (value: number) => value.toString().padStart(2, "0");
      if (whole < 60) return `${whole} s`;
      const minutes = Math.floor(whole / 60);
      if (minutes < 60) return `${minutes} min ${two(whole % 60)} s`;
      return `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`;
    },
    timeLeft: (untilMs, nowMs) => {
      const minutes = Math.ceil((untilMs - nowMs) / 60_000);
      if (minutes <= 0) return m.time.over;
      return m.time.left(minutes < 120 ? `${minutes} min` : `${Math.round(minutes / 60)} h`);
    },
    bytes: (size) => {
      if (size < 1000) return `${size} B`;
      if (size < 1e6) return `${number(size / 1e3, 0)} kB`;
      return size < 1e9 ? `${number(size / 1e6, 1)} MB` : `${number(size / 1e9, 2)} GB`;
    },
    bitrate: (bitsPerSecond) => `${number(bitsPerSecond / 1e6, 1)} Mbit/s`,
    // Ledger amounts are whole numbers; thin spaces group them in any language.
    credits: (amount) => {
      const digits = Math.abs(Math.trunc(amount)).toString();
      return (amount < 0 ? "−" : "") + digits.replace(/\B(?=(\d{3})+$)/g, "\u2009");
    },
    when: (atMs) => (atMs === null ? UNKNOWN : moment.format(atMs)),
    day: (day) => date.format(day * 86_400_000),
    reason: (reason) => translated(reasonOf(reason)),
    reasonByCode: (code, own) => {
      const reason = reasonByCode(code);
      if (reason.code === "unknown" && own) return { code, words: own, whatNext: "" };
      return translated(reason);
    },
  };
}
