// @ts-check
// The scores of all images by every detector, in units of its own threshold: a row for each, a dot
// for each image, which chooses it.
import { button, change, element, short } from "./dom.js";
import { stack } from "./scale.js";

/**
 * @typedef {{name: string, threshold: number, scores: number[], calibration: number[]}} Detector its scores over its threshold
 * @typedef {{element: HTMLElement, dots: HTMLElement[], verdict: HTMLOutputElement, detector: Detector}} Row
 */

const WIDE = 2.4; // a dot, in percent of a row
const NUMBERS = [0, 0.25, 0.5, 1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000];

export class Scores {
  /** @param {any} model @param {{names: string[], labels: number[] | null, detectors: Detector[]}} data */
  constructor(model, data) {
    this.model = model;
    this.data = data;
    const all = data.detectors.flatMap(({ scores, calibration }) => [...scores, ...calibration]);
    const [low, high] = [Math.min(0, ...all), Math.max(2, ...all)].map(bend);
    this.place = (/** @type {number} */ score) => 2 + (96 * (bend(score) - low)) / (high - low);
    this.rows = data.detectors.map((detector) => this.row(detector));
    this.element = element(
      "figure",
      { class: "rcae-scores", "data-part": "scores" },
      element("figcaption", {}, "Score ÷ the detector's own threshold: right of the line it calls an image defective. A dot chooses its image."),
      ...this.rows.map((row) => row.element),
      this.axis(high),
      this.legend(),
    );
  }

  /** @param {Detector} detector @returns {Row} */
  row(detector) {
    const { name, scores, calibration } = detector;
    const places = scores.map(this.place);
    const { levels, height } = stack(places, WIDE);
    const dots = scores.map((_, image) => this.dot(detector, image, places[image], levels[image]));
    const order = [...dots.keys()].sort((a, b) => scores[a] - scores[b]);
    const verdict = element("output", { class: "rcae-hint" });
    const track = element(
      "div",
      {
        class: "rcae-dots", role: "radiogroup", "aria-label": `image, by its score of ${name}`,
        style: `height: ${14 + 12 * height}px`, onkeydown: (/** @type {KeyboardEvent} */ event) => this.walk(event, order, dots),
      },
      ...calibration.map((score) => element("i", { style: `left: ${this.place(score)}%`, title: `held-out normal image: ${times(score)}`, "aria-hidden": "true" })),
      ...dots,
    );
    const above = scores.filter((score) => score > 1).length;
    const about = `${name}: raw threshold ${short(detector.threshold)}, ${above} of ${scores.length} images above it`;
    const label = element("div", { title: about }, element("strong", {}, name), verdict);
    return { element: element("div", { class: "rcae-row" }, label, track), dots, verdict, detector };
  }

  /** @param {Detector} detector @param {number} image @param {number} left @param {number} level */
  dot({ name, scores }, image, left, level) {
    const { names, labels } = this.data;
    const kind = labels === null ? "" : labels[image] ? ", defective" : ", normal";
    const words = `${names[image]}${kind}: ${times(scores[image])} of ${name}`;
    const point = (/** @type {boolean} */ on) => this.element.querySelectorAll(`[data-image="${image}"]`).forEach((dot) => dot.toggleAttribute("data-same", on));
    const listeners = {
      onpointerenter: () => point(true), onpointerleave: () => point(false), onfocus: () => point(true), onblur: () => point(false),
    };
    const dot = button("", words, () => change(this.model, "image", image), {
      class: "rcae-dot", role: "radio", "data-image": image, "data-label": labels === null ? "" : labels[image],
      style: `left: ${left}%; bottom: ${12 * level}px`, ...listeners,
    });
    dot.removeAttribute("title");
    dot.append(element("span", { class: "rcae-told-here", "aria-hidden": "true", style: left > 50 ? "right: 0" : "left: 0" }, words));
    return dot;
  }

  /** Arrow keys go from dot to dot in the order of their scores. @param {KeyboardEvent} event @param {number[]} order @param {HTMLElement[]} dots */
  walk(event, order, dots) {
    const here = order.indexOf(this.model.get("image"));
    const last = order.length - 1;
    /** @type {Record<string, number>} */
    const moves = { ArrowRight: here + 1, ArrowUp: here + 1, ArrowLeft: here - 1, ArrowDown: here - 1, Home: 0, End: last };
    const to = moves[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const image = order[Math.min(last, Math.max(0, to))];
    change(this.model, "image", image);
    dots[image].focus();
  }

  /** @param {number} high where it ends, in bent units */
  axis(high) {
    const chosen = [1];
    for (const number of NUMBERS) {
      const free = chosen.every((other) => Math.abs(this.place(number) - this.place(other)) > 7);
      if (free && bend(number) <= high) chosen.push(number);
    }
    const numbers = chosen.map((number) => element("span", { style: `left: ${this.place(number)}%` }, short(number)));
    for (const { element: row } of this.rows) row.querySelector(".rcae-dots")?.prepend(element("b", { style: `left: ${this.place(1)}%` }));
    return element("div", { class: "rcae-row", "aria-hidden": "true" }, element("div"), element("div", { class: "rcae-numbers" }, ...numbers));
  }

  legend() {
    const key = (/** @type {number} */ label, /** @type {string} */ text) => element("span", { class: "rcae-key" }, element("i", { class: "rcae-dot", "data-label": label }), text);
    const kinds = this.data.labels === null ? [] : [key(1, "defective"), key(0, "normal")];
    const held = element("span", { class: "rcae-key" }, element("i", { class: "rcae-held" }), "held-out normal images, from which the threshold comes");
    return element("div", { class: "rcae-legend rcae-hint" }, ...kinds, held);
  }

  /** Mark the image that is shown, and say what each detector makes of it. */
  draw() {
    const image = this.model.get("image");
    for (const { dots, verdict, detector } of this.rows) {
      dots.forEach((dot, index) => {
        dot.setAttribute("aria-checked", String(index === image));
        dot.tabIndex = index === image ? 0 : -1;
      });
      const score = detector.scores[image];
      verdict.value = `${times(score)}: ${score > 1 ? "defective" : "normal"}`;
    }
  }
}

const times = (/** @type {number} */ score) => `${short(score)} × threshold`;

/** Square roots give the scores near the threshold more room than those far above it. @param {number} score */
function bend(score) {
  return Math.sign(score) * Math.sqrt(Math.abs(score));
}
