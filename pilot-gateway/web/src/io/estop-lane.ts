/** The emergency stop, by every path there is: its own channel at once, and HTTP when that is closed or the robot
 * does not confirm soon. */
import { decodeEstop, encodeEstop } from "../protocol/estop";
import { nowMs } from "./clock";

/** When the robot has not said within this that it stopped, the stop is also asked for by HTTP. */
const ANSWER_MS_MAX = 300;
const HTTP_EVERY_MS = 1_000;

export interface EstopWires {
  readonly epoch: () => bigint;
  readonly send: (packet: Uint8Array<ArrayBuffer>) => boolean;
  readonly byHttp: () => void;
}

export interface EstopLane {
  /** The driver asked for a stop that the robot has not confirmed. */
  readonly asked: () => boolean;
  /** The robot refused the last clear. */
  readonly refused: () => boolean;
  readonly stop: () => void;
  /** False when there is no way to the robot. */
  readonly clear: () => boolean;
  /** The robot says, in telemetry or here, that it stands still for good. */
  readonly confirmed: () => void;
  readonly received: (bytes: Uint8Array) => void;
  readonly tick: (now: number) => void;
}

export function estopLane(wires: EstopWires): EstopLane {
  let seq = 0;
  let askedAtMs: number | null = null;
  let httpAtMs = Number.NEGATIVE_INFINITY;
  let refused = false;

  const send = (action: "stop" | "clear"): boolean => {
    seq += 1;
    return wires.send(encodeEstop({ action, seq, epoch: wires.epoch() }));
  };
  const byHttp = () => {
    httpAtMs = nowMs();
    wires.byHttp();
  };
  return {
    asked: () => askedAtMs !== null,
    refused: () => refused,
    stop: () => {
      askedAtMs ??= nowMs();
      refused = false;
      if (!send("stop")) byHttp();
    },
    clear: () => {
      askedAtMs = null;
      return send("clear");
    },
    confirmed: () => {
      askedAtMs = null;
    },
    received: (bytes) => {
      const decoded = decodeEstop(bytes);
      if (!decoded.ok) {
        console.warn(`e-stop answer refused: ${decoded.error}`);
        return;
      }
      const { action } = decoded.value;
      if (action === "stopped") askedAtMs = null;
      if (action === "cleared" || action === "clear-refused") refused = action === "clear-refused";
    },
    tick: (now) => {
      if (askedAtMs === null || now - askedAtMs < ANSWER_MS_MAX || now - httpAtMs < HTTP_EVERY_MS) return;
      send("stop");
      byHttp();
    },
  };
}
