/** Time for the io layer: a monotonic clock and a tick that browsers don't throttle. */
import { type Ms, ms } from "../core/units";

export function nowMs(): Ms {
  return ms(performance.now());
}

/** The low 32 bits of `nowMs`, as drive packets carry the driver's clock; never 0, which means "none yet". */
export function clientMs(): number {
  return performance.now() >>> 0 || 1;
}

/** Calls `tick` every `periodMs`, from a worker's timer: timers of the page itself are slowed when it is busy
 * or hidden, and a driver's page must at least say that it has let go. */
export function startTicker(periodMs: number, tick: () => void): () => void {
  const worker = new Worker(new URL("./ticker.worker.ts", import.meta.url), { type: "module" });
  worker.onmessage = () => tick();
  worker.postMessage(periodMs);
  return () => worker.terminate();
}
