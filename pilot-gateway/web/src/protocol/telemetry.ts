/**
 * The telemetry lane: what the robot is doing, 20 times a second, latest wins. Little-endian, 80 bytes; the
 * layout is drawn in protocol/SPEC.md. The largest value of a field means "unknown" and becomes null here, so
 * that unknown is never shown as zero.
 */
import { REASON_COUNT, type ReasonNumber, SAFETY_STATES, type SafetyState } from "./safety";
import { type Decoded, header, refused } from "./wire";

export const TELEMETRY_LEN = 80;
const KIND = 0x02;

export interface Telemetry {
  readonly state: SafetyState;
  readonly reason: ReasonNumber;
  readonly seq: number;
  /** Epoch of the lease that the robot obeys; 0 for none. */
  readonly epoch: bigint;
  /** The robot's monotonic clock: the stamp that drive commands echo. */
  readonly robotMs: bigint;
  /** A bit for every hazard that holds now. */
  readonly hazards: number;
  readonly echoClientMs: number;
  readonly echoSeq: number;
  readonly echoHoldMs: number;
  /** Age of what the driver saw when the newest command arrived. */
  readonly loopLatencyMs: number | null;
  readonly speedMmps: number;
  readonly yawMradps: number;
  readonly limitMmps: number;
  readonly limitReason: ReasonNumber;
  readonly batteryPct: number | null;
  readonly lat1e7: number | null;
  readonly lon1e7: number | null;
  readonly headingCdeg: number | null;
  readonly hAccCm: number | null;
  readonly fix: number | null;
  readonly satellites: number | null;
  readonly obstacleCm: number | null;
  readonly odometerDm: number;
  readonly leaseLeftMs: number;
  readonly recording: boolean;
  readonly recorderLost: boolean;
  readonly baseSilent: boolean;
  /** A hazard ended a drive, and nobody has resumed it since. */
  readonly minimalRisk: boolean;
  /** The robot has an autonomy that can drive to a goal. */
  readonly autonomy: boolean;
  /** The autonomy drives now. */
  readonly autonomous: boolean;
  readonly flags: number;
  readonly recordedKib: number;
}

function known(value: number, unknown: number): number | null {
  return value === unknown ? null : value;
}

export function decodeTelemetry(bytes: Uint8Array): Decoded<Telemetry> {
  const head = header(bytes, TELEMETRY_LEN, KIND);
  if (!head.ok) return head;
  const view = head.value;
  const u8 = (offset: number) => view.getUint8(offset);
  const u16 = (offset: number) => view.getUint16(offset, true);
  const i16 = (offset: number) => view.getInt16(offset, true);
  const u32 = (offset: number) => view.getUint32(offset, true);
  const i32 = (offset: number) => view.getInt32(offset, true);
  const state = SAFETY_STATES[u8(2)];
  if (state === undefined || u8(3) >= REASON_COUNT || u8(46) >= REASON_COUNT) return refused("field");
  if (u8(73) !== 0 || u16(74) !== 0) return refused("field");
  const flags = u8(72);
  return {
    ok: true,
    value: {
      state,
      reason: u8(3),
      seq: u32(4),
      epoch: view.getBigUint64(8, true),
      robotMs: view.getBigUint64(16, true),
      hazards: u32(24),
      echoClientMs: u32(28),
      echoSeq: u32(32),
      echoHoldMs: u16(36),
      loopLatencyMs: known(u16(38), 0xffff),
      speedMmps: i16(40),
      yawMradps: i16(42),
      limitMmps: u16(44),
      limitReason: u8(46),
      batteryPct: known(u8(47), 0xff),
      lat1e7: known(i32(48), -0x8000_0000),
      lon1e7: known(i32(52), -0x8000_0000),
      headingCdeg: known(u16(56), 0xffff),
      hAccCm: known(u16(58), 0xffff),
      fix: known(u8(60), 0xff),
      satellites: known(u8(61), 0xff),
      obstacleCm: known(u16(62), 0xffff),
      odometerDm: u32(64),
      leaseLeftMs: u32(68),
      recording: (flags & 1) !== 0,
      recorderLost: (flags & 2) !== 0,
      baseSilent: (flags & 4) !== 0,
      minimalRisk: (flags & 8) !== 0,
      autonomy: (flags & 16) !== 0,
      autonomous: (flags & 32) !== 0,
      flags,
      recordedKib: u32(76),
    },
  };
}
