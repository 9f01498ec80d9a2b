/** Watching a robot: what a WHEP answer says, how fresh the picture is, and when to try again. */

export interface Server {
  readonly urls: readonly string[];
  readonly username?: string;
  readonly credential?: string;
}

/** The STUN and TURN servers of a `Link` header (draft-ietf-wish-whep). What can't be read is passed over. */
export function serversOf(header: string | null): readonly Server[] {
  const links = (header ?? "").matchAll(/<([^>]*)>((?:\s*;\s*[\w-]+\s*=\s*(?:"[^"]*"|[^",;\s]*))*)/g);
  return [...links].flatMap(([, url = "", rest = ""]) => {
    const parameters = new Map(
      [...rest.matchAll(/;\s*([\w-]+)\s*=\s*(?:"([^"]*)"|([^",;\s]*))/g)].map(
        ([, name = "", quoted, bare]) => [name, quoted ?? bare ?? ""],
      ),
    );
    if (parameters.get("rel") !== "ice-server" || !/^(stuns?|turns?):/.test(url)) return [];
    const username = parameters.get("username");
    const credential = parameters.get("credential");
    return [
      {
        urls: [url],
        ...(username === undefined ? {} : { username }),
        ...(credential === undefined ? {} : { credential }),
      },
    ];
  });
}

/** A picture older than this is not live: thirty come each second. */
const LIVE_MS_MAX = 1_000;
/** A robot whose driver needs the link for itself sends a still picture every two seconds. */
const STILLS_MS_MAX = 4_500;

export type Picture = "none" | "live" | "stills" | "frozen";

/** What the picture is worth. `spanMs`: time between the last two; `ageMs`: since the last. */
export function pictureOf(ageMs: number | null, spanMs: number): Picture {
  if (ageMs === null) return "none";
  if (ageMs <= LIVE_MS_MAX && spanMs <= LIVE_MS_MAX) return "live";
  return ageMs <= STILLS_MS_MAX ? "stills" : "frozen";
}

/** How long to wait after so many failures in a row. */
export function retryMs(failures: number): number {
  return Math.min(1_000 * 2 ** Math.max(0, failures - 1), 10_000);
}
