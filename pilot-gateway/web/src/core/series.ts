/** The last values of a measurement, for a line on the screen. */

export interface Sample {
  readonly atMs: number;
  readonly value: number;
}

/** `samples` with a new one, without those older than `spanMs`. */
export function withSample(samples: readonly Sample[], sample: Sample, spanMs: number): readonly Sample[] {
  return [...samples.filter((s) => sample.atMs - s.atMs <= spanMs), sample];
}

/** Points of a polyline in a box, newest at the right edge; `top` is the value of the upper edge at least. */
export function sparkline(
  samples: readonly Sample[],
  nowMs: number,
  box: { width: number; height: number; spanMs: number; top: number },
): string {
  const top = Math.max(box.top, ...samples.map((s) => s.value));
  return samples
    .map((s) => {
      const x = box.width * (1 - (nowMs - s.atMs) / box.spanMs);
      const y = box.height - 2 - (s.value / top) * (box.height - 4);
      return `${x.toFixed(1)},${y.toFixed(1)}`;
    })
    .join(" ");
}

/** Round trip on the drive lane: echoed clock against now, less the time that the robot held it. Null before the
 * first echo. Clocks are the low 32 bits of milliseconds and may wrap. */
export function roundTripMs(nowClientMs: number, echoClientMs: number, echoHoldMs: number): number | null {
  if (echoClientMs === 0) return null;
  const back = (nowClientMs - echoClientMs) >>> 0;
  return back < 60_000 ? Math.max(0, back - echoHoldMs) : null;
}
