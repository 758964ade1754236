// @ts-check
// RecursionExplorer: the frames of every depth, and a probe for pixels.
import { unpack } from "./arrays.js";
import {
  colourBar, distance, frame, listenToKeys, listenToPointer, lookup, mix, outline, Panel, View, zoomButtons,
} from "./canvas.js";
import { button, change, chooser, element, root, short, slider, symbol } from "./dom.js";
import { Glide } from "./fade.js";
import { between, Frames, WAITING } from "./frames.js";
import { COLOURS, drawProbes, toggle, whereIs } from "./probe.js";

/**
 * @typedef {import("./canvas.js").Pixel} Pixel
 * @typedef {import("./canvas.js").Stack} Stack
 * @typedef {object} Picture one image as Python sent it
 * @property {string} name
 * @property {number} score
 * @property {Stack | null} frames null until they have come
 * @property {Stack} map
 * @property {Stack | null} mask
 * @property {number[] | null} separation of each depth
 */

const MILLISECONDS_PER_STEP = 700;

/** What stands above each picture. @type {Record<string, () => (string | Node)[]>} */
export const TITLES = {
  input: () => ["input I"],
  reconstruction: () => ["reconstruction ", symbol("I", "R", "n")],
  enhanced: () => ["enhanced ", symbol("I", "D", "n"), " (DPN)"],
  residual: () => ["residual |I − ", symbol("I", "R", "n"), "|"],
  map: () => ["anomaly map (all n)"],
};

/** @param {{model: any, el: HTMLElement}} widget */
export async function render({ model, el }) {
  const data = await unpack(model.get("data"));
  const place = root(el, "Recursion explorer");
  const view = new View(data.height, data.width);
  /** @type {Record<string, Panel>} */
  const panels = Object.fromEntries(
    Object.keys(TITLES)
      .filter((name) => name !== "enhanced" || data.enhanced)
      .map((name) => [name, new Panel(view, TITLES[name](), name, name === "input" || name === "map")]),
  );
  const colours = data.colours.values;
  panels.residual.note.append(colourBar(colours, 0, data.scale.difference / 765, "residual"));
  panels.map.note.append(colourBar(colours, data.scale.low, data.scale.high, "raw map"));

  const verdict = element("output", { class: "rcae-verdict" });
  const clearest = element("output", { class: "rcae-hint", "data-part": "clearest" });
  const reading = element("output", { class: "rcae-hint rcae-where", "aria-live": "polite" });
  const border = element("input", { type: "checkbox", checked: true, onchange: () => draw() });
  const masked = data.images.some((/** @type {Picture} */ image) => image.mask);
  const probes = element("div", { class: "rcae-probes" });
  const group = element(
    "div",
    {
      class: "rcae-panels", tabindex: 0, role: "group",
      "aria-label": "Pictures. Arrow keys move the cross, Enter keeps the pixel, Delete drops the last one, plus and minus zoom.",
    },
    ...Object.values(panels).map((panel) => panel.element),
  );
  const frames = new Frames(model, data.images, () => draw());
  const glide = new Glide(place, drawDepth);
  /** @returns {Picture} */
  const present = () => data.images[model.get("image")];

  /** What does not depend on the depth. @param {Stack} stack */
  function drawImage(stack) {
    const picture = present();
    const heat = lookup(picture.map.values, 0, 255, colours);
    const opacity = model.get("opacity");
    const where = `of ${picture.name}`;
    panels.input.show(mix(frame(stack, 0), heat, opacity), `input ${where}${opacity ? ", anomaly map laid over" : ""}`);
    panels.map.show(heat, `anomaly map ${where}`);
  }

  /** The pictures at a depth, or between two. @param {number} t */
  function drawDepth(t) {
    const picture = present();
    const stack = picture.frames;
    if (!stack) return;
    const where = `at depth ${model.get("depth")} of ${picture.name}`;
    const rebuilt = between(stack, 0, t);
    panels.reconstruction.show(rebuilt, `reconstruction ${where}`);
    panels.enhanced?.show(between(stack, data.depth, t), `enhanced reconstruction ${where}`);
    panels.residual.show(lookup(distance(frame(stack, 0), rebuilt), 0, data.scale.difference, colours), `residual ${where}`);
  }

  function drawPixels() {
    view.marks = model.get("probes").map((/** @type {import("./probe.js").Probe} */ [row, column, colour]) => ({ row, column, colour: COLOURS[colour] }));
    for (const panel of view.panels) panel.drawMarks();
    reading.value = view.cursor ? whereIs(view.cursor, present().mask, data.width) : "";
    if (present().frames) drawProbes({ model, data, place: probes, hover: view.cursor, left: group });
  }

  function drawWords() {
    const { score, separation } = present();
    verdict.value = verdictOn(score, data.threshold);
    const known = separation && inWords(separation, best(data, model.get("image")), model.get("depth"));
    clearest.value = known ?? (masked ? "No defect in this image." : "");
  }

  function draw() {
    const picture = present();
    const stack = frames.of(model.get("image"));
    group.toggleAttribute("data-waiting", !stack);
    group.setAttribute("aria-busy", String(!stack));
    drawWords();
    view.border = picture.mask && border.checked ? outline(picture.mask.values, data.height, data.width) : "";
    if (stack) drawImage(stack);
    else clearest.value = WAITING;
    glide.jump(model.get("depth"));
    drawPixels();
  }

  let [left, shown] = [0, model.get("image")];
  model.on("change:image", () => {
    [left, shown] = [shown, model.get("image")];
    draw();
  });
  model.on("change:depth", () => {
    glide.to(model.get("depth"));
    drawWords();
    drawPixels();
  });
  const images = chooser({ model, name: "image", label: "Image", options: data.images.map((/** @type {Picture} */ image) => image.name) });
  images.addEventListener("change", () => {
    if (model.get("depth") === best(data, left)) change(model, "depth", best(data, shown)); // as RecursionExplorer does
  });
  model.on("change:opacity", draw);
  model.on("change:probes", drawPixels);

  const keep = (/** @type {Pixel} */ { row, column }) => toggle(model, data.max_probes, row, column);
  const hover = (/** @type {Pixel | null} */ pixel) => {
    view.cursor = pixel;
    drawPixels();
  };
  for (const panel of view.panels) listenToPointer(panel, { hover, keep });
  listenToKeys(group, view, { hover, keep, drop: () => change(model, "probes", model.get("probes").slice(0, -1)) });

  place.append(
    element(
      "div",
      { class: "rcae-controls" },
      images,
      verdict,
    ),
    element(
      "div",
      { class: "rcae-controls" },
      ...player(model, data.depth),
      slider({ model, name: "opacity", label: "Map over input", low: 0, high: 1, step: 0.05, text: (v) => `${Math.round(100 * v)}%` }),
      masked ? element("label", { class: "rcae-check" }, border, "true defect") : null,
      zoomButtons(view),
    ),
    element("div", { class: "rcae-controls" }, clearest, reading),
    group,
    probes,
  );
  draw();
  place.dataset.ready = "true";
}

/** The depth whose residual shows an image's defect best: the same as `ExplorerState.clearest`. @param {{images: Picture[], depth: number}} data @param {number} image */
function best({ images, depth }, image) {
  const { separation } = images[image];
  return separation ? separation.indexOf(Math.max(...separation)) + 1 : depth;
}

/** How well the residual shows the defect at the clearest depth n, and here. @param {number[]} separation @param {number} n @param {number} depth */
function inWords(separation, n, depth) {
  const auroc = (/** @type {number} */ at) => separation[at - 1].toFixed(3);
  const here = n === depth ? "" : `; here, at n = ${depth}, ${auroc(depth)}`;
  return `The residual shows this defect best at n = ${n} (pixel AUROC ${auroc(n)}${here}).`;
}

/** A score beside the threshold, in words. @param {number} score @param {number | null} threshold */
function verdictOn(score, threshold) {
  if (threshold === null) return `score ${short(score)} (no threshold)`;
  const defective = score > threshold;
  return `score ${short(score)} ${defective ? ">" : "≤"} threshold ${short(threshold)}: ${defective ? "defective" : "normal"}`;
}

/** The depth slider with play and loop. @param {any} model @param {number} depth */
export function player(model, depth) {
  /** @type {number | undefined} */
  let timer;
  const loop = element("input", { type: "checkbox", checked: true });
  const stop = () => {
    clearInterval(timer);
    timer = undefined;
    play.textContent = "▶";
    play.setAttribute("aria-label", "play the depths");
  };
  const step = () => {
    if (!play.isConnected) return stop();
    const last = model.get("depth") === depth;
    if (last && !loop.checked) return stop();
    change(model, "depth", last ? 1 : model.get("depth") + 1);
  };
  const play = button("▶", "play the depths", () => {
    if (timer !== undefined) return stop();
    if (model.get("depth") === depth) change(model, "depth", 1);
    timer = setInterval(step, MILLISECONDS_PER_STEP);
    play.textContent = "❚❚";
    play.setAttribute("aria-label", "pause");
  });
  play.disabled = depth === 1;
  return [
    element("span", { class: "rcae-buttons" }, play),
    slider({ model, name: "depth", label: "Depth n", low: 1, high: depth, text: (n) => `${n} of ${depth}` }),
    element("label", { class: "rcae-check" }, loop, "loop"),
  ];
}
