// @ts-check
// A curve over the rounds that grows to where the slider stands.
import { shape } from "./dom.js";

const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [216, 112, 34, 40, 10, 18];

/**
 * Where a curve over the rounds stands between two of them: on the straight line.
 * @param {number[]} values n = 0..N
 * @param {number} t
 */
export function at(values, t) {
  const low = Math.min(Math.floor(t), values.length - 1);
  const high = Math.min(low + 1, values.length - 1);
  return values[low] + (t - low) * (values[high] - values[low]);
}

/**
 * @param {object} options
 * @param {string} options.colour a class: what the curve is of
 * @param {{values: number[], name?: string, quiet?: boolean}[]} options.lines the last one leads
 * @param {number} options.t where the slider stands
 * @param {number} options.depth N
 * @param {number} options.top of the axis
 * @param {(value: number) => string} options.text of a value
 * @param {string} options.alt the curve in words
 */
export function growth({ colour, lines, t, depth, top, text, alt }) {
  const x = (/** @type {number} */ n) => LEFT + (n / depth) * (WIDTH - LEFT - RIGHT);
  const y = (/** @type {number} */ value) => HEIGHT - BOTTOM - (Math.min(value, top) / top) * (HEIGHT - TOP - BOTTOM);
  const path = (/** @type {number[]} */ values, /** @type {number} */ end) => {
    const rounds = values.map((_, n) => n).filter((n) => n < end);
    return [...rounds, end].map((n, i) => `${i ? "L" : "M"}${x(n).toFixed(1)} ${y(at(values, n)).toFixed(1)}`).join("");
  };
  const drawn = lines.flatMap(({ values, quiet }) => {
    const last = values.length - 1;
    const end = Math.min(t, last);
    return [
      shape("path", { class: "story-ahead", d: path(values, last) }),
      shape("path", { class: quiet ? "story-quiet" : "story-grown", d: path(values, end) }),
      quiet ? null : shape("circle", { class: "story-dot", cx: x(end), cy: y(at(values, end)), r: 4 }),
    ];
  });
  const names = apart(lines.filter(({ name }) => name).map(({ values, name }) => ({ x: x(values.length - 1) + 6, y: y(values[values.length - 1]) + 3.5, name })));
  const grid = [0, top / 2, top].flatMap((value) => [
    shape("line", { class: "rcae-grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y(value), y2: y(value) }),
    shape("text", { x: LEFT - 5, y: y(value) + 3.5, "text-anchor": "end" }, text(value)),
  ]);
  const rounds = Array.from({ length: depth + 1 }, (_, n) =>
    shape("text", { x: x(n), y: HEIGHT - 4, "text-anchor": "middle" }, String(n)),
  );
  const attributes = { class: `story-growth ${colour}`, viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": alt };
  return shape("svg", attributes, ...grid, ...rounds, ...drawn.filter(Boolean), ...names);
}

/** Names beside the ends of their lines, pushed up where they would cover each other. @param {{x: number, y: number, name?: string}[]} ends */
function apart(ends) {
  /** @type {Record<number, number>} */
  const taken = {};
  return ends.sort((a, b) => b.y - a.y).map(({ x, y, name }) => {
    taken[x] = Math.min(y, (taken[x] ?? Infinity) - 10);
    return shape("text", { class: "story-name", x, y: taken[x] }, name ?? null);
  });
}
