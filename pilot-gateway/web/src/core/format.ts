/** Numbers in words. Everything that may be unknown says so. */

export const UNKNOWN = "–";

/** Ledger amounts are whole numbers; they are shown as they are. */
export function credits(amount: number): string {
  const digits = Math.abs(Math.trunc(amount)).toString();
  return (amount < 0 ? "−" : "") + digits.replace(/\B(?=(\d{3})+$)/g, "\u2009");
}

export function distance(metres: number): string {
  if (metres < 9.95) return `${metres.toFixed(1)} m`;
  return metres < 1000 ? `${Math.round(metres)} m` : `${(metres / 1000).toFixed(1)} km`;
}

export function bytes(size: number): string {
  if (size < 1000) return `${size} B`;
  if (size < 1e6) return `${(size / 1e3).toFixed(0)} kB`;
  return size < 1e9 ? `${(size / 1e6).toFixed(1)} MB` : `${(size / 1e9).toFixed(2)} GB`;
}

export function bitrate(bitsPerSecond: number): string {
  return `${(bitsPerSecond / 1e6).toFixed(1)} Mbit/s`;
}

export function duration(seconds: number): string {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${(whole % 60).toString().padStart(2, "0")} s`;
  return `${Math.floor(minutes / 60)} h ${(minutes % 60).toString().padStart(2, "0")} min`;
}

export function timeLeft(untilMs: number, nowMs: number): string {
  const minutes = Math.ceil((untilMs - nowMs) / 60_000);
  if (minutes <= 0) return "over";
  return minutes < 120 ? `${minutes} min left` : `${Math.round(minutes / 60)} h left`;
}

export function degrees(deg: number): string {
  return `${(Math.round(deg) % 360).toString().padStart(3, "0")}°`;
}

/** `eps_0190b5c6…9112`: enough to tell ids apart. */
export function shortId(id: string): string {
  const [prefix, rest] = id.split("_");
  if (prefix === undefined || rest === undefined || rest.length < 12) return id;
  return `${prefix}_${rest.slice(0, 8)}…${rest.slice(-4)}`;
}

export function shortDid(did: string): string {
  return did.length > 24 ? `${did.slice(0, 16)}…${did.slice(-6)}` : did;
}
