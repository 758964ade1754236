// @ts-check
// The pixel probe: value, residual and step-to-step change of some pixels over the depth.
import { button, change, element, short, symbol } from "./dom.js";
import { plot } from "./plot.js";

/**
 * @typedef {import("./canvas.js").Pixel} Pixel
 * @typedef {import("./canvas.js").Stack} Stack
 * @typedef {[number, number, number]} Probe row, column and index of the colour
 * @typedef {"value" | "residual" | "change"} Quantity what is plotted over the depth
 */

// Okabe and Ito: they stay apart for colour-blind eyes and on light and dark ground.
export const COLOURS = ["var(--normal)", "var(--defective)", "var(--good)", "#cc79a7", "#e69f00", "light-dark(#56b4e9, #c3e6fb)"];
const HOVER = "#888";
const UNIT = 3 * 255;

/** Follow one pixel: the same numbers as `ExplorerState.probe`. @param {Stack} stack @param {number} depth @param {number} row @param {number} column */
export function follow(stack, depth, row, column) {
  const [, height, width] = stack.shape;
  const at = (/** @type {number} */ index) => {
    const from = 3 * ((index * height + row) * width + column);
    return stack.values.subarray(from, from + 3);
  };
  const path = Array.from({ length: depth + 1 }, (_, index) => at(index));
  const sum = (/** @type {Uint8Array} */ a, /** @type {Uint8Array} */ b) => Math.abs(a[0] - b[0]) + Math.abs(a[1] - b[1]) + Math.abs(a[2] - b[2]);
  return {
    value: path.map((p) => (p[0] + p[1] + p[2]) / UNIT),
    residual: path.slice(1).map((p) => sum(path[0], p) / UNIT),
    change: path.slice(2).map((p, i) => sum(path[i + 1], p) / UNIT),
  };
}

/** Where normal pixels at the same place lie: the same numbers as `ExplorerState.band`. @param {any} data @param {Quantity} name @param {Pixel} pixel */
function bandsOf(data, name, { row, column }) {
  const { shape, values } = data.bands[name];
  const [, steps, high, wide] = shape;
  const { side } = data.normal;
  const at = Math.floor(row / side) * wide + Math.floor(column / side);
  const quantile = (/** @type {number} */ q) => Array.from({ length: steps }, (_, k) => values[(q * steps + k) * high * wide + at] / 255);
  return [
    { low: quantile(0), high: quantile(4), strength: 0.18 },
    { low: quantile(1), high: quantile(3), strength: 0.3 },
  ];
}

/** A pixel in words; without a defect nothing is in or outside of it. @param {Pixel} pixel @param {Stack | null} mask @param {number} width */
export function whereIs({ row, column }, mask, width) {
  const known = mask?.values.some((value) => value > 0);
  const where = mask?.values[row * width + column] ? ", in the defect" : ", outside the defect";
  return `row ${row}, column ${column}${known ? where : ""}`;
}

/** Add a pixel with the first free colour, or drop it if it is there already. @param {any} model @param {number} limit @param {number} row @param {number} column */
export function toggle(model, limit, row, column) {
  /** @type {Probe[]} */
  const probes = model.get("probes");
  const others = probes.filter((probe) => probe[0] !== row || probe[1] !== column);
  if (others.length === probes.length) {
    const kept = others.slice(others.length === limit ? 1 : 0);
    const free = COLOURS.findIndex((_, colour) => !kept.some((probe) => probe[2] === colour));
    change(model, "probes", [...kept, [row, column, free]]);
  } else change(model, "probes", others);
}

/**
 * Draw the plots and the list of probes into `place`; `left` gets the focus of the last one.
 * @param {{model: any, data: any, place: HTMLElement, hover: Pixel | null, left: HTMLElement}} options
 */
export function drawProbes({ model, data, place, hover, left }) {
  const depth = data.depth;
  const { frames: stack } = data.images[model.get("image")];
  /** @type {(import("./canvas.js").Mark & {dashed?: boolean})[]} */
  const pixels = model.get("probes").map((/** @type {Probe} */ [row, column, colour]) => ({ row, column, colour: COLOURS[colour] }));
  if (hover) pixels.push({ ...hover, colour: HOVER, dashed: true });
  const current = pixels[pixels.length - 1]; // whose place the band is of
  const bands = (/** @type {Quantity} */ name) => (data.bands && current ? bandsOf(data, name, current) : []);
  const paths = pixels.map((pixel) => ({ ...pixel, ...follow(stack, depth, pixel.row, pixel.column) }));
  const lines = (/** @type {Quantity} */ name) => paths.map((path) => ({ values: path[name], colour: path.colour, dashed: path.dashed, name: `row ${path.row}, column ${path.column}` }));
  const now = model.get("depth") - 1;
  const words = (/** @type {Quantity} */ name) => paths.map((path) => `row ${path.row} column ${path.column}: ${path[name].map(short).join(", ")}`).join("; ");
  const steps = Array.from({ length: depth }, (_, i) => i + 1);
  const plots = [
    plot({
      title: ["grey value: image I, then depth 1 to N"], labels: ["I", ...steps], lines: lines("value"), present: now + 1,
      bands: bands("value"),
      alt: `grey value over the depth; ${words("value") || "no pixel chosen"}`,
    }),
    plot({
      title: ["residual |I − ", symbol("I", "R", "n"), "|"], labels: steps, lines: lines("residual"), present: now,
      bands: bands("residual"),
      alt: `residual over the depth; ${words("residual") || "no pixel chosen"}`,
    }),
  ];
  if (depth > 1) {
    plots.push(plot({
      title: ["change from step to step"], labels: steps.slice(1).map((n) => `${n - 1}→${n}`), lines: lines("change"),
      bands: bands("change"), present: now > 0 ? now - 1 : null,
      alt: `change from step to step; ${words("change") || "no pixel chosen"}`,
    }));
  }
  const shown = JSON.stringify([model.get("image"), model.get("probes")]);
  if (place.dataset.shown !== shown) { // else a chip keeps the focus
    place.dataset.shown = shown;
    place.replaceChildren(chipsOf({ model, data, place, left }), element("div", { class: "rcae-plots" }));
  }
  place.lastElementChild?.replaceChildren(...plots);
}

/**
 * A button for every probe, which drops it, and what the bands mean.
 * @param {{model: any, data: any, place: HTMLElement, left: HTMLElement}} options
 */
function chipsOf({ model, data, place, left }) {
  const { mask } = data.images[model.get("image")];
  const chips = model.get("probes").map((/** @type {Probe} */ [row, column, colour], /** @type {number} */ index) =>
    button(
      element("span", {}, element("i", { style: `background: ${COLOURS[colour]}` }), `${whereIs({ row, column }, mask, data.width)} ✕`),
      `drop the probe at ${whereIs({ row, column }, mask, data.width)}`,
      () => {
        toggle(model, data.max_probes, row, column);
        const others = /** @type {NodeListOf<HTMLElement>} */ (place.querySelectorAll(".rcae-chip"));
        (others[Math.min(index, others.length - 1)] ?? left).focus();
      },
      { class: "rcae-chip" },
    ),
  );
  const hint = chips.length ? [] : ["Click a pixel to follow it through the depths. "];
  return element("div", { class: "rcae-chips" }, ...chips, element("span", { class: "rcae-hint" }, ...hint, legend(data.normal)));
}

/** What the shaded bands are. @param {{side: number, images: number} | null} normal */
function legend(normal) {
  if (!normal) return "Give normal images to see where normal pixels lie.";
  const place = `the same place, ${normal.side} × ${normal.side} pixels, in ${normal.images} normal images`;
  return `Shaded, for the last pixel: ${place}, the middle 50% and 98%. Of use where parts lie still.`;
}
