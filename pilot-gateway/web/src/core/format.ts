/** What is written alike in every language. */

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
