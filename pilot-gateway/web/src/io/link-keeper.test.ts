import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { MESSAGES } from "../core/words/words";
import type { Link, LinkEvents } from "./backend";
import { type Call, linkKeeper, SILENT_MS_MAX } from "./link-keeper";

/** A link as the test plays it. */
interface Played {
  readonly events: LinkEvents;
  closed: boolean;
}

function world() {
  const links: Played[] = [];
  const said: string[] = [];
  let refusal: string | null = null;
  const call: Call = async (events) => {
    if (refusal !== null) {
      return { ok: false, failure: { code: refusal, title: "refused", detail: `refused: ${refusal}` } };
    }
    const played: Played = { events, closed: false };
    links.push(played);
    const link = { close: () => Object.assign(played, { closed: true }) } as unknown as Link;
    return { ok: true, value: { link, episode: "eps_1" } };
  };
  const keeper = linkKeeper(
    call,
    () => Date.now(),
    {
      telemetry: () => {},
      session: (text) => said.push(text),
      estop: () => {},
      video: (camera) => said.push(`video ${camera}`),
      sound: () => said.push("sound"),
      opened: (first) => said.push(first ? "opened" : "opened again"),
      doubted: () => said.push("doubted"),
      back: () => said.push("back"),
      failed: ({ code }) => said.push(`failed ${code}`),
      over: (words) => said.push(`over ${words}`),
    },
    () => MESSAGES.en.drive,
  );
  const at = (n: number): Played => {
    const played = links[n];
    if (played === undefined) throw new Error(`there is no link ${n}`);
    return played;
  };
  const refuse = (code: string | null) => {
    refusal = code;
  };
  return { keeper, links, said, at, refuse };
}

async function opened() {
  const all = world();
  expect(await all.keeper.begin()).toEqual({ episode: "eps_1" });
  all.at(0).events.open();
  expect(all.said.splice(0)).toEqual(["opened"]);
  return all;
}

async function silence(keeper: { look: (nowMs: number) => void }): Promise<void> {
  await vi.advanceTimersByTimeAsync(SILENT_MS_MAX + 1);
  keeper.look(Date.now());
  await vi.advanceTimersByTimeAsync(0);
}

describe("a link that falls silent", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it("carries on when it is heard before the other one is open", async () => {
    const { keeper, said, at, links } = await opened();
    await silence(keeper);
    expect(keeper.isOpen()).toBe(false);
    expect(links.length).toBe(2);
    expect(at(0).closed).toBe(false);
    at(0).events.telemetry(new Uint8Array());
    await vi.advanceTimersByTimeAsync(5_000);
    expect(said).toEqual(["doubted", "back"]);
    expect([at(0).closed, at(1).closed, links.length]).toEqual([false, true, 2]);
    expect(keeper.isOpen()).toBe(true);
  });

  it("gives way to the other one, whose first words are not lost", async () => {
    const { keeper, said, at } = await opened();
    await silence(keeper);
    at(1).events.video(0, {} as MediaStream);
    at(1).events.session("hello");
    expect(said).toEqual(["doubted"]);
    at(1).events.open();
    expect(said).toEqual(["doubted", "opened again", "video 0", "hello"]);
    expect([at(0).closed, at(1).closed, keeper.isOpen()]).toEqual([true, false, true]);
    at(0).events.lost("The robot closed the connection.");
    await vi.advanceTimersByTimeAsync(1_000);
    expect(keeper.isOpen()).toBe(true);
  });

  it("is tried again when the other one does not open either", async () => {
    const { keeper, said, at, links } = await opened();
    await silence(keeper);
    at(1).events.lost("No path to the robot works.");
    await vi.advanceTimersByTimeAsync(600);
    expect(said).toEqual(["doubted", "failed unavailable"]);
    expect([at(1).closed, links.length]).toEqual([true, 3]);
    await vi.advanceTimersByTimeAsync(10_600);
    expect(links.length).toBe(4);
    at(3).events.open();
    expect(keeper.isOpen()).toBe(true);
  });

  it("stays silent for good when its lease has ended", async () => {
    const { keeper, said, refuse } = await opened();
    refuse("robot-offline");
    await silence(keeper);
    await vi.advanceTimersByTimeAsync(900);
    expect(said.splice(0)).toEqual(["doubted", "failed robot-offline", "failed robot-offline"]);
    refuse("lease-ended");
    await vi.advanceTimersByTimeAsync(500);
    expect(said).toEqual(["over refused: lease-ended"]);
    keeper.close();
  });

  it("is left alone while it is heard, and when it was closed on purpose", async () => {
    const { keeper, said, at, links } = await opened();
    for (let n = 0; n < 100; n++) {
      await vi.advanceTimersByTimeAsync(50);
      at(0).events.telemetry(new Uint8Array());
      keeper.look(Date.now());
    }
    keeper.close();
    await silence(keeper);
    expect([said.length, links.length, at(0).closed]).toEqual([0, 1, true]);
  });
});

describe("the first link", () => {
  it("is refused with the robot's reason", async () => {
    const { keeper, refuse } = world();
    refuse("robot-taken");
    expect(await keeper.begin()).toMatchObject({ failure: { code: "robot-taken" } });
  });

  it("is tried again when the robot answered and no path works", async () => {
    vi.useFakeTimers();
    const { keeper, at, said } = world();
    await keeper.begin();
    at(0).events.lost("No path to the robot works.");
    await vi.advanceTimersByTimeAsync(1);
    at(1).events.open();
    expect(said).toEqual(["doubted", "opened"]);
    expect(keeper.isOpen()).toBe(true);
    vi.useRealTimers();
  });
});
