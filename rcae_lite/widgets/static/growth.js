// @ts-check
// A curve over the rounds that grows to where the slider stands.
import { chart } from "./chart.js";
import { short } from "./dom.js";

/** @typedef {{values: number[], name: string, quiet?: boolean}} Curve n = 0..N */

/**
 * Where a curve over the rounds stands between two of them: on the straight line.
 * @param {number[]} values n = 0..N
 * @param {number} t
 */
export function at(values, t) {
  const low = Math.min(Math.floor(t), values.length - 1);
  const high = Math.min(low + 1, values.length - 1);
  return values[low] + (t - low) * (values[high] - values[low]);
}

export class Growth {
  /**
   * @param {string} colour what the curve is of: "defect" or "part"
   * @param {string | (string | Node)[]} title
   * @param {number} depth N
   * @param {(value: number) => string} text of a value
   */
  constructor(colour, title, depth, text) {
    this.colour = `var(--${colour})`;
    this.text = text;
    const rounds = Array.from({ length: depth + 1 }, (_, n) => n);
    this.chart = chart({
      title, x: { low: 0, high: depth, ticks: rounds }, y: { low: 0, high: 1 }, alt: "", width: 320, height: 124, low: 76, named: true,
      words: ([n, value], { name }) => `${name}, n = ${short(n)}: ${text(value)}`,
    });
    this.element = this.chart.element;
    this.element.classList.add("story-reading", colour);
  }

  /**
   * @param {Curve[]} curves the last one leads
   * @param {number} t where the slider stands
   * @param {number} top of the axis
   * @param {string} alt the curves in words
   * @param {Partial<import("./chart.js").Options>} changed what else is new
   */
  draw(curves, t, top, alt, changed = {}) {
    const lines = curves.map(({ values, name, quiet = false }) => {
      const end = Math.min(t, values.length - 1);
      const points = values.map((value, n) => [n, value]);
      const drawn = [...points.slice(0, Math.ceil(end)), [end, at(values, end)]];
      return { points, drawn, name, thin: quiet, colour: quiet ? "var(--quiet)" : this.colour };
    });
    const dots = lines.filter(({ thin }) => !thin).map(({ drawn, name, colour }) => {
      const [x, y] = drawn[drawn.length - 1];
      return { x, y, name, colour, big: true };
    });
    this.chart.redraw({ lines, dots, y: { low: 0, high: top, ticks: [0, top / 2, top], text: this.text }, alt, ...changed });
  }
}
