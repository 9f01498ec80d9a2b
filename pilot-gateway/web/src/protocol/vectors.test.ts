import { createHash, createPrivateKey, sign } from "node:crypto";
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fromHex, toHex, utf8 } from "./bytes";
import { didOf, publicKeyOf } from "./did";
import { type DriveCommand, decodeDrive, encodeDrive } from "./drive";
import {
  bodyUnverified,
  documentUnverified,
  envelopeOf,
  parseEnvelope,
  preAuthenticationEncoding,
} from "./dsse";
import { decodeEstop, encodeEstop } from "./estop";
import { REASON_COUNT, reasonOf, SAFETY_STATES } from "./safety";
import { parseFromRobot, type ToRobot } from "./session";
import { contains, isOpen, PAYLOAD_OWNER_SETTINGS, parseSettings, settingsBody } from "./settings";
import { answerBytes, authBytes, invitationBytes, openBytes } from "./signed";
import { decodeTelemetry } from "./telemetry";

interface Case {
  name: string;
  hex: string;
  ok?: Record<string, number | string | boolean>;
  error?: string;
}

function vectors(name: string): unknown {
  const path = new URL(`../../../../protocol/vectors/${name}.json`, import.meta.url);
  return JSON.parse(readFileSync(path, "utf8"));
}

function cases(name: string): Case[] {
  return (vectors(name) as { cases: Case[] }).cases;
}

function bytes(hex: string): Uint8Array<ArrayBuffer> {
  const decoded = fromHex(hex);
  if (decoded === null) throw new Error(`not hexadecimal: ${hex}`);
  return decoded;
}

/** The vectors name fields as Rust does and keep 64-bit numbers as text. */
function snake(value: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(value).map(([key, v]) => [
      key.replace(/(1e7)|([A-Z])/g, (_, e7, c) => (e7 ? "_1e7" : `_${c.toLowerCase()}`)),
      typeof v === "bigint" ? v.toString() : v,
    ]),
  );
}

describe("golden vectors of protocol/", () => {
  it.each(cases("drive"))("drive: $name", ({ hex, ok, error }) => {
    const decoded = decodeDrive(bytes(hex));
    if (!decoded.ok) return expect(decoded.error).toBe(error);
    const { seen, ...rest } = decoded.value;
    const flat = { ...snake(rest), seen: seen.kind === "nothing" ? 0 : seen.stamp, seen_kind: seen.kind };
    expect(flat).toEqual(ok);
    expect(toHex(encodeDrive(decoded.value))).toBe(hex);
  });

  it.each(cases("estop"))("estop: $name", ({ hex, ok, error }) => {
    const decoded = decodeEstop(bytes(hex));
    if (!decoded.ok) return expect(decoded.error).toBe(error);
    expect(decoded.value.epoch.toString()).toBe(ok?.["epoch"]);
    expect(decoded.value.seq).toBe(ok?.["seq"]);
    expect(["stop", "clear", "stopped", "cleared", "clear-refused"][Number(ok?.["action"]) - 1]).toBe(
      decoded.value.action,
    );
    expect(toHex(encodeEstop(decoded.value))).toBe(hex);
  });

  it.each(cases("telemetry"))("telemetry: $name", ({ hex, ok, error }) => {
    const decoded = decodeTelemetry(bytes(hex));
    if (!decoded.ok) return expect(decoded.error).toBe(error);
    const { recording, recorderLost, baseSilent, minimalRisk, autonomy, autonomous, ...rest } = decoded.value;
    const got = snake(rest);
    const unknown: Record<string, number> = {
      loop_latency_ms: 65535,
      battery_pct: 255,
      lat_1e7: -2147483648,
      lon_1e7: -2147483648,
      heading_cdeg: 65535,
      h_acc_cm: 65535,
      fix: 255,
      satellites: 255,
      obstacle_cm: 65535,
    };
    for (const [key, value] of Object.entries(unknown)) got[key] ??= value;
    got["state"] = SAFETY_STATES.indexOf(decoded.value.state);
    expect(got).toEqual(ok);
    const flags = Number(ok?.["flags"]);
    const told = [recording, recorderLost, baseSilent, minimalRisk, autonomy, autonomous];
    expect(told).toEqual([1, 2, 4, 8, 16, 32].map((bit) => (flags & bit) !== 0));
  });

  it("goals", () => {
    const { to_robot, from_robot } = vectors("goals") as { to_robot: ToRobot[]; from_robot: unknown[] };
    const position = { lat_deg: 52.5, lon_deg: -13.25 };
    const sent: ToRobot[] = [{ type: "goal", id: 7, position }, { type: "cancel_goal" }];
    expect(sent).toEqual(to_robot);
    expect(from_robot.map((message) => parseFromRobot(JSON.stringify(message)))).toEqual(from_robot);
    expect(parseFromRobot('{"type":"goal","id":7,"state":"lost","detail":""}')).toBeNull();
  });

  it("equipment", () => {
    const { to_robot, from_robot } = vectors("equipment") as { to_robot: ToRobot[]; from_robot: object[] };
    const sent: ToRobot[] = [
      { type: "lamp", level: 3 },
      { type: "horn" },
      { type: "say", text: "May I pass?" },
      { type: "listen", active: true },
      { type: "talk", active: true },
      { type: "talk", active: false },
    ];
    expect(sent).toEqual(to_robot);
    const equipment = { lamp: true, horn: false, voice: true, lampLevel: 2 };
    const read = from_robot.map((message) => parseFromRobot(JSON.stringify(message)));
    expect(read).toEqual([
      { type: "equipment", equipment: { ...equipment, microphone: true, loudspeaker: true } },
      { type: "equipment", equipment: { ...equipment, microphone: false, loudspeaker: false } },
    ]);
    const older = { ...from_robot[1], microphone: undefined, loudspeaker: undefined };
    expect(parseFromRobot(JSON.stringify(older))).toEqual(read[1]);
  });

  it("reasons", () => {
    const reasons = vectors("reasons") as {
      number: number;
      code: string;
      words: string;
      what_next: string;
    }[];
    expect(REASON_COUNT).toBe(reasons.length);
    for (const { number, code, words, what_next } of reasons) {
      expect(reasonOf(number)).toEqual({ code, words, whatNext: what_next });
    }
  });

  it("signatures", () => {
    const v = vectors("signatures") as Record<string, never>;
    const get = (path: string): string =>
      path.split(".").reduce<unknown>((at, key) => (at as Record<string, unknown>)[key], v) as string;
    const sha256 = (data: Uint8Array) => new Uint8Array(createHash("sha256").update(data).digest());
    const der = Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), bytes(get("seed"))]);
    const key = createPrivateKey({ key: der, format: "der", type: "pkcs8" });

    expect(didOf(bytes(get("public_key")))).toBe(get("did"));
    expect(toHex(publicKeyOf(get("did")) ?? new Uint8Array())).toBe(get("public_key"));
    expect(toHex(authBytes(get("auth.nonce")))).toBe(get("auth.bytes"));
    expect(toHex(invitationBytes(get("invitation.code")))).toBe(get("invitation.bytes"));

    const open = openBytes(bytes(get("open.lease_digest")), sha256(utf8(get("open.offer_sdp"))));
    expect(toHex(open)).toBe(get("open.bytes"));
    expect(sign(null, open, key).toString("hex")).toBe(get("open.signature"));
    const answer = answerBytes(get("answer.lease_id"), sha256(utf8(get("answer.answer_sdp"))));
    expect(toHex(answer)).toBe(get("answer.bytes"));
    expect(sign(null, answer, key).toString("hex")).toBe(get("answer.signature"));

    const body = utf8(get("dsse.body"));
    const encoding = preAuthenticationEncoding(get("dsse.payload_type"), body);
    expect(toHex(encoding)).toBe(get("dsse.pre_authentication_encoding"));
    const envelope = envelopeOf(get("dsse.payload_type"), body, get("did"), sign(null, encoding, key));
    expect(envelope).toEqual(get("dsse.envelope"));
    expect(toHex(sha256(bytes(get("packet_digest.packet"))).slice(0, 8))).toBe(get("packet_digest.digest"));
  });
});

describe("any input", () => {
  it("what is encoded is decoded again", () => {
    const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
    const i16 = fc.integer({ min: -0x8000, max: 0x7fff });
    const command = fc.record<DriveCommand>({
      deadman: fc.boolean(),
      autonomy: fc.boolean(),
      camera: fc.integer({ min: 0, max: 255 }),
      seq: u32,
      epoch: fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn }),
      seen: fc.oneof(
        fc.constant({ kind: "nothing" as const }),
        fc.record({ kind: fc.constantFrom("rtp" as const, "capture_ms" as const), stamp: u32 }),
      ),
      robotStampMs: u32,
      linearMmps: i16,
      angularMradps: i16,
      clientMs: u32,
    });
    fc.assert(
      fc.property(command, (value) => {
        expect(decodeDrive(encodeDrive(value))).toEqual({ ok: true, value });
      }),
    );
  });

  it("no bytes make a decoder throw", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), fc.constantFrom(0, 1, 2, 3), (noise, kind) => {
        noise.set([kind, 1].slice(0, noise.length));
        for (const decode of [decodeDrive, decodeTelemetry, decodeEstop]) decode(noise);
      }),
    );
  });

  it("public keys keep their name", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (key) => {
        expect(publicKeyOf(didOf(key))).toEqual(Uint8Array.from(key));
      }),
    );
    for (const bad of ["", "did:key:z", "did:key:z6Mk", "did:web:x", `did:key:z${"6".repeat(1000)}`]) {
      expect(publicKeyOf(bad)).toBeNull();
    }
  });

  it("what is no envelope is refused", () => {
    for (const bad of [null, 1, {}, { payload: "", payloadType: "", signatures: [] }, { payload: 1 }]) {
      expect(parseEnvelope(bad)).toBeNull();
    }
    const odd = { payload: "%%%", payloadType: "x", signatures: [{ keyid: "", sig: "" }] };
    expect(parseEnvelope(odd)).toEqual(odd);
    expect(bodyUnverified(odd)).toBeNull();
    expect(documentUnverified({ ...odd, payload: "e30x" })).toBeNull();
  });
});

describe("owner's settings", () => {
  const { owner, owner_seed, robot, cases, places, times } = vectors("owner-settings") as {
    owner: string;
    owner_seed: string;
    robot: string;
    cases: {
      name: string;
      envelope: unknown;
      known_version: number;
      verdict: string;
      sha256: string | null;
    }[];
    places: { corner: [number, number]; inside: boolean }[];
    times: { at: number; open: boolean }[];
  };
  const seed = Buffer.concat([
    Buffer.from("302e020100300506032b657004220420", "hex"),
    Buffer.from(owner_seed, "hex"),
  ]);
  const key = createPrivateKey({ key: seed, format: "der", type: "pkcs8" });

  it.each(cases)("$name: $verdict", ({ envelope, known_version, verdict, sha256 }) => {
    const parsed = parseEnvelope(envelope);
    const body = parsed === null ? null : bodyUnverified(parsed);
    if (parsed === null || body === null) throw new Error("no envelope");
    const signed = sign(null, preAuthenticationEncoding(PAYLOAD_OWNER_SETTINGS, body), key);
    const settings = parseSettings(documentUnverified(parsed));
    const verdicts = () => {
      // Ed25519 signs a text in one way only, so signing again verifies.
      if (parsed.signatures[0]?.sig !== signed.toString("base64")) return "not-the-owners";
      if (settings === null)
        return Object.keys(documentUnverified(parsed) as object).length < 11 ? "not-the-owners" : "value";
      if (settings.robot !== robot) return "other-robot";
      return settings.version > known_version ? "taken" : "rollback";
    };
    expect(verdicts()).toBe(verdict);
    if (verdict !== "taken" || settings === null) return;
    // What this page would sign is byte for byte what Rust signs.
    expect(toHex(settingsBody(settings))).toBe(toHex(body));
    expect(createHash("sha256").update(settingsBody(settings)).digest("hex")).toBe(sha256);
    expect(envelopeOf(PAYLOAD_OWNER_SETTINGS, settingsBody(settings), owner, signed)).toEqual(envelope);
  });

  it("agrees on places and times", () => {
    const settings = parseSettings(documentUnverified(cases[0]?.envelope as never));
    if (settings === null) throw new Error("no settings");
    expect(places.map(({ corner }) => contains(settings, corner))).toEqual(
      places.map(({ inside }) => inside),
    );
    expect(times.map(({ at }) => isOpen(settings, at))).toEqual(times.map(({ open }) => open));
    expect(places.some(({ inside }) => inside) && times.some(({ open }) => open)).toBe(true);
  });
});
