/** What a robot does, in a few words for its owner. */
import type { Robot } from "../../core/model";
import type { Say } from "../../core/say";

export function liveWords(robot: Robot, say: Say): string {
  const m = say.m.live;
  if (robot.revoked !== null) return robot.revoked.why || m.takenOut;
  if (!robot.online) return m.silent;
  const what = m.safety[robot.safety ?? ""] ?? m.reports;
  const stopped = robot.safety === "stopped" || robot.safety === "emergency_stopped";
  const why =
    stopped && robot.reason !== null
      ? `: ${say.reasonByCode(robot.reason, robot.reason.replaceAll("-", " ")).words}`
      : "";
  const who = robot.holder === null ? "" : m.drivenBy(robot.holder.name || m.somebody);
  return `${what}${why}${who}`;
}
