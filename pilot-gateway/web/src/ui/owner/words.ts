/** What a robot does, in a few words for its owner. */
import type { Robot } from "../../core/model";
import { reasonWords } from "../../protocol/safety";

const SAFETY_WORDS: Readonly<Record<string, string>> = {
  idle: "Stands and waits",
  ready: "Has a driver and stands",
  driving: "Drives",
  stopped: "Was stopped",
  emergency_stopped: "Emergency stop",
};

export function liveWords(robot: Robot): string {
  if (robot.revoked !== null) return robot.revoked.why || "Taken out of the fleet";
  if (!robot.online) return "Does not report";
  const what = SAFETY_WORDS[robot.safety ?? ""] ?? "Reports";
  const stopped = robot.safety === "stopped" || robot.safety === "emergency_stopped";
  const why = stopped && robot.reason !== null ? `: ${reasonWords(robot.reason)}` : "";
  const who = robot.holder === null ? "" : `, driven by ${robot.holder.name || "somebody"}`;
  return `${what}${why}${who}`;
}
