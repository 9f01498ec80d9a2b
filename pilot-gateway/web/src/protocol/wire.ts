/** Why a binary packet was refused. A refused packet has no effect at all. */
export type WireError = "length" | "kind" | "version" | "field";

/** A packet's content, or why it was refused. */
export type Decoded<T> = { ok: true; value: T } | { ok: false; error: WireError };

export function refused(error: WireError): { ok: false; error: WireError } {
  return { ok: false, error };
}

/** Checks length, kind and version, in this order, and gives a view of the packet. */
export function header(bytes: Uint8Array, length: number, kind: number): Decoded<DataView> {
  if (bytes.length !== length) return refused("length");
  if (bytes[0] !== kind) return refused("kind");
  if (bytes[1] !== 1) return refused("version");
  return { ok: true, value: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength) };
}
