/**
 * What is allowed now, and if not, why not. Buttons show the reason instead of vanishing. The fleet and the robot
 * decide by themselves; this only saves a refused request.
 */
import type { Mission, Robot } from "./model";

export type Can = { readonly ok: true } | { readonly ok: false; readonly why: string };

const YES: Can = { ok: true };
const no = (why: string): Can => ({ ok: false, why });

/** Mirrors `POST /v1/leases` of fleet-server: an open mission, a robot that is there and free. */
export function canDrive(mission: Mission, robot: Robot | null, me: { did: string; role: string }): Can {
  if (me.role !== "pilot" && me.role !== "operator")
    return no("Only pilots drive; ask for a pilot invitation");
  const mine = mission.driver?.did === me.did;
  switch (mission.state) {
    case "open":
    case "offered":
      break;
    case "assigned":
    case "active":
      if (!mine) return no("Someone else is driving it");
      break;
    case "verifying":
      return no("Driven; its recording is being checked");
    case "settled":
      return no("Done and paid");
    default:
      return no(`The mission is ${mission.state}`);
  }
  if (robot === null) return no(`Nobody knows the robot ${mission.robot}`);
  if (!robot.online) return no(`${robot.name} is offline`);
  if (robot.holder !== null && robot.holder.did !== me.did)
    return no(`${robot.holder.name || "Someone else"} drives ${robot.name} now`);
  return YES;
}

/** Mirrors the robot's rule for clearing the emergency stop: current lease, deadman released. */
export function canClearEstop(facts: { connected: boolean; wants: boolean }): Can {
  if (!facts.connected) return no("There is no connection to the robot");
  if (facts.wants) return no("Release all keys first");
  return YES;
}
