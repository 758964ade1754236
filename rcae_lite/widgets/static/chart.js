// Charts with numbers on both axes: histograms, curves, points, rules.
import { element, shape, short } from "./dom.js";
import { roundStep } from "./plot.js";

const HEIGHT = 190;
const LEFT = 40;
const RIGHT = 10;
const TOP = 8;
const BOTTOM = 36;

/** Round numbers between two ends: three to eight of them. */
export function between(low, high) {
  const size = roundStep((high - low) / 7);
  const first = Math.ceil(low / size - 1e-9);
  const count = Math.floor(high / size + 1e-9) - first + 1;
  return Array.from({ length: count }, (_, i) => Number(((first + i) * size).toPrecision(6)));
}

/**
 * A chart.
 *
 * @param title above it
 * @param x, y  {low, high, label, ticks}: ends of the axis, its name, where numbers stand
 * @param bars  [{from, to, height, colour}]
 * @param lines [{points: [[x, y]], colour, dashed}]
 * @param dots  [{x, y, colour, big, hollow}]
 * @param rules [{x, colour, dashed, text}]: vertical lines over the whole height
 * @param alt   the chart in words
 * @return {element, valueAt(event)}: the figure, and the x under a pointer
 */
export function chart({ title, x, y, bars = [], lines = [], dots = [], rules = [], alt, width = 280 }) {
  const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
  const px = (value) => LEFT + ((clamp(value, x.low, x.high) - x.low) / (x.high - x.low)) * (width - LEFT - RIGHT);
  const floor = HEIGHT - BOTTOM;
  const py = (value) => floor - ((clamp(value, y.low, y.high) - y.low) / (y.high - y.low)) * (floor - TOP);
  const grid = (y.ticks ?? between(y.low, y.high)).flatMap((value) => [
    shape("line", { class: "rcae-grid", x1: LEFT, x2: width - RIGHT, y1: py(value), y2: py(value) }),
    shape("text", { x: LEFT - 5, y: py(value) + 3.5, "text-anchor": "end" }, y.text ? y.text(value) : short(value)),
  ]);
  const numbers = (x.ticks ?? between(x.low, x.high)).map((value) =>
    shape("text", { x: px(value), y: floor + 13, "text-anchor": "middle" }, short(value)),
  );
  const name = shape("text", { x: (LEFT + width - RIGHT) / 2, y: HEIGHT - 6, "text-anchor": "middle" }, x.label);
  const drawn = [
    ...bars.map((bar) => shape("rect", {
      x: px(bar.from), y: py(bar.height), width: Math.max(0, px(bar.to) - px(bar.from)), height: floor - py(bar.height), fill: bar.colour,
    })),
    ...lines.map(({ points, colour, dashed }) => shape("polyline", {
      class: "rcae-line", stroke: colour, "stroke-dasharray": dashed && "4 3",
      points: points.map((point) => `${px(point[0]).toFixed(1)},${py(point[1]).toFixed(1)}`).join(" "),
    })),
    ...rules.flatMap((rule) => [
      shape("line", { class: "rcae-rule", stroke: rule.colour, x1: px(rule.x), x2: px(rule.x), y1: TOP, y2: floor, "stroke-dasharray": rule.dashed && "3 3" }),
      rule.grip && shape("circle", { cx: px(rule.x), cy: TOP + 4, r: 5, fill: rule.colour }),
    ]).filter(Boolean),
    ...dots.map((dot) => shape("circle", {
      cx: px(dot.x), cy: py(dot.y), r: dot.big ? 5 : 2.6, fill: dot.hollow ? "none" : dot.colour,
      stroke: dot.hollow ? dot.colour : "none", "stroke-width": 1.6, "fill-opacity": dot.big ? 1 : 0.75,
    })),
  ];
  const svg = shape("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": alt }, ...grid, ...drawn, ...numbers, name);
  const valueAt = (event) => {
    const box = svg.getBoundingClientRect();
    const at = ((event.clientX - box.left) / box.width) * width;
    return clamp(x.low + ((at - LEFT) / (width - LEFT - RIGHT)) * (x.high - x.low), x.low, x.high);
  };
  return { element: element("figure", { class: "rcae-plot" }, element("figcaption", {}, title), svg), valueAt };
}
