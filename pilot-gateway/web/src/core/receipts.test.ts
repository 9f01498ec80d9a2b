import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { fromHex, toHex, utf8 } from "../protocol/bytes";
import {
  afterLink,
  afterReceipt,
  afterSending,
  EMPTY_OUTBOX,
  firstReceipt,
  type Outbox,
  RECENT_MAX,
  receiptBody,
  receiptSize,
} from "./receipts";
import { roundTripMs, sparkline, withSample } from "./series";

const LEASE = "lse_0190b5c6f1e27d3a8b4c5d6e7f809112";

describe("receipts", () => {
  it("the first is the one of the golden vectors", () => {
    const hash = new Uint8Array(
      createHash("sha256")
        .update(fromHex(`0101${"00".repeat(30)}`) ?? "")
        .digest(),
    );
    expect(receiptBody(firstReceipt(LEASE, 7n), [hash])).toBe(
      `{"lease_id":"${LEASE}","epoch":7,"index":0,"previous":"${"0".repeat(64)}","first_seq":1,"digests":"5f181884da782b8f"}`,
    );
  });

  it("chain by the hash of the body before, without a hole in seq", () => {
    const body = receiptBody(firstReceipt(LEASE, 7n), []);
    const hash = new Uint8Array(createHash("sha256").update(utf8(body)).digest());
    const next = afterReceipt(firstReceipt(LEASE, 7n), hash, 100);
    expect(next).toMatchObject({ index: 1, firstSeq: 101, previous: toHex(hash) });
    expect(afterReceipt(next, hash, 50).firstSeq).toBe(151);
  });

  it("are bounded", () => {
    expect(receiptSize(99)).toBe(99);
    expect(receiptSize(5_000)).toBe(1_000);
  });

  it("that a lost link took go out again over the next, in order", () => {
    const sent: number[] = [];
    let outbox: Outbox<number> = { ...EMPTY_OUTBOX, unsent: [1, 2, 3] };
    outbox = afterSending(outbox, (n) => n < 3 && sent.push(n) > 0);
    expect(outbox).toEqual({ recent: [1, 2], unsent: [3] });
    outbox = afterSending(afterLink(outbox), (n) => sent.push(n) > 0);
    expect(sent).toEqual([1, 2, 1, 2, 3]);
    for (let n = 4; n < 40; n++) outbox = afterSending({ ...outbox, unsent: [n] }, () => true);
    expect(outbox.recent).toHaveLength(RECENT_MAX);
    expect(outbox.recent.at(-1)).toBe(39);
  });

  it("keep every bit of the epoch", () => {
    expect(receiptBody(firstReceipt(LEASE, 18446744073709551615n), [])).toContain(
      '"epoch":18446744073709551615,',
    );
  });
});

describe("series", () => {
  it("forgets what is too old", () => {
    const samples = withSample(
      [
        { atMs: 0, value: 1 },
        { atMs: 60, value: 2 },
      ],
      { atMs: 110, value: 3 },
      100,
    );
    expect(samples.map((s) => s.value)).toEqual([2, 3]);
  });

  it("draws the newest at the right", () => {
    const box = { width: 100, height: 20, spanMs: 1_000, top: 10 };
    expect(
      sparkline(
        [
          { atMs: 0, value: 0 },
          { atMs: 1_000, value: 10 },
        ],
        1_000,
        box,
      ),
    ).toBe("0.0,18.0 100.0,2.0");
  });

  it("measures the round trip over a wrap of the clock", () => {
    expect(roundTripMs(1_100, 1_000, 40)).toBe(60);
    expect(roundTripMs(50, 0xffff_ffff - 49, 0)).toBe(100);
    expect(roundTripMs(1_000, 0, 0)).toBeNull();
    expect(roundTripMs(1_000, 2_000, 0)).toBeNull();
  });
});
