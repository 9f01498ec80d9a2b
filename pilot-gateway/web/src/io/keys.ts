/**
 * The driver's Ed25519 key. It is made in this browser, lies in its IndexedDB and leaves it only as the key file
 * that the driver asks for.
 */
import { fromBase64, toBase64 } from "../protocol/bytes";
import { didOf, publicKeyOf } from "../protocol/did";
import { bodyUnverified, type Envelope, envelopeOf, preAuthenticationEncoding } from "../protocol/dsse";

export type Bytes = Uint8Array<ArrayBuffer>;

export interface Identity {
  readonly did: string;
  readonly sign: (message: Bytes) => Promise<Bytes>;
  /** The key file: PKCS#8 PEM. */
  readonly exportPem: () => Promise<string>;
}

const ALGORITHM = "Ed25519";
const DATABASE = "longrein";
const STORE = "keys";
const SLOT = "me";
/** PKCS#8 of an Ed25519 key without its public half: this, then the 32 bytes of the seed. */
const PKCS8_PREFIX = Uint8Array.from([48, 46, 2, 1, 0, 48, 5, 6, 3, 43, 101, 112, 4, 34, 4, 32]);

interface StoredKey {
  readonly privateKey: CryptoKey;
  readonly publicKey: Bytes;
}

export async function sha256(data: Bytes): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", data));
}

export async function verify(did: string, message: Bytes, signature: Bytes): Promise<boolean> {
  const raw = publicKeyOf(did);
  if (raw === null) return false;
  const key = await crypto.subtle.importKey("raw", raw, ALGORITHM, true, ["verify"]);
  return crypto.subtle.verify(ALGORITHM, key, signature, message);
}

/** Whether `signer` signed the envelope as `payloadType`. */
export async function verifyEnvelope(
  envelope: Envelope,
  payloadType: string,
  signer: string,
): Promise<boolean> {
  const body = bodyUnverified(envelope);
  if (body === null || envelope.payloadType !== payloadType) return false;
  const message = preAuthenticationEncoding(payloadType, body);
  for (const { sig } of envelope.signatures.slice(0, 4)) {
    const signature = fromBase64(sig);
    if (signature !== null && (await verify(signer, message, signature))) return true;
  }
  return false;
}

export async function signEnvelope(identity: Identity, payloadType: string, body: Bytes): Promise<Envelope> {
  const signature = await identity.sign(preAuthenticationEncoding(payloadType, body));
  return envelopeOf(payloadType, body, identity.did, signature);
}

function identityOf(stored: StoredKey): Identity {
  return {
    did: didOf(stored.publicKey),
    sign: async (message) => new Uint8Array(await crypto.subtle.sign(ALGORITHM, stored.privateKey, message)),
    exportPem: async () => {
      const der = new Uint8Array(await crypto.subtle.exportKey("pkcs8", stored.privateKey));
      const lines = toBase64(der).match(/.{1,64}/g) ?? [];
      return `-----BEGIN PRIVATE KEY-----\n${lines.join("\n")}\n-----END PRIVATE KEY-----\n`;
    },
  };
}

function request<T>(of: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    of.onsuccess = () => resolve(of.result);
    of.onerror = () => reject(of.error ?? new Error("the browser's database failed"));
  });
}

async function store(mode: IDBTransactionMode): Promise<IDBObjectStore> {
  const opening = indexedDB.open(DATABASE, 1);
  opening.onupgradeneeded = () => {
    opening.result.createObjectStore(STORE);
  };
  const database = await request(opening);
  return database.transaction(STORE, mode).objectStore(STORE);
}

/** The key of this browser; null when it has none. */
export async function loadIdentity(): Promise<Identity | null> {
  const stored: StoredKey | undefined = await request((await store("readonly")).get(SLOT));
  return stored === undefined ? null : identityOf(stored);
}

async function keep(stored: StoredKey): Promise<Identity> {
  await request((await store("readwrite")).put(stored, SLOT));
  return identityOf(stored);
}

export async function forgetIdentity(): Promise<void> {
  await request((await store("readwrite")).delete(SLOT));
}

/** Makes a key and keeps it. */
export async function createIdentity(): Promise<Identity> {
  const pair = (await crypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"])) as CryptoKeyPair;
  const publicKey = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
  return keep({ privateKey: pair.privateKey, publicKey });
}

/** The seed inside a PKCS#8 document, with or without the public half behind it. */
function seedOf(der: Uint8Array): Uint8Array | null {
  // OCTET STRING (34 bytes) that holds an OCTET STRING of 32 bytes.
  for (let i = 0; i + 36 <= der.length && i < 32; i++) {
    if (der[i] === 4 && der[i + 1] === 34 && der[i + 2] === 4 && der[i + 3] === 32) {
      return der.subarray(i + 4, i + 36);
    }
  }
  return null;
}

/** Reads a key file and keeps the key; null when it is not an Ed25519 key in PKCS#8 PEM form. */
export async function importPem(pem: string): Promise<Identity | null> {
  const base64 = /-----BEGIN PRIVATE KEY-----([\sA-Za-z0-9+/=]+)-----END PRIVATE KEY-----/.exec(pem)?.[1];
  const der = base64 === undefined ? null : fromBase64(base64.replace(/\s/g, ""));
  const seed = der === null ? null : seedOf(der);
  if (seed === null) return null;
  const pkcs8 = new Uint8Array(48);
  pkcs8.set(PKCS8_PREFIX);
  pkcs8.set(seed, PKCS8_PREFIX.length);
  const privateKey = await crypto.subtle.importKey("pkcs8", pkcs8, ALGORITHM, true, ["sign"]);
  const { x } = await crypto.subtle.exportKey("jwk", privateKey);
  const publicKey = fromBase64((x ?? "").replaceAll("-", "+").replaceAll("_", "/"));
  return publicKey === null || publicKey.length !== 32 ? null : keep({ privateKey, publicKey });
}
