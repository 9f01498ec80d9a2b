/** The texts that keys sign, byte for byte as protocol/SPEC.md gives them. */
import { toHex, utf8 } from "./bytes";

export function authBytes(nonce: string): Uint8Array<ArrayBuffer> {
  return utf8(`longrein-auth-v1\n${nonce}`);
}

export function invitationBytes(code: string): Uint8Array<ArrayBuffer> {
  return utf8(`longrein-invitation-v1\n${code}`);
}

/** What the driver signs: the digest of the lease's signed bytes and of its offer. */
export function openBytes(leaseDigest: Uint8Array, offerDigest: Uint8Array): Uint8Array<ArrayBuffer> {
  return utf8(`longrein-open-v1\n${toHex(leaseDigest)}\n${toHex(offerDigest)}`);
}

/** What the robot signs: the lease's id and the digest of its answer. */
export function answerBytes(leaseId: string, answerDigest: Uint8Array): Uint8Array<ArrayBuffer> {
  return utf8(`longrein-answer-v1\n${leaseId}\n${toHex(answerDigest)}`);
}
