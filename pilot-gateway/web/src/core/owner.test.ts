import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Mission } from "./model";
import {
  clockOf,
  cornerOf,
  daysOf,
  earningsByDay,
  enrolCommand,
  minutesOf,
  pointOf,
  robotIdOf,
  sharesOf,
  weekHours,
} from "./owner";

describe("the owner's pages", () => {
  it("makes a word of a robot's name", () => {
    expect(robotIdOf("Demo Rover 1")).toBe("demo-rover-1");
    expect(robotIdOf("  Möhre & Söhne! ")).toBe("mohre-sohne");
    expect(robotIdOf("***")).toBe("");
    fc.assert(
      fc.property(fc.string(), (name) => {
        expect(robotIdOf(name)).toMatch(/^([a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?)?$/);
      }),
    );
  });

  it("keeps places to a centimetre", () => {
    const place = { latDeg: 52.5200081, lonDeg: -13.4049541 };
    expect(cornerOf(place)).toEqual([-134_049_541, 525_200_081]);
    expect(pointOf(cornerOf(place))).toEqual(place);
  });

  it("puts the code into one line", () => {
    expect(enrolCommand("https://fleet.example", "abc")).toBe(
      "sudo -u longrein robot-agent enroll --server https://fleet.example --code abc --data /var/lib/longrein",
    );
  });

  it("sums what an owner earned by day", () => {
    const settled = (robot: string, atMs: number, amount: number) =>
      ({
        robot,
        settlement: { pilot: 1, operator: 1, atMs, owners: [{ owner: "own_a", name: "A", amount }] },
      }) as unknown as Mission;
    const now = 20_000 * 86_400_000 + 5;
    const missions = [
      settled("r", now, 10),
      settled("r", now - 86_400_000, 7),
      settled("r", now - 86_400_000, 3),
      settled("other", now, 99),
      settled("r", now - 40 * 86_400_000, 50),
    ];
    const days = earningsByDay(missions, "r", "own_a", now, 3);
    expect(days.map((d) => d.amount)).toEqual([0, 10, 10]);
    expect(days.at(-1)?.day).toBe(20_000);
    expect(earningsByDay(missions, "r", "own_b", now, 3).every((d) => d.amount === 0)).toBe(true);
  });

  it("takes shares only when they add up", () => {
    const shares = (...percents: number[]) =>
      sharesOf(percents.map((percent, i) => ({ owner: `o${i}`, percent })));
    expect(shares(66.6667, 33.3333)).toEqual([
      { owner: "o0", share_ppm: 666_667 },
      { owner: "o1", share_ppm: 333_333 },
    ]);
    expect(shares(60, 39)).toBeNull();
    expect(shares()).toBeNull();
    expect(shares(100, 0)).toEqual([{ owner: "o0", share_ppm: 1_000_000 }]);
  });

  it("turns days and times into hours of the week and back", () => {
    const workdays = [true, true, true, true, true, false, false];
    expect(weekHours(workdays, 480, 1080)[1]).toEqual({ fromMin: 1_920, toMin: 2_520 });
    expect(weekHours([false, false, false, false, false, false, true], 1_320, 120)).toEqual([
      { fromMin: 9_960, toMin: 120 },
    ]);
    fc.assert(
      fc.property(
        fc.array(fc.boolean(), { minLength: 7, maxLength: 7 }),
        fc.nat(1_439),
        fc.nat(1_439),
        (days, from, to) => {
          fc.pre(days.some((day) => day) && from !== to);
          expect(daysOf(weekHours(days, from, to))).toEqual({ days, fromMin: from, toMin: to });
        },
      ),
    );
    expect(
      daysOf([
        { fromMin: 0, toMin: 60 },
        { fromMin: 1_500, toMin: 1_700 },
      ]),
    ).toBeNull();
  });

  it("reads and writes times of day", () => {
    expect([clockOf(485), clockOf(1_440)]).toEqual(["08:05", "00:00"]);
    expect([minutesOf("8:05"), minutesOf("24:00"), minutesOf("x")]).toEqual([485, null, null]);
  });
});
