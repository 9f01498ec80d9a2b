// How a pilot without eyes drives: by what the page itself shows.

/** Reasons for which the robot stands until the driver lets go of the keys. */
export const LET_GO_FIRST = ["rearm-needed", "video-stale", "command-stale", "command-held-up"];

const wrap = (degrees) => ((((degrees + 180) % 360) + 360) % 360) - 180;

/** Keys towards the next checkpoint: turn on the spot when it lies aside, else go and correct. */
export function steer(bearing, heading) {
  const error = wrap(bearing - heading);
  if (error > 30) return ["KeyD"];
  if (error < -30) return ["KeyA"];
  if (error > 6) return ["KeyW", "KeyD"];
  if (error < -6) return ["KeyW", "KeyA"];
  return ["KeyW"];
}
