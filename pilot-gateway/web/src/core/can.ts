/**
 * What is allowed now, and if not, why not. Buttons show the reason instead of vanishing. The fleet and the robot
 * decide by themselves; this only saves a refused request.
 */
import type { Mission, Robot } from "./model";
import type { Messages } from "./words/words";

export type Can = { readonly ok: true } | { readonly ok: false; readonly why: string };

const YES: Can = { ok: true };
const no = (why: string): Can => ({ ok: false, why });

/** Mirrors `POST /v1/leases` of fleet-server: an open mission, a robot that is there and free. */
export function canDrive(
  mission: Mission,
  robot: Robot | null,
  me: { did: string; role: string },
  { can: m, pages }: Messages,
): Can {
  if (me.role !== "pilot" && me.role !== "operator") return no(m.onlyPilots);
  const mine = mission.driver?.did === me.did;
  switch (mission.state) {
    case "open":
    case "offered":
      break;
    case "assigned":
    case "active":
      if (!mine) return no(m.someoneDrives);
      break;
    case "verifying":
      return no(m.checking);
    case "settled":
      return no(m.paid);
    default:
      return no(m.missionIs(pages.missionStates[mission.state] ?? mission.state));
  }
  if (robot === null) return no(m.unknownRobot(mission.robot));
  if (!robot.online) return no(m.offline(robot.name));
  if (robot.holder !== null && robot.holder.did !== me.did)
    return no(m.drivesNow(robot.holder.name || m.someone, robot.name));
  return YES;
}

/** Mirrors `takeover` of `POST /v1/leases`: an operator, or an owner of the robot. A robot that nobody drives is driven. */
export function canTakeOver(
  robot: Robot,
  me: { did: string; role: string; owner: string | null },
  { watch: m }: Messages,
): Can {
  const owns = robot.owners.some((share) => share.owner === me.owner && share.sharePpm > 0);
  const supervises = me.role === "operator" || owns;
  if (!supervises) return no(m.onlySupervisors);
  if (!robot.online) return no(m.offline);
  return YES;
}

/** Mirrors the robot's rule for clearing the emergency stop: current lease, deadman released. */
export function canClearEstop(facts: { connected: boolean; wants: boolean }, { can: m }: Messages): Can {
  if (!facts.connected) return no(m.noConnection);
  if (facts.wants) return no(m.releaseFirst);
  return YES;
}
