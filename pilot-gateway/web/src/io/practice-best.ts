/** The best score of this browser, for each delay. */
const SLOT = "longrein.practice";

function all(): Record<string, unknown> {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(SLOT) ?? "{}");
    return typeof kept === "object" && kept !== null ? (kept as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

export function loadBest(delayMs: number): number | null {
  const points = all()[String(delayMs)];
  return typeof points === "number" && Number.isFinite(points) ? points : null;
}

/** Keeps `points` if they are the best; gives the best. */
export function storeBest(delayMs: number, points: number): number {
  const best = Math.max(points, loadBest(delayMs) ?? 0);
  try {
    localStorage.setItem(SLOT, JSON.stringify({ ...all(), [String(delayMs)]: best }));
  } catch (error) {
    console.warn("the score can't be kept in this browser", error);
  }
  return best;
}
