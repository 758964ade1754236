// Small line charts over the depth: bands behind, lines in front, one mark for the present depth.
import { chart } from "./chart.js";
import { short } from "./dom.js";
import { ticks } from "./scale.js";

/**
 * A plot over the depth.
 *
 * @param title  above the plot, with its unit: texts and nodes
 * @param labels what stands below each step
 * @param bands  [{low, high, strength}], one value per step: drawn as shaded areas
 * @param lines  [{values, colour, dashed, name}], one value per step
 * @param present index of the step to mark, or null
 * @param alt    the plot in words
 */
export function plot({ title, labels, bands = [], lines = [], present = null, alt }) {
  const all = [...bands.flatMap((band) => band.high), ...lines.flatMap((line) => line.values)];
  const scale = ticks(Math.max(0, ...all) || 1);
  return chart({
    title,
    x: { low: -0.3, high: labels.length - 0.7, ticks: [...labels.keys()], text: (i) => labels[i], now: present },
    y: { low: 0, high: scale[scale.length - 1], ticks: scale },
    bands: bands.map(({ low, high, strength }) => ({ points: low.map((value, i) => [i, value, high[i]]), strength })),
    lines: lines.map((line) => ({ ...line, dotted: true, points: line.values.map((value, i) => [i, value]) })),
    rules: present === null ? [] : [{ x: present, colour: "var(--accent)", dashed: true }],
    words: ([i, value], { name }) => `${name ? `${name}, ` : ""}${labels[i]}: ${short(value)}`,
    alt,
    height: 150,
  }).element;
}
