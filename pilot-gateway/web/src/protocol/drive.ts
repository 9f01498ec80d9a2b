/**
 * The drive lane: what the driver wants, 50 times a second, latest wins. Little-endian, 32 bytes:
 *
 *  0 u8 0x01   1 u8 version 1   2 u8 flags   3 u8 camera   4 u32 seq   8 u64 epoch
 * 16 u32 seen 20 u32 robot_stamp 24 i16 linear 26 i16 angular 28 u32 client
 *
 * The spec is protocol/SPEC.md; both sides pass protocol/vectors/drive.json.
 */
import { type Decoded, header, refused } from "./wire";

export const DRIVE_LEN = 32;
const KIND = 0x01;
const DEADMAN = 1;
const AUTONOMY = 8;

/** Which picture the driver acted on. */
export type Seen =
  | { kind: "nothing" }
  | { kind: "rtp"; stamp: number }
  | { kind: "capture_ms"; stamp: number };

export interface DriveCommand {
  readonly deadman: boolean;
  /** The robot's own autonomy may drive in place of a stick at rest. Only for a robot that says that it has one. */
  readonly autonomy: boolean;
  /** Camera that `seen` is about; 0 is the front one. */
  readonly camera: number;
  /** Grows by one with each packet of a lease, from 1. */
  readonly seq: number;
  readonly epoch: bigint;
  readonly seen: Seen;
  /** Newest robot stamp received, low 32 bits of robot milliseconds; 0 before the first. */
  readonly robotStampMs: number;
  /** Wanted speed forward, mm/s. */
  readonly linearMmps: number;
  /** Wanted turn rate to the left, mrad/s. */
  readonly angularMradps: number;
  /** The driver's clock, milliseconds. */
  readonly clientMs: number;
}

const SEEN_KINDS = ["nothing", "rtp", "capture_ms"] as const;

export function encodeDrive(command: DriveCommand): Uint8Array<ArrayBuffer> {
  const packet = new Uint8Array(DRIVE_LEN);
  const view = new DataView(packet.buffer);
  packet[0] = KIND;
  packet[1] = 1;
  packet[2] =
    (command.deadman ? DEADMAN : 0) |
    (SEEN_KINDS.indexOf(command.seen.kind) << 1) |
    (command.autonomy ? AUTONOMY : 0);
  packet[3] = command.camera;
  view.setUint32(4, command.seq, true);
  view.setBigUint64(8, command.epoch, true);
  view.setUint32(16, command.seen.kind === "nothing" ? 0 : command.seen.stamp, true);
  view.setUint32(20, command.robotStampMs, true);
  view.setInt16(24, command.linearMmps, true);
  view.setInt16(26, command.angularMradps, true);
  view.setUint32(28, command.clientMs, true);
  return packet;
}

export function decodeDrive(bytes: Uint8Array): Decoded<DriveCommand> {
  const head = header(bytes, DRIVE_LEN, KIND);
  if (!head.ok) return head;
  const view = head.value;
  const flags = view.getUint8(2);
  const kind = SEEN_KINDS[(flags >> 1) & 3];
  const stamp = view.getUint32(16, true);
  if ((flags & ~15) !== 0 || kind === undefined || (kind === "nothing" && stamp !== 0))
    return refused("field");
  return {
    ok: true,
    value: {
      deadman: (flags & DEADMAN) !== 0,
      autonomy: (flags & AUTONOMY) !== 0,
      camera: view.getUint8(3),
      seq: view.getUint32(4, true),
      epoch: view.getBigUint64(8, true),
      seen: kind === "nothing" ? { kind } : { kind, stamp },
      robotStampMs: view.getUint32(20, true),
      linearMmps: view.getInt16(24, true),
      angularMradps: view.getInt16(26, true),
      clientMs: view.getUint32(28, true),
    },
  };
}
