// @ts-check
// What follows from a threshold, in numbers and words; the same numbers as ThresholdState.
import { short } from "./dom.js";

/**
 * @typedef {{index: number, name: string, defect: string, label: number, score: number}} TestImage
 * @typedef {{called: number, total: number}} Count images of a label that are called defective, and all
 * @typedef {{cost_missed: number, cost_alarm: number, share: number}} Prices share: of defective images
 */

export const percent = (/** @type {number} */ share) => `${(100 * share).toFixed(1)}%`;

/** Of the normal images and of the defective ones. @param {TestImage[]} images @param {number} threshold */
export function count(images, threshold) {
  const counts = [{ called: 0, total: 0 }, { called: 0, total: 0 }];
  for (const { label, score } of images) {
    counts[label].total += 1;
    counts[label].called += Number(score > threshold);
  }
  return counts;
}

/** Which of the outcomes that thresholds can have this is. @param {Count[][]} outcomes @param {Count[]} counts */
export function indexOf(outcomes, counts) {
  return outcomes.findIndex((other) => other.every(({ called }, label) => called === counts[label].called));
}

/** Expected cost of one image; null where the test images are of one kind. @param {Count[]} counts @param {Prices} prices */
export function cost([normal, defective], { cost_missed, cost_alarm, share }) {
  if (!normal.total || !defective.total) return null;
  const missed = (defective.total - defective.called) / defective.total;
  return share * cost_missed * missed + (1 - share) * cost_alarm * (normal.called / normal.total);
}

/**
 * The point of the PRO curve at a threshold, between those that are known; null without any.
 * @param {number[][]} known threshold, x and y
 * @param {number} threshold
 */
export function proPoint(known, threshold) {
  if (!known.length) return null;
  const after = known.findIndex((point) => point[0] <= threshold); // thresholds fall
  if (after === 0) return known[0].slice(1);
  if (after < 0) return known[known.length - 1].slice(1);
  const [above, below] = [known[after - 1], known[after]];
  const share = (threshold - below[0]) / (above[0] - below[0]);
  return [1, 2].map((i) => below[i] + share * (above[i] - below[i]));
}

/** An outcome in words. @param {number} threshold @param {Count[]} counts */
export function inWords(threshold, [normal, defective]) {
  const parts = [{ ...normal, name: "false alarms" }, { ...defective, name: "defects found" }].filter(({ total }) => total);
  return `threshold ${short(threshold)}: ${parts.map(({ called, total, name }) => `${called} of ${total} ${name}`).join(", ")}`;
}

/** The number of steps an arrow key asks for; up and right are `+1`, the ends infinite. @param {{key: string}} event */
export function stepsOf({ key }) {
  /** @type {Record<string, number>} */
  const steps = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10, PageDown: -10, Home: -Infinity, End: Infinity };
  return steps[key] ?? 0;
}
