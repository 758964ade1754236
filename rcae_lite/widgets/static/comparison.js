// @ts-check
// ModelComparison: the same images through several detectors, like beside like, at one depth and one zoom.
import { unpack } from "./arrays.js";
import { colourBar, distance, frame, listenToKeys, listenToPointer, lookup, outline, Panel, View, zoomButtons } from "./canvas.js";
import { chooser, element, root, symbol } from "./dom.js";
import { player } from "./explorer.js";
import { Glide } from "./fade.js";
import { between, Frames, WAITING } from "./frames.js";
import { Scores } from "./scores.js";

/**
 * @typedef {import("./canvas.js").Stack} Stack
 * @typedef {import("./canvas.js").Hover} Hover
 * @typedef {{title: () => (string | Node)[], note: string, bordered?: boolean}} Kind
 */

/** What is compared, one section each. @type {Record<string, Kind>} */
const KINDS = {
  reconstruction: { title: () => ["Reconstruction ", symbol("I", "R", "n")], note: "by each detector" },
  residual: { title: () => ["Plain residual |I − ", symbol("I", "R", "n"), "|"], note: "one colour scale for all" },
  map: { title: () => ["The system's own map"], note: "for each from 0 to twice its threshold", bordered: true },
};

/** @param {{model: any, el: HTMLElement}} widget */
export async function render({ model, el }) {
  const data = await unpack(model.get("data"));
  const { height, width, detectors } = data;
  const place = root(el, "Model comparison");
  const view = new View(height, width);
  const name = element("span");
  const input = new Panel(view, [name], "input", true);
  const truth = element("span", { class: "rcae-hint" });
  /** @type {Column[]} */
  const columns = detectors.map((/** @type {any} */ detector, /** @type {number} */ index) => new Column(view, detector, index, data.colours.values));
  const scores = new Scores(model, data);
  const waiting = element("output", { class: "rcae-hint" });
  const pictures = element(
    "div",
    {
      class: "rcae-systems", tabindex: 0, role: "group", style: `--columns: ${detectors.length}`,
      "aria-label": "Pictures. Arrow keys move the cross, plus and minus zoom.",
    },
    element("section", { "aria-label": "input" }, element("h3", {}, "Input I", truth), input.element),
    ...Object.entries(KINDS).map(([kind, { title, note }]) => section(kind, title(), note, columns)),
  );
  const frames = new Frames(model, data.images, () => draw());
  const glide = new Glide(place, drawDepth);

  /** @param {number} t */
  function drawDepth(t) {
    const { frames: stack } = data.images[model.get("image")];
    if (stack) for (const column of columns) column.drawDepth(stack, t, model.get("depth"));
  }

  function draw() {
    const image = model.get("image");
    const stack = frames.of(image);
    pictures.toggleAttribute("data-waiting", !stack);
    pictures.setAttribute("aria-busy", String(!stack));
    waiting.value = stack ? "" : WAITING;
    name.textContent = data.names[image];
    name.title = data.names[image];
    truth.textContent = data.labels === null ? "" : `truth: ${data.labels[image] ? "defective" : "normal"}`;
    view.border = data.masks === null ? "" : outline(frame(data.masks, image), height, width);
    if (stack) input.show(frame(stack, 0), `input of ${data.names[image]}`);
    for (const column of columns) column.drawMap(image, data.names[image]);
    glide.jump(model.get("depth"));
    scores.draw();
  }

  /** @type {Hover} */
  const hover = (at) => {
    view.cursor = at;
    for (const panel of view.panels) panel.drawMarks();
  };
  for (const panel of view.panels) listenToPointer(panel, { hover });
  listenToKeys(pictures, view, { hover });
  place.append(
    element(
      "div",
      { class: "rcae-controls" },
      chooser({ model, name: "image", label: "Image", options: data.names }),
      ...player(model, data.depth),
      zoomButtons(view),
      waiting,
    ),
    scores.element,
    pictures,
  );
  model.on("change:image", draw);
  model.on("change:depth", () => glide.to(model.get("depth")));
  draw();
  place.dataset.ready = "true";
}

/** The pictures of one kind, a detector beside the other. @param {string} kind @param {(string | Node)[]} title @param {string} note @param {Column[]} columns */
function section(kind, title, note, columns) {
  const heading = element("h3", {}, ...title, element("span", { class: "rcae-hint" }, note));
  const panels = columns.map((column) => column.panels[kind].element);
  return element("section", { class: "rcae-kind", "data-part": kind }, heading, element("div", { class: "rcae-beside" }, ...panels));
}

/** One detector: its picture in each section. */
class Column {
  /** @param {View} view @param {any} detector @param {number} index @param {Uint8Array} colours */
  constructor(view, detector, index, colours) {
    const panels = Object.entries(KINDS).map(([kind, { bordered }]) => [kind, new Panel(view, [element("span", { title: detector.name }, detector.name)], `${index}-${kind}`, bordered)]);
    this.detector = detector;
    this.colours = colours;
    /** @type {Record<string, Panel>} */
    this.panels = Object.fromEntries(panels);
    const { reconstruction, residual, map } = this.panels;
    const { difference, low, high } = detector.scale;
    const hint = (text = "") => element("span", { class: "rcae-hint" }, text);
    this.reached = [hint(), hint()];
    reconstruction.note.append(this.reached[0]);
    residual.note.append(colourBar(colours, 0, difference / 765, "residual"), this.reached[1]);
    map.note.append(colourBar(colours, low, high, "raw map"), hint(detector.made_of));
  }

  /** What depends on the depth, at t on the way to `depth`; a detector stays at its own last one. @param {Stack} stack @param {number} t @param {number} depth */
  drawDepth(stack, t, depth) {
    const { detector, colours, panels } = this;
    const here = Math.min(depth, detector.depth);
    const rebuilt = between(stack, detector.start, Math.min(t, detector.depth));
    const where = `of ${detector.name} at depth ${here}`;
    panels.reconstruction.show(rebuilt, `reconstruction ${where}`);
    panels.residual.show(lookup(distance(frame(stack, 0), rebuilt), 0, detector.scale.difference, colours), `residual ${where}`);
    for (const place of this.reached) place.textContent = `n = ${here}${here < depth ? `, it has no n = ${depth}` : ""}`;
  }

  /** @param {number} image @param {string} name */
  drawMap(image, name) {
    const { detector, colours, panels } = this;
    panels.map.show(lookup(frame(detector.maps, image), 0, 255, colours), `anomaly map of ${name} by ${detector.name}: ${detector.made_of}`);
  }
}
