/** Signs every two seconds what was sent, as core/receipts.ts builds it. */
import { afterReceipt, firstReceipt, receiptBody, receiptSize } from "../core/receipts";
import { utf8 } from "../protocol/bytes";
import { type Envelope, PAYLOAD_RECEIPT } from "../protocol/dsse";
import { type Bytes, type Identity, sha256, signEnvelope } from "./keys";

export interface ReceiptWriter {
  /** Notes a packet that was sent, in the order of `seq`. */
  readonly sent: (packet: Bytes) => void;
  /** Signs what waits and hands it to `send`. */
  readonly flush: () => Promise<void>;
}

export function receiptWriter(
  identity: Identity,
  leaseId: string,
  epoch: bigint,
  send: (receipt: Envelope) => boolean,
): ReceiptWriter {
  let chain = firstReceipt(leaseId, epoch);
  let waiting: Promise<Bytes>[] = [];
  let unsent: Envelope[] = [];
  let last: Promise<void> = Promise.resolve();

  async function write(): Promise<void> {
    const count = receiptSize(waiting.length);
    if (count > 0) {
      const hashes = await Promise.all(waiting.slice(0, count));
      waiting = waiting.slice(count);
      const body = utf8(receiptBody(chain, hashes));
      unsent.push(await signEnvelope(identity, PAYLOAD_RECEIPT, body));
      chain = afterReceipt(chain, await sha256(body), count);
    }
    // A receipt that found the channel closed waits for the next link: the chain has no holes.
    while (unsent[0] !== undefined && send(unsent[0])) unsent = unsent.slice(1);
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
  };
}
