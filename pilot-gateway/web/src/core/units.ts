/** Quantities with their unit in the type: a plain number is made one of these where it enters. */

declare const unit: unique symbol;
type Quantity<U extends string> = number & { readonly [unit]: U };

/** Milliseconds on this page's monotonic clock, or a span of it. */
export type Ms = Quantity<"ms">;
/** Metres per second. */
export type Mps = Quantity<"m/s">;
/** Radians per second, to the left. */
export type Radps = Quantity<"rad/s">;

export const ms = (value: number): Ms => value as Ms;
export const mps = (value: number): Mps => value as Mps;
export const radps = (value: number): Radps => value as Radps;

export function clamp(value: number, low: number, high: number): number {
  return Math.min(high, Math.max(low, value));
}

/** Moves `from` towards `to` by at most `step`. */
export function approach(from: number, to: number, step: number): number {
  return Math.abs(to - from) <= step ? to : from + Math.sign(to - from) * step;
}
