/** A fake gateway and fleet inside the page, for `npm run dev`: everything can be clicked, nothing is real. Faults
 * are missions of their own, so that a developer sees them as a pilot would. */
import { distanceM, type GeoPoint, offsetM } from "../src/core/geo";
import type { Backend, Link, LinkEvents, Viewer, ViewerEvents } from "../src/io/backend";
import { fromHex, toHex, utf8 } from "../src/protocol/bytes";
import { didOf } from "../src/protocol/did";
import { envelopeOf, PAYLOAD_LEASE, preAuthenticationEncoding } from "../src/protocol/dsse";
import { answerBytes } from "../src/protocol/signed";
import { createMockRobot, type Fault, type MockRobot } from "./robot";

const HOME: GeoPoint = { latDeg: 52.520008, lonDeg: 13.404954 };
const ANSWER_SDP = "v=0\r\n";

interface Signer {
  readonly did: string;
  readonly sign: (message: Uint8Array<ArrayBuffer>) => Promise<Uint8Array<ArrayBuffer>>;
}

async function createSigner(): Promise<Signer> {
  const pair = (await crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"])) as CryptoKeyPair;
  const raw = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
  return {
    did: didOf(raw),
    sign: async (message) => new Uint8Array(await crypto.subtle.sign("Ed25519", pair.privateKey, message)),
  };
}

function route(...points: readonly (readonly [number, number])[]): object[] {
  return points.map(([east, north]) => {
    const { latDeg, lonDeg } = offsetM(HOME, east, north);
    return { position: { lat_deg: latDeg, lon_deg: lonDeg }, radius_m: 2, dwell_ms: 500 };
  });
}

function missionOf(
  n: number,
  name: string,
  robot: string,
  points: object[],
  more: object = {},
): Record<string, unknown> {
  const id = `msn_0190b5c6f1e27d3a8b4c5d6e7f80${(9000 + n).toString()}`;
  const reached: object[] = [];
  return {
    id,
    name,
    robot,
    checkpoints: points,
    state: "open",
    reward: 1200,
    reached,
    next_checkpoint: 0,
    ...more,
  };
}

/** Drives of the last weeks, paid. */
const PAID = [1, 2, 2, 4, 5, 8, 9, 12, 13, 13, 16, 20, 22, 26].map((days, n) =>
  missionOf(20 + n, "Morning post", "demo-rover-1", route([0, 9], [6, 24], [18, 30]), {
    state: "settled",
    reached: [{}, {}, {}],
    next_checkpoint: null,
    settlement: {
      pilot: 840,
      operator: 120,
      at: Date.now() - days * 86_400_000,
      owners: [{ owner: "own_1", name: "Ada's Rovers", amount: 180 + ((n * 37) % 120) }],
    },
  }),
);

const MISSIONS: Record<string, unknown>[] = [
  missionOf(
    1,
    "Pharmacy run, Elm Street",
    "demo-rover-1",
    route([0, 9], [-0.5, 24], [0.6, 42], [-0.2, 58], [-0.8, 76]),
    {
      deadline_at: Date.now() + 14 * 60_000,
    },
  ),
  missionOf(
    2,
    "Letters around the block",
    "demo-rover-1",
    route([0, 8], [0, 40], [24, 44], [24, 4], [2, 0]),
    { reward: 2400 },
  ),
  missionOf(3, "Fault: slow link", "demo-rover-1", route([0, 12], [0, 30]), { reward: 300 }),
  missionOf(4, "Fault: the picture freezes", "demo-rover-1", route([0, 12], [0, 30]), { reward: 300 }),
  missionOf(5, "Fault: something ahead", "demo-rover-1", route([0, 12], [0, 30]), { reward: 300 }),
  missionOf(6, "Fault: the robot falls silent", "demo-rover-1", route([0, 12], [0, 30]), { reward: 300 }),
  missionOf(7, "Groceries, Station Road", "rover-7", route([0, 10], [12, 16], [30, 16]), { reward: 1800 }),
  missionOf(8, "Morning post", "demo-rover-1", route([0, 9], [6, 24], [18, 30]), {
    state: "settled",
    reached: [{}, {}, {}],
    next_checkpoint: null,
  }),
];
const FAULTS: Readonly<Record<number, Fault>> = {
  2: "slow-link",
  3: "frozen-picture",
  4: "obstacle",
  5: "link-loss",
};

const ROBOTS = [
  {
    id: "demo-rover-1",
    name: "Demo rover",
    online: true,
    state: {
      safety: "driving",
      reason: "none",
      battery: 0.78,
      speed_mps: 0.9,
      limit_mps: 1.2,
      position: { point: { lat_deg: HOME.latDeg, lon_deg: HOME.lonDeg }, h_acc_m: 1.4 },
      episodes_waiting: 1,
      troubles: [{ part: "camera rear", words: "no frames arrive: check its source" }],
      version: "0.1.0",
    },
    age_ms: 120,
    lease: { holder: "did:key:z6Mk", holder_name: "Robin", state: "live" },
    owners: [
      { owner: "own_1", name: "Ada's Rovers", share_ppm: 750_000 },
      { owner: "own_2", name: "Block Co-op", share_ppm: 250_000 },
    ],
  },
  {
    id: "rover-7",
    name: "Rover 7",
    online: false,
    state: null,
    age_ms: null,
    lease: null,
    owners: [{ owner: "own_1", name: "Ada's Rovers", share_ppm: 1_000_000 }],
  },
];

/** Around the block, as somebody walks. */
const TRACK = Array.from({ length: 60 }, (_, i) => {
  const way = i * 3;
  const [east, north] = way < 90 ? [Math.sin(i) * 0.8, way - 90] : [90 - way, Math.cos(i) * 0.8];
  const { latDeg, lonDeg } = offsetM(HOME, east, north);
  return { lat_deg: latDeg, lon_deg: lonDeg };
}).reverse();

interface FakeDrive {
  readonly mission: Record<string, unknown>;
  readonly leaseId: string;
  readonly episode: string;
  readonly robot: MockRobot | null;
  readonly startedAt: number;
}

interface Reply {
  readonly status: number;
  readonly body: unknown;
}

const ok = (body: unknown, status = 200): Reply => ({ status, body });
const problem = (status: number, code: string, detail: string): Reply => ({
  status,
  body: { type: `urn:longrein:problem:${code}`, status, code, title: code.replaceAll("-", " "), detail },
});

export async function createMockBackend(): Promise<Backend> {
  const [fleet, robotKey] = await Promise.all([createSigner(), createSigner()]);
  let me = { did: "", role: "pilot", name: "Robin" };
  let balance = 3_480;
  let drive: FakeDrive | null = null;
  let epoch = 6;
  let fault: Fault = "none";
  let settings: object | null = null;
  const episodes: Record<string, unknown>[] = [oldEpisode()];
  const listeners = new Set<(name: string, data: unknown) => void>();
  const tell = (name: string) => {
    for (const listener of listeners) listener(name, {});
  };

  // An owner sees somebody drive; a pilot finds the robot free.
  const robots = () => (me.role === "owner" ? ROBOTS : ROBOTS.map((r) => ({ ...r, lease: null })));
  const robotOf = (id: string): Reply => {
    const robot = robots().find((r) => r.id === id);
    return robot ? ok(robot) : problem(404, "not-found", "There is no such robot.");
  };

  const session = (): Reply =>
    ok({ token: "mock", claims: { ...me, expires_at: Date.now() + 12 * 3600_000 } }, 201);

  async function takeLease(body: Record<string, unknown>): Promise<Reply> {
    const index = MISSIONS.findIndex((m) => m["id"] === body["mission"]);
    const mission = MISSIONS[index];
    if (mission === undefined)
      return problem(404, "not-found", "There is no such mission. Go back to the board.");
    if (mission["robot"] !== "demo-rover-1")
      return problem(409, "robot-offline", "The robot is not there. Wait until it is online.");
    epoch += 1;
    fault = FAULTS[index] ?? "none";
    const uuid = `0190b5c6f1e27d3a8b4c5d6e7f8${(10_000 + epoch).toString()}`;
    Object.assign(mission, { state: "active", driver: me });
    drive = { mission, leaseId: `lse_${uuid}`, episode: `eps_${uuid}`, robot: null, startedAt: Date.now() };
    return ok({ lease: await lease(0) }, 201);
  }

  async function lease(renewal: number): Promise<object> {
    const document = {
      v: 1,
      lease_id: drive?.leaseId,
      robot: "demo-rover-1",
      robot_did: robotKey.did,
      holder: me.did,
      relay: null,
      driver_kind: "pilot",
      epoch,
      renewal,
      issued_at: Date.now(),
      ttl_ms: 30_000,
      limits: { speed_mps_max: 1.5 },
      mission: null,
    };
    const body = utf8(JSON.stringify(document));
    const signature = await fleet.sign(preAuthenticationEncoding(PAYLOAD_LEASE, body));
    return envelopeOf(PAYLOAD_LEASE, body, fleet.did, signature);
  }

  async function openSession(): Promise<Reply> {
    if (drive === null) return problem(409, "lease-ended", "The lease has ended. Take the mission again.");
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", utf8(ANSWER_SDP)));
    const signature = await robotKey.sign(answerBytes(drive.leaseId, digest));
    return ok({ episode: drive.episode, answer_sdp: ANSWER_SDP, robot_signature: toHex(signature) }, 201);
  }

  function endLease(): Reply {
    if (drive === null) return ok({});
    const { mission, episode, robot, startedAt } = drive;
    robot?.close();
    const reached = (mission["reached"] as object[]).length;
    const done = reached === (mission["checkpoints"] as object[]).length;
    const distance = robot?.odometerM() ?? 0;
    const made = episodeOf(episode, mission, me, startedAt, distance);
    episodes.unshift(made);
    drive = null;
    Object.assign(
      mission,
      done ? { state: "verifying" } : { state: "open", reached: [], next_checkpoint: 0, driver: null },
    );
    finishUpload(made, mission, done);
    return ok({});
  }

  function finishUpload(
    made: Record<string, unknown>,
    mission: Record<string, unknown>,
    done: boolean,
  ): void {
    const files = made["files"] as { size: number; received: number }[];
    let share = 0;
    const timer = setInterval(() => {
      share = Math.min(1, share + 0.17);
      for (const file of files) file.received = Math.round(file.size * share);
      made["state"] = share < 1 ? "uploading" : "accepted";
      if (share < 1) return tell("episode");
      clearInterval(timer);
      if (done) {
        const reward = Number(mission["reward"]);
        const pilot = Math.floor(reward * 0.7);
        const operator = Math.floor(reward * 0.1);
        const owners = [{ owner: "own_1", name: "Ada", amount: reward - pilot - operator }];
        Object.assign(mission, { state: "settled", settlement: { pilot, owners, operator } });
        Object.assign(made, { earned: pilot, settlement: { pilot, owners, operator } });
        balance += pilot;
      }
      tell("episode");
      tell("mission");
    }, 700);
  }

  async function answer(method: string, path: string, body: Record<string, unknown>): Promise<Reply> {
    const [, , kind, id = "", action = ""] = path.split("/");
    switch (`${method} ${kind}`) {
      case "GET config":
        return ok({ ice_servers: [], fleet_did: fleet.did, name: "Longrein" });
      case "GET phone": {
        const sha256 = Array.from({ length: 32 }, (_, n) => (n * 7 + 16).toString(16).toUpperCase()).join(
          ":",
        );
        const root = { path: "/https-root.crt", sha256 };
        return ok({ https: { urls: ["https://192.168.1.5:7443"], certificate_sha256: sha256, root } });
      }
      case "POST auth":
        if (id === "challenge") {
          me = { ...me, did: String(body["did"]) };
          return ok({ nonce: "n" });
        }
        return session();
      case "GET invitations":
        return id === "demo" || id === "owner"
          ? ok({ role: id === "owner" ? "owner" : "pilot", invited_by: "Ada", valid: true })
          : problem(404, "bad-code", "Not given out.");
      case "POST invitations":
        me = {
          did: String(body["did"]),
          role: id === "owner" ? "owner" : "pilot",
          name: String(body["name"]),
        };
        return session();
      case "GET me":
        return ok({
          ...me,
          owner: me.role === "owner" ? "own_1" : null,
          account: { name: `pilot:${me.did}`, balance },
          earnings: balance,
        });
      case "GET missions":
        if (id === "")
          return ok({ items: me.role === "owner" ? [...MISSIONS, ...PAID] : MISSIONS, next: null });
        return ok(MISSIONS.find((m) => m["id"] === id) ?? {});
      case "GET robots":
        if (id === "") return ok({ items: robots(), next: null });
        if (action === "track") return ok({ points: id === "demo-rover-1" ? TRACK : [] });
        if (action === "settings") return ok(id === "demo-rover-1" ? settings : null);
        return robotOf(id);
      case "PUT robots":
        if (action === "settings") {
          const settled = JSON.parse(atob(String(body["payload"])));
          settings = { version: settled.version, settings: settled, on_robot: true };
          return ok(settings);
        }
        return robotOf(id);
      case "POST enrolments":
        return ok({ code: "5f0c1d9ae27b4c6f8a3e90d1b7c2e4f6", robot: body["robot"] }, 201);
      case "GET episodes": {
        if (id === "") return ok({ items: episodes, next: null });
        const found = episodes.find((e) => e["id"] === id);
        return found ? ok(found) : problem(404, "not-found", "There is no such episode yet.");
      }
      case "POST leases":
        return action === "renew" ? ok({ lease: await lease(1) }) : takeLease(body);
      case "DELETE leases":
        return endLease();
      case "OPTIONS robots":
        return ok({});
      case "POST robots":
        if (action === "watch") return ok({}, 201);
        if (action === "session") return openSession();
        if (action === "revoke") return robotOf(id);
        drive?.robot?.estopNow();
        return ok({ result: "done" });
      default:
        return problem(404, "not-found", `The mock has no ${method} ${path}.`);
    }
  }

  function watchArrival(robot: MockRobot): () => void {
    const timer = setInterval(() => {
      if (drive === null) return;
      const { mission } = drive;
      const reached = mission["reached"] as object[];
      const checkpoints = mission["checkpoints"] as { position: { lat_deg: number; lon_deg: number } }[];
      const target = checkpoints[reached.length]?.position;
      if (target === undefined) return;
      const there = distanceM(robot.position(), { latDeg: target.lat_deg, lonDeg: target.lon_deg }) < 2;
      if (!there) return;
      reached.push({ index: reached.length, at: Date.now() });
      mission["next_checkpoint"] = reached.length < checkpoints.length ? reached.length : null;
      tell("mission");
    }, 300);
    return () => clearInterval(timer);
  }

  let lampLevel = 0;
  const equipment = () =>
    JSON.stringify({ type: "equipment", lamp: true, horn: true, voice: true, lamp_level: lampLevel });

  async function openLink(_: unknown, events: LinkEvents): Promise<Link> {
    const robot = createMockRobot(HOME, events, fault, BigInt(epoch));
    const stopArrival = watchArrival(robot);
    if (drive !== null) drive = { ...drive, robot };
    let bytes = 0;
    return {
      offerSdp: "v=0\r\n",
      accept: async () => {
        for (const [camera, stream] of robot.streams().entries()) events.video(camera, stream);
        setTimeout(() => {
          events.open();
          events.session(equipment());
        }, 150);
      },
      sendDrive: (packet) => {
        robot.drive(packet);
        return true;
      },
      sendSession: (text) => {
        const wish = JSON.parse(text) as {
          type: string;
          level?: number;
          id?: number;
          position?: { lat_deg: number; lon_deg: number };
        };
        if (wish.type === "goal" && wish.position !== undefined) {
          robot.setGoal(wish.id ?? 0, { latDeg: wish.position.lat_deg, lonDeg: wish.position.lon_deg });
        }
        if (wish.type === "cancel_goal") robot.cancelGoal();
        if (wish.type === "lamp") lampLevel = wish.level ?? 0;
        if (["lamp", "horn", "say"].includes(wish.type)) events.session(equipment());
        if (text.includes('"release"'))
          setTimeout(() => events.session('{"type":"ended","why":"released"}'), 100);
        return true;
      },
      sendVoice: () => {},
      sendEstop: (packet) => {
        robot.estop(packet);
        return true;
      },
      counters: async () => {
        bytes += 300_000;
        return {
          atMs: (bytes / 300_000) * 1_000,
          bytes,
          packets: bytes / 1_000,
          packetsLost: bytes / 300_000,
          codec: null,
        };
      },
      close: () => {
        robot.close();
        stopArrival();
      },
    };
  }

  /** What a spectator sees: the robot of the drive, or one that stands. */
  async function openViewer(_: unknown, events: ViewerEvents): Promise<Viewer> {
    const none = () => undefined;
    const still = () =>
      createMockRobot(
        HOME,
        { telemetry: none, session: none, estop: none, video: none, sound: none, open: none, lost: none },
        "none",
        0n,
      );
    const own = drive?.robot ? null : still();
    const [front] = (drive?.robot ?? own)?.streams() ?? [];
    return {
      offerSdp: "v=0\r\n",
      accept: async () => {
        if (front !== undefined) events.video(front);
      },
      close: () => own?.close(),
    };
  }

  return {
    fetch: async (path, init) => {
      const [pathname = ""] = path.split("?");
      // No mock of the safety core: a gateway answers, if one runs (see vite.config.ts).
      if (pathname === "/v1/safety/try") return fetch(path, init);
      // A player's offer is no JSON.
      const json = typeof init.body === "string" && init.body.startsWith("{");
      const body = json ? JSON.parse(String(init.body)) : {};
      const reply = await answer(init.method ?? "GET", pathname, body);
      return new Response(JSON.stringify(reply.body), { status: reply.status });
    },
    events: (_, on) => {
      listeners.add(on);
      return () => listeners.delete(on);
    },
    openLink,
    openViewer,
  };
}

function episodeOf(
  id: string,
  mission: Record<string, unknown>,
  driver: object,
  startedAt: number,
  distance: number,
): Record<string, unknown> {
  const duration = (Date.now() - startedAt) / 1000;
  const file = (name: string, rate: number) => {
    const size = Math.round(rate * duration);
    return { name, size, received: 0, sha256: toHex(fromHex("ab".repeat(32)) ?? new Uint8Array()) };
  };
  return {
    id,
    robot: mission["robot"],
    mission: mission["id"],
    mission_name: mission["name"],
    driver,
    state: "recording",
    reason: null,
    verification: {
      verified: true,
      checks: [
        { name: "robot-signature", outcome: "passed", detail: "signed by did:key:z6Mk…9112" },
        { name: "driver-signature", outcome: "passed", detail: "the driver signed the opening" },
        { name: "files", outcome: "passed", detail: "3 files, every block as the manifest says" },
        { name: "receipts", outcome: "passed", detail: `${Math.round(duration / 2)} receipts, no hole` },
        { name: "ingest-receipt", outcome: "not_checked", detail: "made by the fleet after this check" },
      ],
    },
    started_at: startedAt,
    duration_s: duration,
    distance_m: distance,
    size_bytes: Math.round(duration * 460_000),
    files: [
      file("telemetry.mcap", 60_000),
      file("camera_front.mcap", 300_000),
      file("camera_rear.mcap", 100_000),
    ],
    earned: null,
    settlement: null,
  };
}

function oldEpisode(): Record<string, unknown> {
  const mission = MISSIONS.at(-1) ?? {};
  const settlement = { pilot: 840, owners: [{ owner: "own_1", name: "Ada", amount: 240 }], operator: 120 };
  const made = episodeOf(
    "eps_0190b5c6f1e27d3a8b4c5d6e7f801001",
    mission,
    { did: "did:key:z6Mk", name: "Robin" },
    Date.now() - 431_000,
    312,
  );
  return { ...made, state: "accepted", earned: 840, settlement };
}
