// The pixel probe: value, residual and step-to-step change of some pixels over the depth.
import { button, change, element, short, symbol } from "./dom.js";
import { plot } from "./plot.js";

// Okabe and Ito: they stay apart for colour-blind eyes and on light and dark ground.
export const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];
const HOVER = "#888";
const UNIT = 3 * 255;

/** Follow one pixel: the same numbers as `ExplorerState.probe`. */
export function follow(stack, depth, row, column) {
  const [, height, width] = stack.shape;
  const at = (index) => {
    const from = 3 * ((index * height + row) * width + column);
    return stack.values.subarray(from, from + 3);
  };
  const path = Array.from({ length: depth + 1 }, (_, index) => at(index));
  const sum = (a, b) => Math.abs(a[0] - b[0]) + Math.abs(a[1] - b[1]) + Math.abs(a[2] - b[2]);
  return {
    value: path.map((p) => (p[0] + p[1] + p[2]) / UNIT),
    residual: path.slice(1).map((p) => sum(path[0], p) / UNIT),
    change: path.slice(2).map((p, i) => sum(path[i + 1], p) / UNIT),
  };
}

function bandsOf(quantiles) {
  const column = (index) => quantiles.map((step) => step[index]);
  return [
    { low: column(0), high: column(4), strength: 0.18 },
    { low: column(1), high: column(3), strength: 0.3 },
  ];
}

/** Add a pixel with the first free colour, or drop it if it is there already. */
export function toggle(model, limit, row, column) {
  const probes = model.get("probes");
  const others = probes.filter((probe) => probe[0] !== row || probe[1] !== column);
  if (others.length === probes.length) {
    const kept = others.slice(others.length === limit ? 1 : 0);
    const free = COLOURS.findIndex((_, colour) => !kept.some((probe) => probe[2] === colour));
    change(model, "probes", [...kept, [row, column, free]]);
  } else change(model, "probes", others);
}

/** Draw the plots and the list of probes into `place`. */
export function drawProbes({ model, data, place, hover }) {
  const depth = data.depth;
  const stack = data.images[model.get("image")].frames;
  const pixels = model.get("probes").map(([row, column, colour]) => ({ row, column, colour: COLOURS[colour] }));
  if (hover) pixels.push({ ...hover, colour: HOVER, dashed: true });
  const paths = pixels.map((pixel) => ({ ...pixel, ...follow(stack, depth, pixel.row, pixel.column) }));
  const lines = (name) => paths.map((path) => ({ values: path[name], colour: path.colour, dashed: path.dashed }));
  const now = model.get("depth") - 1;
  const words = (name) => paths.map((path) => `row ${path.row} column ${path.column}: ${path[name].map(short).join(", ")}`).join("; ");
  const steps = Array.from({ length: depth }, (_, i) => i + 1);
  const plots = [
    plot({
      title: ["grey value: image I, then depth 1 to N"], labels: ["I", ...steps], lines: lines("value"), present: now + 1,
      bands: data.normal ? bandsOf(data.normal.value) : [],
      alt: `grey value over the depth; ${words("value") || "no pixel chosen"}`,
    }),
    plot({
      title: ["residual |I − ", symbol("I", "R", "n"), "|"], labels: steps, lines: lines("residual"), present: now,
      bands: data.normal ? bandsOf(data.normal.residual) : [],
      alt: `residual over the depth; ${words("residual") || "no pixel chosen"}`,
    }),
  ];
  if (depth > 1) {
    plots.push(plot({
      title: ["change from step to step"], labels: steps.slice(1).map((n) => `${n - 1}→${n}`), lines: lines("change"),
      bands: data.normal ? bandsOf(data.normal.change) : [], present: now > 0 ? now - 1 : null,
      alt: `change from step to step; ${words("change") || "no pixel chosen"}`,
    }));
  }
  const chips = model.get("probes").map(([row, column, colour]) =>
    button(
      element("span", {}, element("i", { style: `background: ${COLOURS[colour]}` }), `row ${row}, column ${column} ✕`),
      `drop the probe at row ${row}, column ${column}`,
      () => toggle(model, data.max_probes, row, column),
      { class: "rcae-chip" },
    ),
  );
  const legend = data.normal
    ? `Shaded: pixels of ${data.normal.images} normal images, the middle 50% and 98%.`
    : "Give normal images to see where normal pixels lie.";
  const hint = chips.length ? [] : ["Click a pixel to follow it through the depths. "];
  place.replaceChildren(
    element("div", { class: "rcae-chips" }, ...chips, element("span", { class: "rcae-hint" }, ...hint, legend)),
    element("div", { class: "rcae-plots" }, ...plots),
  );
}
