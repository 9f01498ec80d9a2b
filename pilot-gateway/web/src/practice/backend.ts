/** A fleet of one practice robot inside this page, with the face of a real one: the same cockpit drives it. */
import type { GeoPoint } from "../core/geo";
import { offsetM } from "../core/geo";
import type { Mission } from "../core/model";
import { BOX_RADIUS_M, GATES, type Practice, START } from "../core/practice";
import type { Backend, Link } from "../io/backend";
import { nowMs } from "../io/clock";
import { toHex, utf8 } from "../protocol/bytes";
import { didOf } from "../protocol/did";
import { envelopeOf, PAYLOAD_LEASE, preAuthenticationEncoding } from "../protocol/dsse";
import { answerBytes } from "../protocol/signed";
import { createPracticeRobot, type PracticeRobot } from "./robot";

const HOME: GeoPoint = { latDeg: 52.520008, lonDeg: 13.404954 };
const SDP = "v=0\r\n";
const ROBOT = "practice";
const LEASE = "lse_practice";
const EPOCH = 1;

export interface PracticeBackend {
  readonly backend: Backend;
  readonly mission: (state: Practice, name: string) => Mission;
}

interface Signer {
  readonly did: string;
  readonly sign: (message: Uint8Array<ArrayBuffer>) => Promise<Uint8Array<ArrayBuffer>>;
}

/** A key that is forgotten with the page: what it signs counts nowhere else. */
async function createSigner(): Promise<Signer> {
  const pair = (await crypto.subtle.generateKey("Ed25519", false, ["sign", "verify"])) as CryptoKeyPair;
  return {
    did: didOf(new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey))),
    sign: async (message) => new Uint8Array(await crypto.subtle.sign("Ed25519", pair.privateKey, message)),
  };
}

/** The course as a mission: gates are its checkpoints. */
function missionOf({ gate }: Practice, name: string): Mission {
  return {
    id: ROBOT,
    name,
    robot: ROBOT,
    checkpoints: GATES.map(({ eastM, northM, widthM }, i) => ({
      position: offsetM(HOME, eastM, northM),
      radiusM: i === GATES.length - 1 ? BOX_RADIUS_M : widthM / 2,
      dwellMs: 0,
    })),
    area: [],
    state: "active",
    reward: 0,
    deadlineAtMs: null,
    reached: gate,
    next: gate < GATES.length ? gate : null,
    driver: null,
    episode: null,
    settlement: null,
    reason: null,
  };
}

export async function createPracticeBackend(
  holderDid: string,
  delayMs: number,
  changed: (state: Practice) => void,
): Promise<PracticeBackend> {
  const [fleet, robotKey] = await Promise.all([createSigner(), createSigner()]);
  let robot: PracticeRobot | null = null;
  let last: Practice = START;

  const lease = async (): Promise<object> => {
    const body = utf8(
      JSON.stringify({
        v: 1,
        lease_id: LEASE,
        robot: ROBOT,
        robot_did: robotKey.did,
        holder: holderDid,
        relay: null,
        driver_kind: "pilot",
        epoch: EPOCH,
        renewal: 0,
        issued_at: Date.now(),
        ttl_ms: 30_000,
        limits: { speed_mps_max: 1.5 },
        mission: null,
      }),
    );
    const signature = await fleet.sign(preAuthenticationEncoding(PAYLOAD_LEASE, body));
    return { lease: envelopeOf(PAYLOAD_LEASE, body, fleet.did, signature) };
  };
  const session = async (): Promise<object> => {
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", utf8(SDP)));
    const signature = await robotKey.sign(answerBytes(LEASE, digest));
    return { episode: "eps_practice", answer_sdp: SDP, robot_signature: toHex(signature) };
  };
  const answer = async (method: string, path: string): Promise<object | null> => {
    if (path === "/v1/config") return { ice_servers: [], fleet_did: fleet.did, name: ROBOT };
    if (path.endsWith("/session")) return session();
    if (path.endsWith("/estop")) {
      robot?.estopNow();
      return {};
    }
    if (path.startsWith("/v1/leases")) return method === "DELETE" ? {} : lease();
    return null;
  };

  return {
    mission: missionOf,
    backend: {
      fetch: async (path, init) => {
        const body = await answer(init.method ?? "GET", path);
        return new Response(JSON.stringify(body ?? {}), { status: body === null ? 404 : 200 });
      },
      events: () => () => undefined,
      openViewer: () => Promise.reject(new Error("nobody watches a practice drive")),
      openLink: async (_, events): Promise<Link> => {
        const mine = createPracticeRobot(HOME, events, BigInt(EPOCH), delayMs, (state) => {
          last = state;
          changed(last);
        });
        robot = mine;
        return {
          offerSdp: SDP,
          accept: async () => {
            for (const [camera, stream] of mine.streams().entries()) events.video(camera, stream);
            setTimeout(events.open, delayMs);
          },
          sendDrive: (packet) => {
            mine.drive(packet);
            return true;
          },
          sendSession: (text) => {
            if (text.includes('"release"')) events.session('{"type":"ended","why":"released"}');
            return true;
          },
          // It has no ears.
          sendVoice: () => undefined,
          sendEstop: (packet) => {
            mine.estop(packet);
            return true;
          },
          // Nothing comes over a wire, and nothing is lost.
          counters: async () => ({ atMs: nowMs(), bytes: 0, packets: 0, packetsLost: 0, codec: null }),
          close: mine.close,
        };
      },
    },
  };
}
