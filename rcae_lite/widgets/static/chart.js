// @ts-check
// Charts with numbers on both axes: curves, bands, points, rules, and a tooltip. Drawn at their
// natural size or, where there is less room, narrower.
import { element, shape, short } from "./dom.js";
import { apart, between, clamp, fitted } from "./scale.js";
import { Tip } from "./tip.js";

/**
 * @typedef {number[]} Point [x, y]
 * @typedef {object} Axis
 * @property {number} low
 * @property {number} high
 * @property {string} [label] its name
 * @property {number[]} [ticks] where numbers stand
 * @property {(value: number) => string} [text] what stands there
 * @property {number | null} [now] which of them is marked
 * @property {(value: number) => number} [bend] what makes the axis uneven
 *
 * @typedef {{points: number[][], strength: number}} Band a shaded area, points [x, low, high]
 * @typedef {object} Line
 * @property {Point[]} points
 * @property {Point[]} [drawn] as far as it goes now; what is ahead is hinted at
 * @property {string} colour
 * @property {boolean} [dashed]
 * @property {boolean} [dotted]
 * @property {boolean} [thin]
 * @property {string} [name]
 * @typedef {{x: number, y: number, colour: string, big?: boolean, hollow?: boolean, name?: string, text?: string}} Dot
 * @typedef {{x: number, colour: string, dashed?: boolean}} Rule a vertical line over the whole height
 *
 * @typedef {object} Options
 * @property {string | (string | Node)[]} title above the chart
 * @property {Axis} x
 * @property {Axis} y
 * @property {Band[]} bands
 * @property {Line[]} lines
 * @property {Dot[]} dots
 * @property {Rule[]} rules
 * @property {(point: Point, of: any, index?: number) => string} words a point of a line or a dot, for the tooltip
 * @property {boolean} named whether names stand at the ends of the lines, where there is room
 * @property {string} alt the chart in words
 * @property {number} width in pixels: an upper limit
 * @property {number} height in pixels
 * @property {number} [low] the height where there is little room
 *
 * @typedef {ReturnType<typeof places>} Places
 * @typedef {ReturnType<typeof chart>} Chart
 */

const LEFT = 40;
const RIGHT = 10;
const NAMES = 44; // pixels for the names at the ends of lines
const WIDE = 180; // from here on there is room, for names, too
const TOP = 8;

/**
 * A chart: the figure, its drawing and tooltip; where values stand; and what draws it anew with some
 * options changed.
 * @param {Partial<Options> & Pick<Options, "title" | "x" | "y" | "alt">} options
 */
export function chart(options) {
  const svg = shape("svg", { role: "img", tabindex: 0 });
  const tip = new Tip(svg);
  const title = element("figcaption");
  /** @type {Options} */
  let given = { width: 280, height: 190, named: false, bands: [], lines: [], dots: [], rules: [], words: ([x]) => `${given.x.label} ${short(x)}`, ...options };
  let room = given.width;
  const redraw = (/** @type {Partial<Options>} */ changed = {}) => {
    given = { ...given, ...changed };
    const all = { ...given, height: (room < WIDE && given.low) || given.height };
    drawn.at = places(all, room);
    title.replaceChildren(...[all.title].flat());
    for (const [name, value] of Object.entries({ viewBox: `0 0 ${room} ${all.height}`, width: room, height: all.height, "aria-label": all.alt })) svg.setAttribute(name, String(value));
    svg.replaceChildren(...axes(all, drawn.at), ...content(all, drawn.at));
    tip.renew(marks(all, drawn.at));
  };
  const drawn = { element: element("figure", { class: "rcae-plot" }, title, tip.element), svg, tip, at: places(given, room), redraw };
  fitted(title, given.width, (width) => {
    room = width;
    redraw();
  });
  return drawn;
}

/** Where values stand. @param {Options} options @param {number} width */
function places({ x, y, height, named }, width) {
  const names = named && width >= WIDE;
  const right = width - (names ? NAMES : RIGHT);
  const floor = height - (x.label ? 36 : 22);
  const even = (/** @type {number} */ value) => value;
  const share = (/** @type {number} */ value, /** @type {Axis} */ { low, high, bend = even }) => (bend(clamp(value, low, high)) - bend(low)) / (bend(high) - bend(low));
  return {
    right,
    floor,
    names,
    px: (/** @type {number} */ value) => LEFT + share(value, x) * (right - LEFT),
    py: (/** @type {number} */ value) => floor - share(value, y) * (floor - TOP),
  };
}

/** @param {Options} options @param {Places} at */
function axes({ x, y, height }, { px, py, floor, right }) {
  const text = (/** @type {Axis} */ axis, /** @type {number} */ value) => (axis.text ? axis.text(value) : short(value));
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

/** @param {Options} options @param {Places} at */
function content({ bands, lines, rules, dots }, { px, py, floor, names }) {
  const path = (/** @type {Point[]} */ points) => points.map(([x, y]) => `${px(x).toFixed(1)},${py(y).toFixed(1)}`).join(" ");
  return [
    ...bands.map(({ points, strength }) => {
      const [low, high] = [1, 2].map((end) => points.map((point) => [point[0], point[end]]));
      return shape("polygon", { class: "rcae-band", "fill-opacity": strength, points: path([...high, ...low.reverse()]) });
    }),
    ...rules.map((rule) => shape("line", { class: "rcae-rule", stroke: rule.colour, x1: px(rule.x), x2: px(rule.x), y1: TOP, y2: floor, "stroke-dasharray": rule.dashed ? "3 3" : null })),
    ...lines.flatMap(({ points, drawn, colour, dashed, dotted, thin }) => [
      ...(drawn ? [shape("polyline", { class: "rcae-line rcae-ahead", points: path(points) })] : []),
      shape("polyline", { class: thin ? "rcae-line rcae-thin" : "rcae-line", stroke: colour, "stroke-dasharray": dashed ? "4 3" : null, points: path(drawn ?? points) }),
      ...(dotted ? points.map(([x, y]) => shape("circle", { cx: px(x), cy: py(y), r: 2.5, fill: colour })) : []),
    ]),
    ...dots.map((dot) => shape("circle", {
      cx: px(dot.x), cy: py(dot.y), r: dot.big ? 5 : 2.6, fill: dot.hollow ? "none" : dot.colour,
      stroke: dot.hollow ? dot.colour : "none", "stroke-width": 1.6, "fill-opacity": dot.big ? 1 : 0.75,
    })),
    ...(names ? ends(lines, px, py) : []),
  ];
}

/** The names of lines at their ends, pushed up where they would cover each other. @param {Line[]} lines @param {Places["px"]} px @param {Places["py"]} py */
function ends(lines, px, py) {
  /** @type {Record<number, number>} */
  const taken = {};
  const places = lines.map(({ points, name }) => ({ x: px(points[points.length - 1][0]) + 6, y: py(points[points.length - 1][1]) + 3.5, name: name ?? null }));
  return places.sort((a, b) => b.y - a.y).map(({ x, y, name }) => {
    taken[x] = Math.min(y, (taken[x] ?? Infinity) - 10);
    return shape("text", { class: "rcae-end", x, y: taken[x] }, name);
  });
}

/** @param {Options} options @param {Places} at */
function marks({ lines, dots, words }, { px, py }) {
  const of = (/** @type {Point} */ [x, y], /** @type {string} */ text) => ({ x: px(x), y: py(y), text });
  return [
    ...lines.flatMap((line) => line.points.map((point, i) => of(point, words(point, line, i)))),
    ...dots.map((dot) => of([dot.x, dot.y], dot.text ?? words([dot.x, dot.y], dot))),
  ];
}
