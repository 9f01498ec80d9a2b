import { describe, expect, it } from "vitest";
import { CAMERA, HORIZON_PX, project } from "./camera";
import { groundPath, stoppingDistanceM } from "./path";

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
    const hit = project(CAMERA.forwardM + CAMERA.heightM / Math.tan(pitch), 0);
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
    expect(straight?.left.startsWith("M")).toBe(true);
    expect(straight?.stopM).toBeCloseTo(0.2 + 1 / 6, 9);
  });

  it("bends where the robot turns", () => {
    const ends = [0.5, -0.5].map((yaw) => {
      const last = groundPath(1, yaw, 100)?.left.split("L").at(-1) ?? "";
      return Number(last.split(" ")[0]);
    });
    expect(ends[0]).toBeLessThan(640);
    expect(ends[1]).toBeGreaterThan(640);
  });
});
