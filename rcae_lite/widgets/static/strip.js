// @ts-check
// The scores as a strip: a mark for every image, a row for every kind, and a threshold to be dragged.
import { element, shape, short } from "./dom.js";
import { apart, clamp, fitted, stack } from "./scale.js";
import { Tip } from "./tip.js";

/**
 * @typedef {{score: number, name: string, defect: string, index?: number}} Item
 * @typedef {{name: string, items: Item[]}} Row
 */

export const NORMAL = "var(--normal)";
export const DEFECTIVE = "var(--defective)";

const NATURAL = 640;
const SIDE = 12; // room beside the axis
const NAME = 16; // and for the name above a row
const TALL = 120; // a row, at most, unless its marks would be too small
const RADII = [4, 3.5, 3, 2.5, 2, 1.5];

/** The kinds of images, from above; each has a shape as well as a colour. @type {Record<string, (x: number, y: number, r: number) => SVGElement>} */
const ROWS = {
  defective: (x, y, r) => shape("path", { d: `M${x} ${y - r}L${x + r} ${y + r}H${x - r}Z`, fill: DEFECTIVE }),
  normal: (x, y, r) => shape("circle", { cx: x, cy: y, r, fill: NORMAL }),
  "held-out normal": (x, y, r) => shape("circle", { cx: x, cy: y, r: r - 0.6, fill: "none", stroke: "var(--quiet)", "stroke-width": 1.2 }),
};

/**
 * The figure, its drawing, what draws the line, and what shows the tooltip of it.
 * @param {object} options
 * @param {any} options.data
 * @param {import("./scale.js").Scale} options.scale of the scores
 * @param {(score: number) => void} options.move to what is under a pointer that drags
 * @param {(index: number) => void} options.open an image that was clicked
 */
export function strip({ data, scale, move, open }) {
  /** @type {import("./outcome.js").TestImage[]} */
  const images = data.images;
  /** @type {Row[]} */
  const rows = [
    { name: "defective", items: images.filter(({ label }) => label === 1) },
    { name: "normal", items: images.filter(({ label }) => label === 0) },
    { name: "held-out normal", items: data.calibration.map((/** @type {number} */ score) => ({ score, name: "an image held out of the training", defect: "normal" })) },
  ].filter(({ items }) => items.length);
  const svg = shape("svg", { tabindex: 0, "aria-label": "threshold among the scores", "aria-valuemin": data.low, "aria-valuemax": data.high });
  const tip = new Tip(svg);
  const line = shape("g", { class: "rcae-handle" });
  const title = element("figcaption", {}, "Scores: drag the line, click an image");
  const figure = element("figure", { class: "rcae-plot rcae-drag" }, title, tip.element);
  /** @type {ReturnType<typeof layout>} */
  let axis;
  /** @type {[number, string] | null} */
  let now = null; // what is shown

  /** @param {number} width */
  function draw(width) {
    axis = layout(rows, data.mark, scale, width);
    svg.replaceChildren(line, ...axis.drawn);
    for (const [name, value] of Object.entries({ viewBox: `0 0 ${width} ${axis.height}`, width, height: axis.height })) svg.setAttribute(name, String(value));
    tip.renew(axis.marks);
    if (now) show(...now);
  }

  /** @param {number} threshold @param {string} words */
  function show(threshold, words) {
    now = [threshold, words];
    const x = axis.px(threshold);
    line.replaceChildren(
      shape("line", { x1: x, x2: x, y1: 6, y2: axis.floor }),
      shape("rect", { x: x - 6, y: 0, width: 12, height: 12, rx: 3 }),
    );
    svg.setAttribute("aria-valuenow", String(threshold));
    svg.setAttribute("aria-valuetext", words);
  }

  const tell = () => now && tip.show({ x: axis.px(now[0]), y: 6, text: now[1] });
  fitted(title, NATURAL, draw);
  listen(svg, {
    drag: (event) => {
      const { left, width } = svg.getBoundingClientRect();
      move(axis.score(((event.clientX - left) / width) * svg.viewBox.baseVal.width));
      tell();
    },
    click: (event) => {
      const found = tip.nearest(event);
      if (!found || found.distance > axis.radius + 3 || found.mark.index === undefined) return false;
      open(found.mark.index);
      return true;
    },
  });
  return { element: figure, svg, show, tell };
}

/**
 * Places of all marks and of the axis, at a width.
 * @param {Row[]} rows
 * @param {number} threshold
 * @param {import("./scale.js").Scale} scale
 * @param {number} width
 */
function layout(rows, threshold, { bend, back, ...ends }, width) {
  const [span, low, high] = [width - 2 * SIDE, bend(ends.low), bend(ends.high)];
  const px = (/** @type {number} */ score) => SIDE + clamp((bend(score) - low) / (high - low), 0, 1) * span;
  const score = (/** @type {number} */ x) => back(low + clamp((x - SIDE) / span, 0, 1) * (high - low));
  const stacks = (/** @type {number} */ r) => rows.map(({ items }) => stack(items.map((item) => px(item.score)), 2 * r + 0.5));
  const radius = RADII.find((r) => stacks(r).every(({ height }) => height * (2 * r + 0.5) <= TALL)) ?? RADII[RADII.length - 1];
  /** @type {SVGElement[]} */
  const drawn = [];
  /** @type {import("./tip.js").Mark[]} */
  const marks = [];
  let floor = 8;
  stacks(radius).forEach(({ levels, height }, row) => {
    const { name, items } = rows[row];
    floor += NAME + (2 * radius + 0.5) * height;
    drawn.push(shape("line", { class: "rcae-grid", x1: SIDE, x2: width - SIDE, y1: floor + 1.5, y2: floor + 1.5 }));
    items.forEach((item, i) => {
      const [x, y] = [px(item.score), floor - radius - (2 * radius + 0.5) * levels[i]];
      drawn.push(ROWS[name](x, y, radius));
      marks.push({ x, y, index: item.index, text: `${item.name}: ${item.defect}, score ${short(item.score)}` });
    });
    drawn.push(shape("text", { x: width - SIDE, y: floor - (2 * radius + 0.5) * height - 4, "text-anchor": "end" }, `${name}: ${items.length}`));
    floor += 6;
  });
  const numbers = apart(ends.low, ends.high, px).map((value) => shape("text", { x: px(value), y: floor + 12, "text-anchor": "middle" }, short(value)));
  const mark = shape("line", { class: "rcae-rule", stroke: "var(--quiet)", "stroke-dasharray": "3 3", x1: px(threshold), x2: px(threshold), y1: 6, y2: floor });
  const label = shape("text", { x: width / 2, y: floor + 27, "text-anchor": "middle" }, "score, axis compressed; dashed: from normals");
  return { px, score, radius, floor, height: floor + 32, marks, drawn: [mark, ...drawn, ...numbers, label] };
}

/**
 * A press on a mark that does not move is a click; all else drags.
 * @param {SVGElement} svg
 * @param {{drag: (event: PointerEvent) => void, click?: (event: PointerEvent) => boolean}} act click: whether it was on a mark
 */
export function listen(svg, { drag, click = () => false }) {
  /** @type {{x: number, y: number, moved: boolean} | null} */
  let start = null;
  svg.addEventListener("pointerdown", (event) => {
    start = { x: event.clientX, y: event.clientY, moved: false };
    svg.setPointerCapture(event.pointerId);
  });
  svg.addEventListener("pointermove", (event) => {
    if (!start) return;
    start.moved ||= Math.hypot(event.clientX - start.x, event.clientY - start.y) > 3;
    if (start.moved) drag(event);
  });
  svg.addEventListener("pointerup", (event) => {
    if (start && !start.moved && !click(event)) drag(event);
    start = null;
  });
  svg.addEventListener("pointercancel", () => (start = null));
}
