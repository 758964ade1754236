// Charts with numbers on both axes: curves, bands, points, rules, and a tooltip. Drawn at their
// natural size or, where there is less room, narrower.
import { element, shape, short } from "./dom.js";
import { apart, between, clamp, fitted } from "./scale.js";
import { Tip } from "./tip.js";

const LEFT = 40;
const RIGHT = 10;
const TOP = 8;

/**
 * A chart.
 *
 * @param title above it: a text, or a list of texts and nodes
 * @param x, y  {low, high, label, ticks, text, now, bend}: ends of the axis, its name, where numbers
 *   stand, what stands there, which of them is marked, and what makes the axis uneven
 * @param bands [{points: [[x, low, high]], strength}]: shaded areas
 * @param lines [{points: [[x, y]], colour, dashed, dotted, name}]
 * @param dots  [{x, y, colour, big, hollow, text}]
 * @param rules [{x, colour, dashed}]: vertical lines over the whole height
 * @param words a point, its line and its index there in words, for the tooltip; a dot may have a
 *   text of its own
 * @param alt   the chart in words
 * @param width, height in pixels; the width is an upper limit
 * @return {element, svg, tip, at, redraw}: the figure, its drawing and tooltip; where values stand;
 *   and what draws it anew with some options changed
 */
export function chart(options) {
  const svg = shape("svg", { role: "img", tabindex: 0 });
  const tip = new Tip(svg);
  const title = element("figcaption");
  const drawn = { element: element("figure", { class: "rcae-plot" }, title, tip.element), svg, tip };
  let all = { width: 280, height: 190, bands: [], lines: [], dots: [], rules: [], words: ([x]) => `${all.x.label} ${short(x)}`, ...options };
  let room = all.width;
  drawn.redraw = (changed) => {
    all = { ...all, ...changed };
    drawn.at = places(all, room);
    title.replaceChildren(...[all.title].flat());
    for (const [name, value] of Object.entries({ viewBox: `0 0 ${room} ${all.height}`, width: room, height: all.height, "aria-label": all.alt })) svg.setAttribute(name, value);
    svg.replaceChildren(...axes(all, drawn.at), ...content(all, drawn.at));
    tip.renew(marks(all, drawn.at));
  };
  fitted(title, all.width, (width) => {
    room = width;
    drawn.redraw();
  });
  return drawn;
}

/** Where values stand, and which value of x stands under a pointer. */
function places({ x, y, height }, width) {
  const right = width - RIGHT;
  const floor = height - (x.label ? 36 : 22);
  const even = (value) => value;
  const share = (value, { low, high, bend = even }) => (bend(clamp(value, low, high)) - bend(low)) / (bend(high) - bend(low));
  return {
    right,
    floor,
    px: (value) => LEFT + share(value, x) * (right - LEFT),
    py: (value) => floor - share(value, y) * (floor - TOP),
  };
}

function axes({ x, y, height }, { px, py, floor, right }) {
  const text = (axis, value) => (axis.text ? axis.text(value) : short(value));
  const grid = (y.ticks ?? between(y.low, y.high)).flatMap((value) => [
    shape("line", { class: "rcae-grid", x1: LEFT, x2: right, y1: py(value), y2: py(value) }),
    shape("text", { x: LEFT - 5, y: py(value) + 3.5, "text-anchor": "end" }, text(y, value)),
  ]);
  const numbers = (x.ticks ?? (x.bend ? apart(x.low, x.high, px) : between(x.low, x.high))).map((value) =>
    shape("text", { x: px(value), y: floor + 14, "text-anchor": "middle", class: value === x.now ? "rcae-now" : null }, text(x, value)),
  );
  const name = x.label ? [shape("text", { x: (LEFT + right) / 2, y: height - 6, "text-anchor": "middle" }, x.label)] : [];
  return [...grid, ...numbers, ...name];
}

function content({ bands, lines, rules, dots }, { px, py, floor }) {
  const path = (points) => points.map(([x, y]) => `${px(x).toFixed(1)},${py(y).toFixed(1)}`).join(" ");
  return [
    ...bands.map(({ points, strength }) => {
      const [low, high] = [1, 2].map((end) => points.map((point) => [point[0], point[end]]));
      return shape("polygon", { class: "rcae-band", "fill-opacity": strength, points: path([...high, ...low.reverse()]) });
    }),
    ...rules.map((rule) => shape("line", { class: "rcae-rule", stroke: rule.colour, x1: px(rule.x), x2: px(rule.x), y1: TOP, y2: floor, "stroke-dasharray": rule.dashed ? "3 3" : null })),
    ...lines.flatMap(({ points, colour, dashed, dotted }) => [
      shape("polyline", { class: "rcae-line", stroke: colour, "stroke-dasharray": dashed ? "4 3" : null, points: path(points) }),
      ...(dotted ? points.map(([x, y]) => shape("circle", { cx: px(x), cy: py(y), r: 2.5, fill: colour })) : []),
    ]),
    ...dots.map((dot) => shape("circle", {
      cx: px(dot.x), cy: py(dot.y), r: dot.big ? 5 : 2.6, fill: dot.hollow ? "none" : dot.colour,
      stroke: dot.hollow ? dot.colour : "none", "stroke-width": 1.6, "fill-opacity": dot.big ? 1 : 0.75,
    })),
  ];
}

function marks({ lines, dots, words }, { px, py }) {
  const of = ([x, y], text) => ({ x: px(x), y: py(y), text });
  return [
    ...lines.flatMap((line) => line.points.map((point, i) => of(point, words(point, line, i)))),
    ...dots.map((dot) => of([dot.x, dot.y], dot.text ?? words([dot.x, dot.y], dot))),
  ];
}
