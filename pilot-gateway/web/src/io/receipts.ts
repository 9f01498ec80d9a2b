/** Signs every two seconds what was sent, as core/receipts.ts builds it. */
import {
  afterLink,
  afterReceipt,
  afterSending,
  EMPTY_OUTBOX,
  firstReceipt,
  type Outbox,
  receiptBody,
  receiptSize,
} from "../core/receipts";
import { utf8 } from "../protocol/bytes";
import { type Envelope, PAYLOAD_RECEIPT } from "../protocol/dsse";
import { type Bytes, type Identity, sha256, signEnvelope } from "./keys";

export interface ReceiptWriter {
  /** Notes a packet that was sent, in the order of `seq`. */
  readonly sent: (packet: Bytes) => void;
  /** Signs what waits and hands it to `send`. */
  readonly flush: () => Promise<void>;
  /** Another link carries the drive: what the one before took last may not have arrived. */
  readonly again: () => void;
}

export function receiptWriter(
  identity: Identity,
  leaseId: string,
  epoch: bigint,
  send: (receipt: Envelope) => boolean,
): ReceiptWriter {
  let chain = firstReceipt(leaseId, epoch);
  let waiting: Promise<Bytes>[] = [];
  let outbox: Outbox<Envelope> = EMPTY_OUTBOX;
  let last: Promise<void> = Promise.resolve();

  async function write(): Promise<void> {
    const count = receiptSize(waiting.length);
    if (count > 0) {
      const hashes = await Promise.all(waiting.slice(0, count));
      waiting = waiting.slice(count);
      const body = utf8(receiptBody(chain, hashes));
      const receipt = await signEnvelope(identity, PAYLOAD_RECEIPT, body);
      outbox = { ...outbox, unsent: [...outbox.unsent, receipt] };
      chain = afterReceipt(chain, await sha256(body), count);
    }
    // A receipt that found the channel closed waits for the next link: the chain has no holes.
    outbox = afterSending(outbox, send);
  }

  return {
    sent: (packet) => {
      waiting.push(sha256(packet));
    },
    // One after the other: each receipt names the one before.
    flush: () => {
      last = last.then(write);
      return last;
    },
    again: () => {
      outbox = afterLink(outbox);
    },
  };
}
