// @ts-check
// The stage: the picture under the brush, two magnifiers, curves and the map. It draws; it decides nothing.
import { distance, fill, lookup, outline } from "./canvas.js";
import { button, change, element, pen, shape, short, slider } from "./dom.js";
import { fade } from "./fade.js";
import { at, Growth } from "./growth.js";

/** @typedef {import("./machine.js").Found} Found */

/** @type {Record<string, string>} */
export const NETWORKS = { rcae: "RcAE", dpn: "RcAE + DPN", single: "Single pass", resize: "Plain resizing" };
/** @type {Record<string, string>} */
const SHORT = { rcae: "RcAE", dpn: "+ DPN", single: "single", resize: "resize" };
const VIEWS = { picture: "Copy", difference: "Difference" };
export const INKS = { scratch: "scratch", strange: "a strange colour", own: "the picture's own light colour" };
const DIFFERENCE = 255; // sum over the channels that gets the last colour

export const percent = (/** @type {number} */ share) => `${Math.round(100 * share)}%`;
export const grey = (/** @type {number} */ levels) => levels.toFixed(1);

/** A canvas that shows a part of a picture. */
class Picture {
  /** @param {number} height @param {number} width @param {string} name */
  constructor(height, width, name) {
    this.canvas = element("canvas", { height, width, role: "img", "data-panel": name });
    this.context = pen(this.canvas);
  }

  /** @param {Uint8Array} rgb (H, W, 3) @param {number} width of it @param {{row: number, column: number}} from @param {string} alt */
  show(rgb, width, from, alt) {
    fill(this.context, rgb, width, from);
    this.canvas.setAttribute("aria-label", alt);
  }
}

/** Where the slider stands, in words. @param {number} t @param {number} depth */
export function roundName(t, depth) {
  if (t === 0) return "n = 0, the picture itself";
  if (Number.isInteger(t)) return `n = ${t} of ${depth}`;
  return `between n = ${Math.floor(t)} and ${Math.ceil(t)}`;
}

export class Stage {
  /**
   * @param {HTMLElement} place
   * @param {any} data
   * @param {Uint8Array} colours of the map
   * @param {import("./model.js").LocalModel} model
   * @param {{play: () => void, undo: () => void, clear: () => void, open: (file: File) => void}} act
   */
  constructor(place, data, colours, model, act) {
    this.data = data;
    this.colours = colours;
    this.model = model;
    const { height, width } = data;
    const lens = 2 * Math.round(height / 10);
    this.lens = lens;
    this.main = new Picture(height, width, "main");
    this.defect = new Picture(lens, lens, "defect");
    this.edge = new Picture(lens, lens, "edge");
    this.map = new Picture(height, width, "map");
    this.marks = shape("svg", { class: "story-marks", viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
    this.badge = element("span", { class: "story-badge", "aria-hidden": "true" });
    this.sheet = element("div", { class: "story-sheet", tabindex: "0" }, this.main.canvas, this.marks, this.badge);
    this.captions = { defect: element("figcaption"), edge: element("figcaption") };
    this.verdict = element("output", { class: "story-verdict", "aria-live": "polite" });
    this.bar = element("div", { class: "story-score", "aria-hidden": "true" });
    this.curves = {
      copied: new Growth("defect", "Stroke still there", data.depth, percent),
      error: new Growth("part", ["Part off by", long(", grey levels")], data.depth, short),
    };
    this.playing = button("▶", "play the rounds", act.play, { class: "story-play" });
    this.undo = button("Undo", "undo the last stroke (Ctrl+Z)", act.undo);
    this.clear = button("Clean", "take all paint off", act.clear);
    this.status = element("p", { class: "story-status", role: "status" }, "Starting the networks …");
    this.slider = element("input", { type: "range", min: 0, max: data.depth, step: 0.01, "data-control": "t", "aria-label": "rounds, n" });
    /** @type {SVGElement | null} */
    this.cursor = null;
    const networks = Object.keys(NETWORKS).filter((name) => name !== "single" || data.single !== null);
    place.append(
      element("div", { class: "story-bar" }, this.inks(), slider({ model, name: "size", label: "Size", low: 1, high: Math.round(height / 5), text: (/** @type {number} */ n) => `${n} px` }), element("span", { class: "rcae-buttons" }, this.undo, this.clear), opener(act.open)),
      element(
        "div",
        { class: "story-screen" },
        this.sheet,
        element("figure", { class: "story-lens defect" }, this.defect.canvas, this.captions.defect),
        element("figure", { class: "story-lens part" }, this.edge.canvas, this.captions.edge),
      ),
      element("div", { class: "story-transport" }, this.playing, this.rounds()),
      element(
        "div",
        { class: "story-choices" },
        choice(model, "network", "Network", Object.fromEntries(networks.map((name) => [name, NETWORKS[name]]))),
        choice(model, "view", "Show", VIEWS),
      ),
      element(
        "div",
        { class: "story-readings" },
        this.curves.copied.element,
        this.curves.error.element,
        element("figure", { class: "story-reading story-alarm" }, element("figcaption", {}, "Alarm", long(" map")), element("div", {}, this.map.canvas), this.bar),
      ),
      this.verdict,
      this.status,
    );
  }

  inks() {
    const { model, data } = this;
    const inks = Object.entries(INKS).map(([name, text]) => {
      const dot = element("i", { style: `background: ${data.inks[name]}` });
      const one = button("", `paint with ${name === "scratch" ? "a scratch's colour" : text}`, () => change(model, "ink", name), { class: "story-ink", "data-ink": name });
      one.append(dot);
      return one;
    });
    const press = () => inks.forEach((one) => one.setAttribute("aria-pressed", String(one.dataset.ink === model.get("ink"))));
    model.on("change:ink", press);
    press();
    return element("span", { class: "rcae-buttons", role: "group", "aria-label": "paint with" }, ...inks);
  }

  /** The slider over the rounds: continuous by pointer, whole rounds by key. */
  rounds() {
    const { depth } = this.data;
    const ticks = Array.from({ length: depth + 1 }, (_, n) => element("span", { style: `left: ${(100 * n) / depth}%` }, n === 0 ? "picture" : `${n} round${n > 1 ? "s" : ""}`));
    return element("div", { class: "story-rounds" }, this.slider, element("div", { class: "story-ticks", "aria-hidden": "true" }, ...ticks));
  }

  /**
   * @param {Found | null} found
   * @param {Uint8Array} sheet what is under the brush: shown alone while a stroke is made, or nothing is found
   * @param {boolean} painting
   */
  draw(found, sheet, painting) {
    const { model, data } = this;
    const { width, depth } = data;
    const fresh = painting || found?.painted === sheet; // else it is of another picture
    const rounds = fresh ? found?.networks[model.get("network")] : undefined;
    const t = painting || !rounds ? 0 : Math.min(model.get("t"), rounds.frames.length - 1);
    const words = roundName(t, rounds ? rounds.frames.length - 1 : depth);
    const low = Math.floor(t);
    const copy = t && rounds ? fade(rounds.frames[low], rounds.frames[Math.ceil(t)], t - low) : sheet;
    const network = NETWORKS[model.get("network")];
    const difference = model.get("view") === "difference" && !painting && fresh && found;
    const shown = difference ? lookup(distance(found.painted, copy), 0, DIFFERENCE, this.colours) : copy;
    this.main.show(shown, width, { row: 0, column: 0 }, difference ? `how far the copy by ${network} is from the picture, ${words}` : `${network}, ${words}`);
    this.badge.textContent = difference ? `picture − copy, n = ${short(t)}` : `n = ${t.toFixed(Number.isInteger(t) ? 0 : 1)}`;
    this.slider.value = String(t);
    this.slider.max = String(depth);
    const reading = rounds?.copied ? `, ${percent(at(rounds.copied, t))} of the stroke is left` : "";
    this.slider.setAttribute("aria-valuetext", `${words}${reading}`);
    if (!found || !rounds) return;
    this.drawMarks(found, painting);
    this.drawLenses(found, rounds, shown, t);
    this.drawCurves(found, rounds, t);
  }

  /** @param {Found} found @param {boolean} painting */
  drawMarks(found, painting) {
    const { height } = this.data;
    const frameAt = (/** @type {{row: number, column: number}} */ window, /** @type {string} */ name) =>
      shape("rect", { class: name, x: window.column, y: window.row, width: this.lens, height: this.lens, rx: 1 });
    const numbers = found.strokes.length < 2 ? [] : found.strokes.map((stroke, i) =>
      shape("text", { x: stroke.column + 0.07 * height, y: stroke.row - 0.04 * height, "font-size": height / 16 }, String(i + 1)));
    const marks = [frameAt(found.edge, "part"), found.defect && frameAt(found.defect, "defect"), ...numbers];
    this.marks.replaceChildren(...(painting ? [] : marks.filter((mark) => mark !== null)));
    if (this.cursor) this.marks.append(this.cursor);
  }

  /** @param {Found} found @param {import("./machine.js").Rounds} rounds @param {Uint8Array} shown @param {number} t */
  drawLenses(found, rounds, shown, t) {
    const { width } = this.data;
    const nothing = { row: Math.floor((this.data.height - this.lens) / 2), column: Math.floor((width - this.lens) / 2) };
    const left = rounds.copied ? `${percent(at(rounds.copied, t))} left` : "nothing painted";
    const off = `off by ${grey(at(rounds.error, t))}`;
    this.defect.show(shown, width, found.defect ?? nothing, `the stroke under the magnifier: ${left}`);
    this.edge.show(shown, width, found.edge, `an edge of the part under the magnifier: ${off} grey levels`);
    this.captions.defect.replaceChildren(long("the stroke: "), element("b", {}, left));
    this.captions.edge.replaceChildren(long("the part: "), element("b", {}, off));
  }

  /** @param {Found} found @param {import("./machine.js").Rounds} rounds @param {number} t */
  drawCurves(found, rounds, t) {
    const others = Object.entries(found.networks).filter(([, other]) => other !== rounds);
    const quiet = (/** @type {"copied" | "error"} */ key) => others.flatMap(([name, other]) => {
      const values = other[key];
      return values ? [{ values, name: SHORT[name], quiet: true }] : [];
    });
    const many = rounds.strokes.length > 1;
    const strokes = many ? rounds.strokes.map((values, i) => ({ values, name: String(i + 1), quiet: true })) : quiet("copied");
    const lead = rounds.copied ? [{ values: rounds.copied, name: many ? "all" : SHORT[this.model.get("network")] }] : [];
    const said = rounds.copied ? rounds.copied.map((share, n) => `n = ${n}: ${percent(share)}`).join(", ") : "nothing is painted";
    this.curves.copied.draw([...strokes, ...lead], t, 1, `share of the stroke that is left, ${said}`, { title: many ? "Each stroke still there" : "Stroke still there" });
    const top = 5 * Math.ceil(Math.max(...Object.values(found.networks).flatMap(({ error }) => error)) / 5) || 5;
    const errors = rounds.error.map((level, n) => `n = ${n}: ${grey(level)}`).join(", ");
    const own = { values: rounds.error, name: SHORT[this.model.get("network")] };
    this.curves.error.draw([...quiet("error"), own], t, top, `error at the part's edges and texture in grey levels, ${errors}`);
  }

  /** The map and the verdict: of the single pass where that is chosen, else of the detector. @param {Found} found */
  drawVerdict(found) {
    const chosen = this.model.get("network") === "single" ? "single" : "detector";
    const verdict = found.verdicts[chosen];
    if (!verdict) return;
    const { height, width } = this.data;
    const { map, score, threshold } = verdict;
    const alarm = score > threshold;
    const colours = lookup(map, 0, 2 * threshold, this.colours);
    this.map.show(colours, width, { row: 0, column: 0 }, `alarm map${alarm ? ": bright where the detector sees a defect" : ": no place above the threshold"}`);
    const above = map.map((value) => Number(value > threshold));
    const border = shape("path", { d: outline(above, height, width) });
    this.map.canvas.parentElement?.querySelector("svg")?.remove();
    this.map.canvas.after(shape("svg", { class: "story-marks", viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" }, border));
    const needle = Math.min(1, score / (2 * threshold));
    this.bar.replaceChildren(element("i", { style: `width: ${100 * needle}%` }), element("b", {}));
    this.bar.classList.toggle("alarm", alarm);
    this.verdict.classList.toggle("alarm", alarm);
    const text = `${alarm ? "Alarm" : "No alarm"}: score ${short(score)}, threshold ${short(threshold)}`;
    const who = chosen === "single" ? " (single pass)" : "";
    if (this.verdict.value !== text + who) this.verdict.value = text + who;
  }

  /** The pixel under a pointer. @param {PointerEvent} event */
  pixelAt(event) {
    const box = this.main.canvas.getBoundingClientRect();
    const inside = (/** @type {number} */ part, /** @type {number} */ side) => Math.min(side - 1, Math.max(0, Math.floor(part * side)));
    return {
      row: inside((event.clientY - box.top) / box.height, this.data.height),
      column: inside((event.clientX - box.left) / box.width, this.data.width),
    };
  }

  /** Show the brush. @param {{row: number, column: number} | null} at */
  hover(at) {
    this.cursor?.remove();
    this.cursor = at && shape("circle", { class: "rcae-tip", cx: at.column + 0.5, cy: at.row + 0.5, r: this.model.get("size") / 2 });
    if (this.cursor) this.marks.append(this.cursor);
  }
}

/** Words that a narrow stage leaves out. @param {string} text */
function long(text) {
  return element("span", { class: "story-long" }, text);
}

/** Radio buttons in a row, tied to the model. @param {any} model @param {string} name @param {string} label @param {Record<string, string>} options */
function choice(model, name, label, options) {
  const inputs = Object.keys(options).map((value) =>
    element("input", { type: "radio", name: `story-${name}`, value, "data-control": name, onchange: () => change(model, name, value) }));
  const update = () => inputs.forEach((input) => (input.checked = input.value === model.get(name)));
  model.on(`change:${name}`, update);
  update();
  const labels = inputs.map((input) => element("label", {}, input, element("span", { "data-short": SHORT[input.value] ?? null }, options[input.value])));
  return element("fieldset", { class: "story-choice" }, element("legend", {}, label), ...labels);
}

/** A button that opens a picture from the reader's disk. @param {(file: File) => void} open */
function opener(open) {
  const input = element("input", { type: "file", accept: "image/*", class: "story-file", "aria-label": "open a picture of your own", onchange: () => input.files?.[0] && open(input.files[0]) });
  return element("label", { class: "story-open" }, input, element("span", {}, "Open …"));
}
