// @ts-check
// ThresholdExplorer: drag the threshold over the scores, or the operating point over the ROC, and see
// what follows and what it costs. Exact intervals come as tables, one entry for every possible count.
import { unpack } from "./arrays.js";
import { chart } from "./chart.js";
import { amount, button, change, element, root, shape, short, slider } from "./dom.js";
import { cost, count, indexOf, inWords, percent, proPoint, stepsOf } from "./outcome.js";
import { bent, clamp, ticks } from "./scale.js";
import { DEFECTIVE, listen, NORMAL, strip } from "./strip.js";
import { gallery, Viewer } from "./viewer.js";

/**
 * @typedef {import("./outcome.js").Count} Count
 * @typedef {import("./outcome.js").Prices} Prices
 * @typedef {import("./outcome.js").TestImage} TestImage
 */

const NAMES = ["normal", "defective"];
const PRICES = ["cost_missed", "cost_alarm", "share"];
const WIDTH = 340; // of a chart
const POINT = { colour: "var(--text)", big: true };

/** @param {{model: any, el: HTMLElement}} widget */
export async function render({ model, el }) {
  const data = await unpack(model.get("data"));
  const explorer = new Explorer(model, data, root(el, "Threshold explorer"));
  for (const name of ["threshold", ...PRICES]) model.on(`change:${name}`, () => explorer.draw());
  explorer.draw();
  explorer.place.dataset.ready = "true";
}

class Explorer {
  /** @param {any} model @param {any} data @param {HTMLElement} place */
  constructor(model, data, place) {
    this.model = model;
    this.data = data;
    this.place = place;
    /** @type {TestImage[]} */
    const images = data.images;
    images.forEach((image, index) => (image.index = index));
    /** @type {Count[][]} */
    this.outcomes = data.steps.map((/** @type {number} */ step) => count(images, step));
    this.sorted = [...images].sort((a, b) => a.score - b.score);
    this.viewer = new Viewer(data);
    /** @type {Record<string, HTMLElement>} */
    this.parts = Object.fromEntries(["table", "rates", "gallery"].map((name) => [name, element("div", { "data-part": name })]));
    this.where = element("output", { class: "rcae-hint" });
    this.price = element("output", { class: "rcae-verdict" });
    const scores = (/** @type {TestImage[]} */ some) => [...some.map(({ score }) => score), ...data.calibration];
    this.scale = bent(scores(images.filter(({ label }) => label === 0)), [...scores(images), data.mark]);
    this.strip = strip({ data, scale: this.scale, move: (score) => this.move(score), open: (index) => this.open(index) });
    this.slide(this.strip, 1);
    this.roc = this.operatingPoint();
    this.pro = proCurve(data);
    this.costs = costCurve(data, this.scale);
    this.arrange();
  }

  arrange() {
    const { model, data, parts } = this;
    const among = (/** @type {string} */ name, /** @type {Node} */ node) => element("div", { "data-part": name }, node);
    this.place.append(
      element("div", { class: "rcae-controls" },
        slider({ model, name: "threshold", label: "Threshold", low: data.low, high: data.high, step: "any", text: short }),
        button("From normals", "back to the threshold from normal images", () => this.move(data.mark)),
        this.where),
      element("div", { class: "rcae-threshold" },
        among("strip", this.strip.element),
        element("div", { class: "rcae-outcome" }, parts.table, parts.rates, element("div", { class: "rcae-prices" }, ...this.prices()))),
      element("div", { class: "rcae-plots" },
        among("roc", this.roc?.element ?? hint("No ROC curve: the test images are of one kind.")),
        among("pro", this.pro?.element ?? hint("No PRO curve: there are no masks.")),
        among("cost", this.costs.element)),
      parts.gallery,
      this.viewer.element,
    );
  }

  prices() {
    const { model, data } = this;
    const [low, high] = data.costs;
    if (this.cheapest() === null) return [hint("No cost: the test images are of one kind.")];
    return [
      amount({ model, name: "cost_missed", label: "A missed defect costs", low, high }),
      amount({ model, name: "cost_alarm", label: "A false alarm costs", low, high }),
      amount({ model, name: "share", label: "Defects, % of the images", low: 0, high: 1, unit: 0.01 }),
      button("Cheapest", "to the cheapest threshold on this test set", () => this.move(/** @type {number} */ (this.cheapest()))),
      this.price,
    ];
  }

  get values() {
    return /** @type {Prices} */ (Object.fromEntries(PRICES.map((name) => [name, this.model.get(name)])));
  }

  /** @param {number} threshold */
  move(threshold) {
    change(this.model, "threshold", clamp(threshold, this.data.low, this.data.high));
  }

  /**
   * Let the keyboard move a drawing's threshold; its tooltip follows.
   * @param {{svg: SVGElement, tell: () => void}} drawing
   * @param {1 | -1} direction 1 where up is a higher threshold
   */
  slide({ svg, tell }, direction) {
    svg.setAttribute("role", "slider");
    svg.addEventListener("keydown", (event) => this.key(event, direction, tell));
    svg.addEventListener("focus", () => svg.matches(":focus-visible") && tell());
  }

  /**
   * The arrow keys go to the next threshold at which something changes; Enter opens an image there.
   * @param {KeyboardEvent} event
   * @param {1 | -1} direction
   * @param {() => void} tell
   */
  key(event, direction, tell) {
    const { data, outcomes, model } = this;
    const steps = stepsOf(event);
    if (!steps && event.key !== "Enter") return;
    event.preventDefault(); // else Enter goes on to press a button of what it has opened
    if (!steps) return this.open((this.sorted.find(({ score }) => score > model.get("threshold")) ?? this.sorted[this.sorted.length - 1]).index);
    const here = indexOf(outcomes, count(data.images, model.get("threshold")));
    this.move(data.steps[Math.min(outcomes.length - 1, Math.max(0, here + direction * steps))]);
    tell();
  }

  /** @param {number} index */
  open(index) {
    this.viewer.open(this.sorted, this.sorted.findIndex((image) => image.index === index), this.model.get("threshold"));
  }

  /** The threshold of lowest cost, of equal ones the lowest; as `ThresholdState.cheapest`. @returns {number | null} */
  cheapest() {
    const costs = /** @type {number[]} */ (this.outcomes.map((counts) => cost(counts, this.values)));
    return costs[0] === null ? null : this.data.steps[costs.indexOf(Math.min(...costs))];
  }

  /** The ROC: a drag snaps to the nearest point that a threshold can reach. */
  operatingPoint() {
    const { data, outcomes } = this;
    if (this.cheapest() === null) return null;
    const points = outcomes.map((counts) => counts.map(({ called, total }) => called / total));
    const roc = chart({
      title: "ROC over images: drag the point", x: { low: 0, high: 1, label: "false alarms" }, y: { low: 0, high: 1 }, width: WIDTH,
      lines: [{ points, colour: DEFECTIVE }], words: (_, __, i = 0) => inWords(data.steps[i], outcomes[i]), alt: "operating point on the ROC curve",
    });
    const { svg, tip } = roc;
    const place = () => points[indexOf(outcomes, count(data.images, this.model.get("threshold")))];
    const near = (/** @type {number[]} */ [x, y]) => ({ x: roc.at.px(x), y: roc.at.py(y) });
    roc.element.classList.add("rcae-drag");
    const tell = () => tip.show({ ...near(place()), text: svg.getAttribute("aria-valuetext") ?? "" });
    this.slide({ svg, tell }, -1);
    listen(svg, {
      drag: (event) => {
        const { left, top } = svg.getBoundingClientRect();
        const away = points.map((point) => Math.hypot(near(point).x - (event.clientX - left), near(point).y - (event.clientY - top)));
        this.move(data.steps[away.indexOf(Math.min(...away))]);
        tell();
      },
    });
    const show = (/** @type {string} */ words) => {
      const [x, y] = place();
      roc.redraw({ dots: [{ x, y, ...POINT, text: words }] });
      for (const [name, value] of Object.entries({ "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": 100 * x, "aria-valuetext": words })) svg.setAttribute(name, String(value));
    };
    return { element: roc.element, show };
  }

  draw() {
    const { data, parts, model } = this;
    const threshold = model.get("threshold");
    const counts = count(data.images, threshold);
    const words = inWords(threshold, counts);
    this.strip.show(threshold, words);
    this.roc?.show(words);
    this.pro?.show(threshold);
    this.costs.show(this.outcomes, this.values, threshold, cost(counts, this.values));
    this.drawPrice(threshold, cost(counts, this.values));
    parts.table.replaceChildren(table(counts));
    parts.rates.replaceChildren(...rates(data, counts));
    parts.gallery.replaceChildren(...gallery(data, threshold, (images, index) => this.viewer.open(images, index, threshold)));
  }

  /** @param {number} threshold @param {number | null} price */
  drawPrice(threshold, price) {
    const { data } = this;
    const chosen = threshold === this.cheapest() ? "the cheapest on this test set: on new images expect it to cost more" : "chosen by looking at the test set: its rates flatter it";
    this.where.value = threshold === data.mark ? `from ${data.calibration.length} held-out normal images: at most ${percent(data.rate)} false alarms` : chosen;
    if (price === null) return;
    const before = cost(count(data.images, data.mark), this.values);
    this.price.value = `expected: ${short(price)} per image${threshold === data.mark ? "" : `; from normals ${short(before)}`}`;
  }
}

const hint = (/** @type {string} */ text) => element("p", { class: "rcae-hint" }, text);

/** @param {Count[]} counts */
function table(counts) {
  const cell = (/** @type {number} */ value, /** @type {boolean} */ right) => element("td", { class: right ? "rcae-right" : "rcae-wrong" }, String(value));
  const row = (/** @type {number} */ label) => element(
    "tr", {},
    element("th", { scope: "row" }, NAMES[label]),
    cell(counts[label].total - counts[label].called, label === 0),
    cell(counts[label].called, label === 1),
  );
  return element(
    "table",
    { class: "rcae-confusion" },
    element("caption", {}, "Confusion matrix"),
    element("thead", {}, element("tr", {}, element("td"), ...["called normal", "called defective"].map((text) => element("th", { scope: "col" }, text)))),
    element("tbody", {}, row(0), row(1)),
  );
}

/** @param {any} data @param {Count[]} counts */
function rates(data, counts) {
  return ["False alarms", "Defects found"].map((name, label) => {
    const { called, total } = counts[label];
    if (!total) return element("p", { class: "rcae-rate" }, `${name}: no ${NAMES[label]} test image`);
    const [low, high] = data.intervals[label][called];
    const text = `${called} of ${total}: ${percent(called / total)}  [${percent(low)}, ${percent(high)}]`;
    const colour = label ? DEFECTIVE : NORMAL;
    const bar = shape(
      "svg", { viewBox: "0 0 100 8", preserveAspectRatio: "none", role: "img", "aria-label": `${name}: ${text}, 95% interval` },
      shape("rect", { class: "rcae-track", width: 100, height: 8 }),
      shape("rect", { x: 100 * low, width: Math.max(0.5, 100 * (high - low)), height: 8, fill: colour, "fill-opacity": 0.35 }),
      shape("rect", { x: Math.min(98.8, 100 * (called / total)), width: 1.2, height: 8, fill: colour }),
    );
    return element("div", { class: "rcae-rate" }, element("b", {}, name), element("output", {}, text), bar);
  });
}

/** @param {any} data */
function proCurve(data) {
  if (!data.pro.length) return null;
  const words = (/** @type {number[]} */ [x, y]) => `${percent(x)} of the normal pixels above it, ${percent(y)} of a region`;
  const drawn = chart({
    title: "PRO: the same threshold on the map's pixels", x: { low: 0, high: data.pro_limit, label: "normal pixels above it" }, y: { low: 0, high: 1 },
    lines: [{ points: data.pro, colour: DEFECTIVE }], words, width: WIDTH, alt: "PRO curve",
  });
  const note = element("span", { class: "rcae-hint" });
  drawn.element.append(note);
  const show = (/** @type {number} */ threshold) => {
    const point = proPoint(data.pro_thresholds, threshold);
    const beyond = point && point[0] > data.pro_limit;
    const said = point ? `at the threshold ${words(point)}` : "evaluate again for the point of the threshold";
    note.textContent = beyond ? "The point lies to the right of this." : point ? "" : said;
    drawn.redraw({ dots: point && !beyond ? [{ x: point[0], y: point[1], ...POINT }] : [], alt: `per-region overlap over the false-positive rate of pixels; ${said}` });
  };
  return { element: drawn.element, show };
}

/** @param {any} data @param {import("./scale.js").Scale} scale */
function costCurve(data, scale) {
  const x = { ...scale, label: "threshold, axis compressed" };
  const drawn = chart({ title: "Expected cost of an image", x, y: { low: 0, high: 1 }, width: WIDTH, alt: "expected cost" });
  /** @param {Count[][]} outcomes @param {Prices} values @param {number} threshold @param {number | null} price */
  const show = (outcomes, values, threshold, price) => {
    drawn.element.hidden = price === null;
    if (price === null) return;
    /** @type {number[][]} */
    const points = data.steps.map((/** @type {number} */ step, /** @type {number} */ i) => [step, cost(outcomes[i], values)]);
    const scale = ticks(Math.max(1e-9, ...points.map((point) => point[1])));
    drawn.redraw({
      y: { low: 0, high: scale[scale.length - 1], ticks: scale },
      lines: [{ points, colour: NORMAL }],
      dots: [{ x: threshold, y: price, ...POINT }],
      rules: [{ x: data.mark, colour: "var(--quiet)", dashed: true }],
      words: ([x, y]) => `threshold ${short(x)}: ${short(y)} per image`,
      alt: `expected cost of an image over the threshold; at ${short(threshold)} it is ${short(price)}`,
    });
  };
  return { element: drawn.element, show };
}
