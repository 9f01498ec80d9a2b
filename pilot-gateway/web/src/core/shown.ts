/**
 * Which picture is on the screen, for a browser that does not say it of each (`requestVideoFrameCallback`).
 *
 * Such a browser still tells the stamp of the newest picture that was handed to the page (`getSynchronizationSources`), and
 * how many pictures the video element has shown. A picture that was handed over when the page was drawn is on the screen
 * after the screen was refreshed twice, and the element has counted it. So a stamp counts as seen two refreshes after it
 * came, if the element has shown something since the time before: up to two refreshes late, a thirtieth of a second on most
 * screens, and never early. A page that is not drawn, because it is hidden, sees nothing.
 */
export interface Handed {
  /** Stamp of the newest picture that was handed over; null before the first. */
  readonly stamp: number | null;
  /** Pictures that the element has shown since its start. */
  readonly shown: number;
}

interface Waiting {
  readonly stamp: number;
  /** What the element had shown when the screen was refreshed before this came. */
  readonly shownBefore: number;
  readonly refreshes: number;
}

export interface Watch {
  /** Pictures that may not be on the screen yet, oldest first. */
  readonly waiting: readonly Waiting[];
  readonly last: Handed;
}

export const NOTHING_SEEN: Watch = { waiting: [], last: { stamp: null, shown: 0 } };

const REFRESHES = 2;
/** More can't wait: one comes with each refresh at most, and each leaves after a few. */
const WAITING_MAX = 8;

/** What is known at the next refresh; `seen` is the stamp of a picture that is now known to be on the screen, or null. */
export function nextWatch(
  watch: Watch,
  handed: Handed,
): { readonly watch: Watch; readonly seen: number | null } {
  const { last } = watch;
  const aged = watch.waiting.map((one) => ({ ...one, refreshes: one.refreshes + 1 }));
  const isSeen = (one: Waiting) => one.refreshes >= REFRESHES && handed.shown > one.shownBefore;
  const index = aged.findLastIndex(isSeen);
  const left = aged.slice(index + 1);
  const isNew = handed.stamp !== null && handed.stamp !== last.stamp;
  const come = isNew ? [{ stamp: handed.stamp as number, shownBefore: last.shown, refreshes: 0 }] : [];
  const waiting = [...left, ...come].slice(-WAITING_MAX);
  return { watch: { waiting, last: handed }, seen: aged[index]?.stamp ?? null };
}
