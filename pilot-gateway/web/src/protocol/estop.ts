/**
 * The e-stop lane: reliable, a channel of its own, both ways. Little-endian, 16 bytes:
 *
 * 0 u8 0x03   1 u8 version 1   2 u8 action   3 u8 0   4 u32 seq   8 u64 epoch
 */
import { type Decoded, header, refused } from "./wire";

export const ESTOP_LEN = 16;
const KIND = 0x03;

const ACTIONS = ["stop", "clear", "stopped", "cleared", "clear-refused"] as const;

/** Driver to robot: stop, clear. Robot to driver: the others, with the `seq` that they answer. */
export type EstopAction = (typeof ACTIONS)[number];

export interface EstopPacket {
  readonly action: EstopAction;
  readonly seq: number;
  readonly epoch: bigint;
}

export function encodeEstop(packet: EstopPacket): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(ESTOP_LEN);
  const view = new DataView(bytes.buffer);
  bytes[0] = KIND;
  bytes[1] = 1;
  bytes[2] = ACTIONS.indexOf(packet.action) + 1;
  view.setUint32(4, packet.seq, true);
  view.setBigUint64(8, packet.epoch, true);
  return bytes;
}

export function decodeEstop(bytes: Uint8Array): Decoded<EstopPacket> {
  const head = header(bytes, ESTOP_LEN, KIND);
  if (!head.ok) return head;
  const view = head.value;
  const action = ACTIONS[view.getUint8(2) - 1];
  if (action === undefined || view.getUint8(3) !== 0) return refused("field");
  return { ok: true, value: { action, seq: view.getUint32(4, true), epoch: view.getBigUint64(8, true) } };
}
