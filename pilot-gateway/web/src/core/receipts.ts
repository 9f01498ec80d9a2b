/**
 * The chain of receipts: what the driver says that it sent. This builds the documents; io signs and sends them.
 */
import { toHex } from "../protocol/bytes";
import { PACKET_DIGEST_LEN, RECEIPT_PACKETS_MAX } from "../protocol/session";

export interface ReceiptChain {
  readonly leaseId: string;
  readonly epoch: bigint;
  readonly index: number;
  /** SHA-256 of the body of the receipt before, hexadecimal. */
  readonly previous: string;
  /** `seq` of the first packet that the next receipt covers. */
  readonly firstSeq: number;
}

export function firstReceipt(leaseId: string, epoch: bigint): ReceiptChain {
  return { leaseId, epoch, index: 0, previous: "0".repeat(64), firstSeq: 1 };
}

/** How many of the packets that wait fit into the next receipt. */
export function receiptSize(waiting: number): number {
  return Math.min(waiting, RECEIPT_PACKETS_MAX);
}

/** The body of the next receipt, for packets whose SHA-256 are given in the order of their `seq`. */
export function receiptBody(chain: ReceiptChain, hashes: readonly Uint8Array[]): string {
  const digests = hashes.map((hash) => toHex(hash.subarray(0, PACKET_DIGEST_LEN))).join("");
  // Written by hand, for JSON.stringify has no 64-bit integers.
  return (
    `{"lease_id":${JSON.stringify(chain.leaseId)},"epoch":${chain.epoch},"index":${chain.index},` +
    `"previous":"${chain.previous}","first_seq":${chain.firstSeq},"digests":"${digests}"}`
  );
}

export function afterReceipt(chain: ReceiptChain, bodyHash: Uint8Array, packets: number): ReceiptChain {
  return {
    ...chain,
    index: chain.index + 1,
    previous: toHex(bodyHash),
    firstSeq: chain.firstSeq + packets,
  };
}

/** How many receipts are kept that a link has taken: more than can be under way when it ends. */
export const RECENT_MAX = 8;

/** Receipts on their way, oldest first. */
export interface Outbox<T> {
  /** Taken by the link, which says nothing of whether they arrived. */
  readonly recent: readonly T[];
  readonly unsent: readonly T[];
}

export const EMPTY_OUTBOX: Outbox<never> = { recent: [], unsent: [] };

/** Sends what waits, as far as `send` takes it. */
export function afterSending<T>(outbox: Outbox<T>, send: (item: T) => boolean): Outbox<T> {
  const refused = outbox.unsent.findIndex((item) => !send(item));
  const count = refused === -1 ? outbox.unsent.length : refused;
  return {
    recent: [...outbox.recent, ...outbox.unsent.slice(0, count)].slice(-RECENT_MAX),
    unsent: outbox.unsent.slice(count),
  };
}

/** Another link: what the one before took last is sent once more, and the robot passes over what it has. */
export function afterLink<T>(outbox: Outbox<T>): Outbox<T> {
  return { recent: [], unsent: [...outbox.recent, ...outbox.unsent] };
}
