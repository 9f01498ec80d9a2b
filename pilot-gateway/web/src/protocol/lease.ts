/** The right to drive one robot for a while, as the fleet signs it. */
import { documentUnverified, type Envelope } from "./dsse";

export interface Lease {
  readonly leaseId: string;
  readonly robot: string;
  /** The robot's key: its answer is checked with it. */
  readonly robotDid: string;
  readonly holder: string;
  readonly epoch: bigint;
  readonly renewal: number;
  readonly ttlMs: number;
  readonly speedMpsMax: number;
}

/** Reads the lease in an envelope, **not verified**; null when it is none of version 1. */
export function leaseUnverified(envelope: Envelope): Lease | null {
  const document = documentUnverified(envelope);
  if (typeof document !== "object" || document === null) return null;
  const d = document as Record<string, unknown>;
  const limits = (d["limits"] ?? {}) as Record<string, unknown>;
  const { lease_id, robot, robot_did, holder, epoch, renewal, ttl_ms } = d;
  const speed = limits["speed_mps_max"];
  if (d["v"] !== 1) return null;
  if (typeof lease_id !== "string" || typeof robot !== "string" || typeof robot_did !== "string") return null;
  if (typeof holder !== "string" || typeof renewal !== "number" || typeof ttl_ms !== "number") return null;
  if (typeof epoch !== "number" || !Number.isSafeInteger(epoch) || epoch < 0) return null;
  if (typeof speed !== "number" || !(speed >= 0)) return null;
  return {
    leaseId: lease_id,
    robot,
    robotDid: robot_did,
    holder,
    epoch: BigInt(epoch),
    renewal,
    ttlMs: ttl_ms,
    speedMpsMax: speed,
  };
}
