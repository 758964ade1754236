// @ts-check
// Small line charts over the depth: bands behind, lines in front, one mark for the present depth.
import { chart } from "./chart.js";
import { short } from "./dom.js";
import { ticks } from "./scale.js";

/**
 * A plot over the depth.
 * @param {object} options
 * @param {(string | Node)[]} options.title with its unit
 * @param {(string | number)[]} options.labels what stands below each step
 * @param {{low: number[], high: number[], strength: number}[]} [options.bands] one value per step
 * @param {{values: number[], colour: string, dashed?: boolean, name?: string}[]} [options.lines] one value per step
 * @param {number | null} [options.present] index of the step to mark
 * @param {string} options.alt the plot in words
 */
export function plot({ title, labels, bands = [], lines = [], present = null, alt }) {
  const all = [...bands.flatMap((band) => band.high), ...lines.flatMap((line) => line.values)];
  const scale = ticks(Math.max(0, ...all) || 1);
  return chart({
    title,
    x: { low: -0.3, high: labels.length - 0.7, ticks: [...labels.keys()], text: (i) => String(labels[i]), now: present },
    y: { low: 0, high: scale[scale.length - 1], ticks: scale },
    bands: bands.map(({ low, high, strength }) => ({ points: low.map((value, i) => [i, value, high[i]]), strength })),
    lines: lines.map((line) => ({ ...line, dotted: true, points: line.values.map((value, i) => [i, value]) })),
    rules: present === null ? [] : [{ x: present, colour: "var(--accent)", dashed: true }],
    words: ([i, value], { name }) => `${name ? `${name}, ` : ""}${labels[i]}: ${short(value)}`,
    alt,
    height: 150,
  }).element;
}
