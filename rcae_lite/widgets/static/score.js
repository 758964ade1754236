// @ts-check
// The score as a bar, with the threshold as a line in its middle.
import { element, short } from "./dom.js";

/**
 * Two numbers, short, yet never alike where they differ.
 * @param {number} a
 * @param {number} b
 */
export function distinct(a, b) {
  const written = (/** @type {number} */ digits) => [a, b].map((value) => String(Number(value.toPrecision(digits))));
  let digits = 3;
  while (a !== b && digits < 9 && written(digits)[0] === written(digits)[1]) digits += 1;
  return written(digits);
}

/**
 * A score beside the threshold, in words.
 * @param {number} score
 * @param {number | null} threshold
 * @param {boolean} painted is there a defect to notice?
 */
export function said(score, threshold, painted) {
  if (threshold === null) return `score ${distinct(score, score)[0]} (no threshold)`;
  const [value, limit] = distinct(score, threshold);
  if (score > threshold) return `score ${value}, above the threshold ${limit}: called defective`;
  return `score ${value}, below the threshold ${limit}: ${painted ? "goes unnoticed" : "called normal"}`;
}

/**
 * The bar goes from 0 to twice the threshold, whatever the score is.
 * @param {number | null} threshold
 * @param {number} unpainted score of the image without paint
 */
export function scoreBar(threshold, unpainted) {
  const verdict = element("output", { class: "rcae-verdict", "aria-live": "polite" });
  const hint = element("span", { class: "rcae-hint" });
  const words = element("div", { class: "rcae-score-words" }, verdict, hint);
  const end = 2 * (threshold ?? 0);
  const place = (/** @type {number} */ score) => `${100 * Math.min(1, Math.max(0, score / end))}%`;
  const fill = element("i", {});
  const line = element("b", { title: "the threshold: what is above it is called defective" });
  const before = element("u", { title: "the score of the unpainted image", style: `left: ${place(unpainted)}` });
  const bar = element(
    "div",
    { class: "rcae-score", role: "meter", "aria-label": "score", "aria-valuemin": 0, "aria-valuemax": end },
    fill, before, line,
  );

  /** @param {number} score @param {boolean} painted @param {number | null} iou */
  function show(score, painted, iou) {
    verdict.value = said(score, threshold, painted);
    const notes = [
      painted && `unpainted ${distinct(unpainted, unpainted)[0]}`,
      end && score > end && "beyond the bar, which ends at twice the threshold",
      iou !== null && `IoU of map and mask ${iou.toFixed(2)}`,
    ];
    hint.textContent = notes.filter(Boolean).join(" · ");
    fill.style.width = place(score);
    bar.classList.toggle("rcae-above", threshold !== null && score > threshold);
    bar.setAttribute("aria-valuenow", String(Math.min(score, end)));
    bar.setAttribute("aria-valuetext", verdict.value);
  }

  const scale = element("div", { class: "rcae-scale" }, element("span", {}, "0"), bar, element("span", {}, short(end)));
  return { element: element("div", {}, end > 0 ? scale : null, words), show };
}
