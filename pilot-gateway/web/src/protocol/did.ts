/** `did:key` of Ed25519 public keys: multicodec 0xed01, multibase base58btc. */

const ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const PREFIX = "did:key:z";

function base58(bytes: Uint8Array): string {
  const digits: number[] = [];
  for (const byte of bytes) {
    let carry = byte;
    for (let i = 0; i < digits.length; i++) {
      carry += (digits[i] ?? 0) << 8;
      digits[i] = carry % 58;
      carry = Math.floor(carry / 58);
    }
    for (; carry > 0; carry = Math.floor(carry / 58)) digits.push(carry % 58);
  }
  let text = "";
  for (const byte of bytes) {
    if (byte !== 0) break;
    text += "1";
  }
  for (const digit of digits.reverse()) text += ALPHABET.charAt(digit);
  return text;
}

function unbase58(text: string): number[] | null {
  const bytes: number[] = [];
  for (const c of text) {
    let carry = ALPHABET.indexOf(c);
    if (carry < 0) return null;
    for (let i = 0; i < bytes.length; i++) {
      carry += (bytes[i] ?? 0) * 58;
      bytes[i] = carry & 0xff;
      carry >>= 8;
    }
    for (; carry > 0; carry >>= 8) bytes.push(carry & 0xff);
  }
  for (const c of text) {
    if (c !== "1") break;
    bytes.push(0);
  }
  return bytes.reverse();
}

/** The name of the principal with this public key (32 bytes). */
export function didOf(publicKey: Uint8Array): string {
  return PREFIX + base58(Uint8Array.of(0xed, 0x01, ...publicKey));
}

/** The public key behind a `did:key`; null when the text names no Ed25519 key. */
export function publicKeyOf(did: string): Uint8Array<ArrayBuffer> | null {
  // 34 bytes are at most 47 digits: longer texts are refused before they are converted.
  if (!did.startsWith(PREFIX) || did.length > PREFIX.length + 48) return null;
  const bytes = unbase58(did.slice(PREFIX.length));
  if (bytes === null || bytes.length !== 34 || bytes[0] !== 0xed || bytes[1] !== 0x01) return null;
  return Uint8Array.from(bytes.slice(2));
}
