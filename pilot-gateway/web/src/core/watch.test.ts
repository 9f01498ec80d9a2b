import { describe, expect, test } from "vitest";
import { canTakeOver } from "./can";
import { parseRobot } from "./model";
import { pictureOf, retryMs, serversOf } from "./watch";
import { MESSAGES } from "./words/words";

describe("servers of a WHEP answer", () => {
  test("with and without credentials", () => {
    const header =
      '<stun:203.0.113.7:3478>; rel="ice-server", <turn:203.0.113.7:3478?transport=udp>; rel="ice-server"; username="179:did:key:z6"; credential="a+b/c="; credential-type="password"';
    expect(serversOf(header)).toEqual([
      { urls: ["stun:203.0.113.7:3478"] },
      { urls: ["turn:203.0.113.7:3478?transport=udp"], username: "179:did:key:z6", credential: "a+b/c=" },
    ]);
  });
  test("what is none is passed over", () => {
    expect(serversOf(null)).toEqual([]);
    expect(serversOf('<https://a>; rel="next", <javascript:x>; rel="ice-server", noise')).toEqual([]);
  });
});

test("a picture is live, one of stills, frozen or not there", () => {
  expect(pictureOf(null, 0)).toBe("none");
  expect(pictureOf(40, 33)).toBe("live");
  expect(pictureOf(40, 2_000)).toBe("stills");
  expect(pictureOf(2_000, 33)).toBe("stills");
  expect(pictureOf(5_000, 33)).toBe("frozen");
});

test("pauses grow and stay bounded", () => {
  expect([1, 2, 3, 4, 5, 9].map(retryMs)).toEqual([1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
});

describe("taking over", () => {
  const owners = [{ owner: "own_1", name: "Anna", sharePpm: 1_000_000 }];
  const robot = parseRobot({ id: "r", name: "Rover", online: true });
  if (robot === null) throw new Error("that is a robot");
  const ask = (me: { role: string; owner: string | null }, online = true) =>
    canTakeOver({ ...robot, owners, online }, { did: "did:key:z", ...me }, MESSAGES.en);
  test("is for operators and owners of the robot", () => {
    expect(ask({ role: "operator", owner: null }).ok).toBe(true);
    expect(ask({ role: "owner", owner: "own_1" }).ok).toBe(true);
    for (const me of [
      { role: "owner", owner: "own_2" },
      { role: "pilot", owner: null },
      { role: "agent", owner: null },
    ])
      expect(ask(me)).toEqual({ ok: false, why: MESSAGES.en.watch.onlySupervisors });
  });
  test("needs a robot that is there", () => {
    expect(ask({ role: "operator", owner: null }, false).ok).toBe(false);
  });
  test("is of the mission that the robot is on", () => {
    const lease = { holder: "did:key:z", state: "live", mission: "msn_1" };
    expect(parseRobot({ id: "r", lease })?.mission).toBe("msn_1");
    expect(parseRobot({ id: "r", lease: { ...lease, state: "ended" } })?.mission).toBeNull();
  });
});
