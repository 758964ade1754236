// @ts-check
// Round numbers along an axis.

/**
 * An axis that need not be even: from values to places on it and back, and its ends.
 * @typedef {{bend: (value: number) => number, back: (place: number) => number, low: number, high: number}} Scale
 */

/** The next round number that is not below `rough`. @param {number} rough */
export function roundStep(rough) {
  const power = 10 ** Math.floor(Math.log10(rough));
  return /** @type {number} */ ([1, 2, 2.5, 5, 10].map((factor) => factor * power).find((size) => size >= rough));
}

/** Round steps from 0 that cover `top`: three to five of them. @param {number} top */
export function ticks(top) {
  const step = roundStep(top / 4);
  const count = Math.ceil(top / step - 1e-9);
  return Array.from({ length: count + 1 }, (_, i) => Number((i * step).toPrecision(6)));
}

/** Round numbers between two ends: three to eight of them. @param {number} low @param {number} high */
export function between(low, high) {
  const size = roundStep((high - low) / 7);
  const first = Math.ceil(low / size - 1e-9);
  const count = Math.floor(high / size + 1e-9) - first + 1;
  return Array.from({ length: count }, (_, i) => Number(((first + i) * size).toPrecision(6)));
}

/**
 * An axis that is even around the middle of some values and compressed far from them, so that a few
 * far ones do not push the many together: asinh of the distance in units of the median one.
 * @param {number[]} values that shall have room
 * @param {number[]} all that stand on the axis: its ends are just outside of them
 * @returns {Scale}
 */
export function bent(values, all) {
  const median = (/** @type {number[]} */ numbers) => [...numbers].sort((a, b) => a - b)[numbers.length >> 1];
  const middle = median(values);
  const unit = median(values.map((value) => Math.abs(value - middle))) || 1;
  const bend = (/** @type {number} */ value) => Math.asinh((value - middle) / unit);
  const back = (/** @type {number} */ place) => middle + unit * Math.sinh(place);
  const [first, last] = [Math.min(...all), Math.max(...all)].map(bend);
  const margin = 0.03 * (last - first) || 1;
  return { bend, back, low: back(first - margin), high: back(last + margin) };
}

/**
 * Round numbers whose places are at least `gap` pixels apart; the roundest first.
 * @param {number} low
 * @param {number} high
 * @param {(value: number) => number} px where a value stands
 * @param {number} gap
 */
export function apart(low, high, px, gap = 34) {
  const top = Math.ceil(Math.log10(Math.max(Math.abs(low), Math.abs(high))));
  const sizes = [1, 5, 2].flatMap((digit) => Array.from({ length: 6 }, (_, i) => Number((digit * 10 ** (top - i)).toPrecision(1))));
  const inside = [0, ...sizes.flatMap((size) => [size, -size])].filter((value) => value >= low && value <= high);
  return inside.reduce((chosen, value) => (chosen.every((other) => Math.abs(px(other) - px(value)) >= gap) ? [...chosen, value] : chosen), /** @type {number[]} */ ([]));
}

/** Stack marks that would touch: how many lie below each. @param {number[]} places @param {number} width */
export function stack(places, width) {
  /** @type {number[]} */
  const tops = []; // of each level: the last place that is taken
  /** @type {number[]} */
  const levels = [];
  for (const index of [...places.keys()].sort((a, b) => places[a] - places[b])) {
    const free = tops.findIndex((top) => places[index] - top >= width);
    levels[index] = free < 0 ? tops.length : free;
    tops[levels[index]] = places[index];
  }
  return { levels, height: tops.length };
}

/** @param {number} value @param {number} low @param {number} high */
export const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

/**
 * Call `draw` with the width there is for a drawing, whenever it changes: never stretched, so that
 * type and lines keep their size.
 * @param {Element} node as wide as the room, its height independent of the drawing
 * @param {number} natural the width, in pixels, that is never exceeded
 * @param {(width: number) => void} draw
 */
export function fitted(node, natural, draw) {
  let last = natural;
  draw(natural);
  new ResizeObserver(([{ contentRect }]) => {
    const width = clamp(Math.floor(contentRect.width), Math.min(120, natural), natural);
    if (contentRect.width && width !== last) draw((last = width));
  }).observe(node);
}
