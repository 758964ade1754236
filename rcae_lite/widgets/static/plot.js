// Small line plots in SVG: bands behind, lines in front, one mark for the present depth.
import { element, shape, short } from "./dom.js";

const WIDTH = 280;
const HEIGHT = 150;
const LEFT = 38;
const RIGHT = 8;
const TOP = 8;
const BOTTOM = 24;

/** The next round number that is not below `rough`. */
export function roundStep(rough) {
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
}

/** Round steps from 0 that cover `top`: three to five of them. */
export function ticks(top) {
  const step = roundStep(top / 4);
  const count = Math.ceil(top / step - 1e-9);
  return Array.from({ length: count + 1 }, (_, i) => Number((i * step).toPrecision(6)));
}

/**
 * A plot over the depth.
 *
 * @param title  above the plot, with its unit: texts and nodes
 * @param labels what stands below each step
 * @param bands  [{low, high, strength}], one value per step: drawn as shaded areas
 * @param lines  [{values, colour, dashed}], one value per step
 * @param present index of the step to mark, or null
 * @param alt    the plot in words
 */
export function plot({ title, labels, bands = [], lines = [], present = null, alt }) {
  const all = [...bands.flatMap((band) => band.high), ...lines.flatMap((line) => line.values)];
  const scale = ticks(Math.max(0, ...all) || 1);
  const top = scale[scale.length - 1];
  const span = WIDTH - LEFT - RIGHT;
  const x = (i) => (labels.length === 1 ? LEFT + span / 2 : LEFT + 8 + (i * (span - 16)) / (labels.length - 1));
  const y = (value) => HEIGHT - BOTTOM - (value / top) * (HEIGHT - TOP - BOTTOM);
  const points = (values) => values.map((value, i) => `${x(i).toFixed(1)},${y(value).toFixed(1)}`);

  const grid = scale.flatMap((value) => [
    shape("line", { class: "rcae-grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y(value), y2: y(value) }),
    shape("text", { x: LEFT - 5, y: y(value) + 3.5, "text-anchor": "end" }, short(value)),
  ]);
  const axis = labels.map((text, i) =>
    shape("text", { x: x(i), y: HEIGHT - 8, "text-anchor": "middle", class: i === present && "rcae-now" }, text),
  );
  const shaded = bands.map(({ low, high, strength }) =>
    shape("polygon", {
      class: "rcae-band", "fill-opacity": strength,
      points: [...points(high), ...points(low).reverse()].join(" "),
    }),
  );
  const mark = present === null ? [] : [
    shape("line", { class: "rcae-present", x1: x(present), x2: x(present), y1: TOP, y2: HEIGHT - BOTTOM }),
  ];
  const drawn = lines.flatMap(({ values, colour, dashed }) => [
    shape("polyline", {
      class: "rcae-line", stroke: colour, points: points(values).join(" "), "stroke-dasharray": dashed && "4 3",
    }),
    ...values.map((value, i) => shape("circle", { cx: x(i), cy: y(value), r: 2.5, fill: colour })),
  ]);
  const frame = { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": alt };
  return element(
    "figure",
    { class: "rcae-plot" },
    element("figcaption", {}, ...title),
    shape("svg", frame, ...grid, ...shaded, ...mark, ...drawn, ...axis),
  );
}
