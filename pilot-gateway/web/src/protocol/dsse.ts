/** DSSE envelopes: the signed form of leases and receipts. Signing itself happens in io/keys.ts. */
import { fromBase64, fromUtf8, toBase64, utf8 } from "./bytes";

export const PAYLOAD_LEASE = "application/vnd.longrein.lease+json";
export const PAYLOAD_RECEIPT = "application/vnd.longrein.receipt+json";

export interface Envelope {
  /** The document's bytes, base64 with padding. */
  readonly payload: string;
  readonly payloadType: string;
  readonly signatures: readonly { readonly keyid: string; readonly sig: string }[];
}

/** The bytes that a signature covers. */
export function preAuthenticationEncoding(payloadType: string, body: Uint8Array): Uint8Array<ArrayBuffer> {
  const head = utf8(`DSSEv1 ${utf8(payloadType).length} ${payloadType} ${body.length} `);
  const bytes = new Uint8Array(head.length + body.length);
  bytes.set(head);
  bytes.set(body, head.length);
  return bytes;
}

export function envelopeOf(payloadType: string, body: Uint8Array, keyid: string, sig: Uint8Array): Envelope {
  return { payload: toBase64(body), payloadType, signatures: [{ keyid, sig: toBase64(sig) }] };
}

/** The document's bytes, **not verified**. */
export function bodyUnverified(envelope: Envelope): Uint8Array<ArrayBuffer> | null {
  return fromBase64(envelope.payload);
}

/** The document, **not verified**: for finding out whose signature to expect. */
export function documentUnverified(envelope: Envelope): unknown {
  const body = bodyUnverified(envelope);
  if (body === null) return null;
  try {
    return JSON.parse(fromUtf8(body));
  } catch {
    return null;
  }
}

/** Reads an envelope from JSON; null when it is none. */
export function parseEnvelope(value: unknown): Envelope | null {
  if (typeof value !== "object" || value === null) return null;
  const { payload, payloadType, signatures } = value as Record<string, unknown>;
  if (typeof payload !== "string" || typeof payloadType !== "string" || !Array.isArray(signatures))
    return null;
  const all = signatures.flatMap((s: unknown) => {
    const { keyid, sig } = (s ?? {}) as Record<string, unknown>;
    return typeof keyid === "string" && typeof sig === "string" ? [{ keyid, sig }] : [];
  });
  return all.length === signatures.length && all.length > 0
    ? { payload, payloadType, signatures: all }
    : null;
}
