import { describe, expect, it } from "vitest";
import { cameraOf, cropOf, parseCalibration, SIMULATED, STANDARD_CAMERA } from "./camera";
import { groundPath, stoppingDistanceM } from "./path";

const CAMERA = STANDARD_CAMERA;
const { groundAt, project } = CAMERA;
const HORIZON_PX = CAMERA.horizonPx;

describe("camera", () => {
  it("sees far points at the horizon, in the middle", () => {
    const far = project(100_000, 0);
    expect(far?.x).toBeCloseTo(CAMERA.widthPx / 2, 3);
    expect(far?.y).toBeCloseTo(HORIZON_PX, 1);
    // 5° down: the horizon lies above the middle.
    expect(HORIZON_PX).toBeCloseTo(360 - 640 * Math.tan((5 * Math.PI) / 180), 6);
  });

  it("puts left on the left and near below far", () => {
    const [near, far, left] = [project(2, 0), project(4, 0), project(4, 1)];
    expect(near && far && near.y > far.y).toBe(true);
    expect(left && far && left.x < far.x).toBe(true);
  });

  it("sees nothing behind the lens", () => {
    expect(project(0, 0)).toBeNull();
    expect(project(-3, 1)).toBeNull();
  });

  it("looks along its axis: a point on it is in the middle", () => {
    const pitch = (5 * Math.PI) / 180;
    const hit = project(SIMULATED.forwardM + SIMULATED.heightM / Math.tan(pitch), 0);
    expect(hit?.x).toBeCloseTo(640, 6);
    expect(hit?.y).toBeCloseTo(360, 6);
  });
});

describe("path", () => {
  it("the way to rest is the latency's way and the braking", () => {
    expect(stoppingDistanceM(1.5, 100)).toBeCloseTo(1.5 * 0.2 + 0.375, 9);
    expect(stoppingDistanceM(-1.5, 100)).toBe(stoppingDistanceM(1.5, 100));
    expect(stoppingDistanceM(0, 5_000)).toBe(0);
  });

  it("is drawn ahead only", () => {
    expect(groundPath(0, 0, 100)).toBeNull();
    expect(groundPath(-0.5, 0, 100)).toBeNull();
    const straight = groundPath(1, 0, 100);
    expect(straight?.wheels).toHaveLength(2);
    expect(straight?.stopM).toBeCloseTo(0.2 + 1 / 6, 9);
    expect(straight?.reactionM).toBeCloseTo(0.2, 9);
  });

  /** Pixels of SVG path data. */
  const pixels = (data: string) =>
    [...data.matchAll(/(-?[\d.]+) (-?[\d.]+)/g)].map(([, x, y]) => ({ x: Number(x), y: Number(y) }));
  const lowest = (data: string) => Math.max(...pixels(data).map(({ y }) => y));
  const highest = (data: string) => Math.min(...pixels(data).map(({ y }) => y));

  it("bends where the robot turns", () => {
    const ends = [0.5, -0.5].map((yaw) => {
      const points = pixels(groundPath(1, yaw, 100)?.wheels[0] ?? "");
      return points.reduce((far, p) => (p.y < far.y ? p : far), { x: 0, y: Infinity }).x;
    });
    expect(ends[0]).toBeLessThan(640);
    expect(ends[1]).toBeGreaterThan(640);
  });

  it("puts the line where the nose comes to rest, farther away the faster and the later", () => {
    const slow = groundPath(1.4, 0, 400);
    const fast = groundPath(1.4, 0, 1_000);
    expect(slow?.stopInPicture && fast?.stopInPicture).toBe(true);
    // The nose is the robot's own radius before its middle.
    const nose = project((slow?.stopM ?? 0) + 0.32, 0);
    expect(lowest(slow?.stop ?? "")).toBeCloseTo(nose?.y ?? 0, 0);
    expect(highest(fast?.stop ?? "")).toBeLessThan(highest(slow?.stop ?? ""));
    // The brakes begin before it, so lower in the picture.
    expect(lowest(fast?.brakes ?? "")).toBeGreaterThan(lowest(fast?.stop ?? ""));
  });

  it("says so when the robot would rest below the picture", () => {
    const path = groundPath(1, 0, 60);
    expect(path?.stopInPicture).toBe(false);
    expect(lowest(path?.stop ?? "")).toBeLessThanOrEqual(CAMERA.heightPx);
    // A phone held across cuts off the lower edge: the line stays in what is left.
    const crop = cropOf(844, 390);
    expect(lowest(groundPath(1, 0, 60, STANDARD_CAMERA, crop)?.stop ?? "")).toBeLessThanOrEqual(
      crop.bottomPx,
    );
  });
});

describe("the ground under a pixel", () => {
  it("is where the point came from", () => {
    for (const [forwardM, leftM] of [
      [2, 0.5],
      [6, -2],
      [20, 4],
    ] as const) {
      const pixel = project(forwardM, leftM);
      const back = groundAt(pixel?.x ?? 0, pixel?.y ?? 0);
      expect(back?.forwardM).toBeCloseTo(forwardM, 6);
      expect(back?.leftM).toBeCloseTo(leftM, 6);
    }
  });

  it("is nothing in the sky", () => {
    expect(groundAt(640, HORIZON_PX - 1)).toBeNull();
    expect(groundAt(640, 0)).toBeNull();
  });
});

describe("a calibration", () => {
  const high = cameraOf({ ...SIMULATED, heightM: 1, pitchDeg: -20, hfovDeg: 70 }, 4 / 3);

  it("moves the horizon and the ground", () => {
    expect(high.heightPx).toBe(960);
    expect(high.horizonPx).toBeLessThan(high.heightPx / 2);
    const far = high.project(1e6, 0);
    expect(far?.y).toBeCloseTo(high.horizonPx, 1);
    const pixel = high.project(3, 0.7);
    expect(high.groundAt(pixel?.x ?? 0, pixel?.y ?? 0)?.leftM).toBeCloseTo(0.7, 6);
  });

  it("draws a wider robot's wheels farther apart, and its stop farther out", () => {
    const wide = groundPath(1.4, 0, 400, cameraOf({ ...SIMULATED, halfWidthM: 0.6 }));
    const narrow = groundPath(1.4, 0, 400);
    expect(wide?.label?.y).toBeLessThan(narrow?.label?.y ?? 0);
  });

  it("is read whatever it is, within what a camera can be", () => {
    expect(parseCalibration(null)).toEqual(SIMULATED);
    expect(parseCalibration({ heightM: 1e9, pitchDeg: "x", hfovDeg: 0 })).toMatchObject({
      heightM: 2,
      pitchDeg: -5,
      hfovDeg: 40,
    });
  });
});
