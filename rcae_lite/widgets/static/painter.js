// @ts-check
// DefectPainter: paint on an image; whoever holds the detector answers with its trajectory.
//
// The model gets `send({type: "paint", number}, undefined, [bytes])` and sets `result`, with the same
// number, when it is done: a kernel does so, and so does a page that carries the detector itself.
import { unpack } from "./arrays.js";
import { Asking } from "./asking.js";
import { colourBar, distance, frame, listenToPointer, lookup, outline, Panel, View, zoomButtons } from "./canvas.js";
import { challenge } from "./challenge.js";
import { button, change, element, root, slider } from "./dom.js";
import { player, TITLES } from "./explorer.js";
import { scoreBar } from "./score.js";
import { Sheet, TOOLS } from "./sheet.js";

/** @param {{model: any, el: HTMLElement}} widget */
export async function render({ model, el }) {
  const data = await unpack(model.get("data"));
  const place = root(el, "Defect painter");
  const status = element("output", { class: "rcae-hint rcae-status", "aria-live": "polite" });
  const say = (/** @type {string} */ text) => (status.value = text);
  const asking = new Asking(model, say);
  let result = await unpack(model.get("result"));

  const view = new View(data.height, data.width);
  const ways = wayButtons((/** @type {Way} */ way) => sheet.travel(way));
  const sheet = new Sheet(view, data, model, frame(result.picture.frames, 0).slice(), {
    ask: (picture) => asking.ask(picture),
    say,
    drawn: (history) => ways.update(history),
  });
  const pictures = resultPanels(view, data, model);
  for (const panel of pictures.linked) listenToPointer(panel, { hover: (/** @type {import("./brush.js").Pixel | null} */ at) => sheet.hover(at), keep: () => {} });
  const bar = scoreBar(data.threshold, data.unpainted);
  const game = challenge(data, {
    show: (picture) => sheet.paint(picture.slice()),
    forget: () => asking.send({ type: "forget" }),
  });

  function draw() {
    pictures.draw(result);
    bar.show(result.picture.score, result.mask.values.includes(1), result.iou);
    game.update(result.pixels, result.record);
    view.border = outline(result.mask.values, data.height, data.width);
    view.draw();
  }

  const clear = button("Clear", "clear: back to the image without paint", () => sheet.paint(data.original.values.slice()));
  const random = button("Random defect", "random defect: paint a pseudo-anomaly", () => asking.send({ type: "random" }));
  const save = button("Save as test set", "save as test set: image and mask, for rcae evaluate", () => asking.send({ type: "save" }));
  const able = [data.can.includes("random") ? random : null, data.can.includes("save") ? save : null];
  place.append(
    element(
      "div",
      { class: "rcae-painter" },
      element("div", { class: "rcae-controls rcae-tools" }, ...toolControls(model, data)),
      element("div", { class: "rcae-pair" }, sheet.panel.element, pictures.map.element),
      element("div", { class: "rcae-said" }, bar.element, status, game.element),
      element(
        "div",
        { class: "rcae-controls rcae-acts" },
        element("span", { class: "rcae-buttons" }, ...ways.buttons, clear),
        zoomButtons(view),
        ...able,
      ),
      element("div", { class: "rcae-controls rcae-depth" }, ...player(model, data.depth)),
      element("div", { class: "rcae-results" }, pictures.row, pictures.strip),
    ),
  );

  listenToUndo(place, (way) => sheet.travel(way));
  model.on("change:depth", draw);
  model.on("change:tool", () => sheet.draw());
  model.on("change:result", async () => {
    result = await unpack(model.get("result"));
    /** @type {Uint8Array} */
    const painted = frame(result.picture.frames, 0);
    const foreign = !asking.answered(result);
    if (foreign && painted.some((value, i) => value !== sheet.history.present[i])) sheet.take(painted.slice());
    draw();
  });
  sheet.draw();
  draw();
  place.dataset.ready = "true";
}

/** @typedef {"undo" | "redo"} Way */

/**
 * What the detector makes of the painting: the map, a row at depth n, and a strip of all depths.
 * @param {View} view
 * @param {any} data
 * @param {any} model
 */
function resultPanels(view, data, model) {
  const colours = data.colours.values;
  const map = new Panel(view, TITLES.map(), "map", true);
  /** @type {Record<string, Panel>} */
  const row = Object.fromEntries(
    ["reconstruction", "enhanced", "residual"]
      .filter((name) => name !== "enhanced" || data.enhanced)
      .map((name) => [name, new Panel(view, TITLES[name](), name)]),
  );
  map.note.append(colourBar(colours, data.scale.low, data.scale.high, "raw map"));
  row.residual.note.append(colourBar(colours, 0, data.scale.difference / 765, "residual"));
  const strip = Array.from({ length: data.depth }, (_, index) => {
    const panel = new Panel(view, [`n = ${index + 1}`], `depth-${index + 1}`);
    panel.stage.addEventListener("click", () => change(model, "depth", index + 1));
    return panel;
  });

  /** @param {any} result */
  function draw(result) {
    const { frames, map: values } = result.picture;
    const depth = model.get("depth");
    const rebuilt = frame(frames, depth);
    const residual = distance(frame(frames, 0), rebuilt);
    row.reconstruction.show(rebuilt, `reconstruction at depth ${depth}`);
    row.enhanced?.show(frame(frames, data.depth + depth), `enhanced reconstruction at depth ${depth}`);
    row.residual.show(lookup(residual, 0, data.scale.difference, colours), `residual at depth ${depth}`);
    map.show(lookup(values.values, data.scale.low, data.scale.high, colours), "anomaly map");
    strip.forEach((panel, index) => {
      panel.show(frame(frames, index + 1), `reconstruction at depth ${index + 1}`);
      panel.element.setAttribute("aria-current", String(index + 1 === depth));
    });
  }

  const elements = (/** @type {Panel[] | Record<string, Panel>} */ panels) => Object.values(panels).map((panel) => panel.element);
  return {
    map,
    draw,
    linked: [map, ...Object.values(row)],
    row: element("div", { class: "rcae-panels" }, ...elements(row)),
    strip: element("div", { class: "rcae-strip", role: "group", "aria-label": "reconstructions of all depths" }, ...elements(strip)),
  };
}

/** The tool, its colour and its brush. @param {any} model @param {{max_size: number}} data */
function toolControls(model, data) {
  /** @type {Record<string, string>} */
  const title = { clone: "Clone stamp: Alt and a click, or S, choose the source" };
  const tools = Object.entries(TOOLS).map(([name, text]) =>
    button(text, title[name] ?? text, () => change(model, "tool", name), { "data-tool": name }),
  );
  const colour = element("input", {
    type: "color", "data-control": "colour", "aria-label": "colour of the brush", title: "colour of the brush",
    oninput: () => change(model, "colour", colour.value),
  });
  const press = () => tools.forEach((tool) => tool.setAttribute("aria-pressed", String(tool.dataset.tool === model.get("tool"))));
  const tint = () => (colour.value = model.get("colour"));
  model.on("change:tool", press);
  model.on("change:colour", tint);
  press();
  tint();
  const percent = (/** @type {number} */ value) => `${Math.round(100 * value)}%`;
  return [
    element("span", { class: "rcae-buttons", role: "group", "aria-label": "tool" }, ...tools),
    element("label", {}, element("span", {}, "Colour"), colour),
    slider({ model, name: "size", label: "Size", low: 1, high: data.max_size, text: (n) => `${n} px` }),
    slider({ model, name: "opacity", label: "Opacity", low: 0.05, high: 1, step: 0.05, text: percent }),
    slider({ model, name: "hardness", label: "Hardness", low: 0, high: 1, step: 0.05, text: percent }),
  ];
}

/**
 * Undo and redo. They are never disabled, which would take the focus away from who presses them.
 * @param {(way: Way) => void} travel
 */
function wayButtons(travel) {
  const undo = button("Undo", "undo (Ctrl+Z, ⌘Z)", () => travel("undo"), { "aria-keyshortcuts": "Control+Z Meta+Z" });
  const redo = button("Redo", "redo (Ctrl+Y, Shift+Ctrl+Z, ⇧⌘Z)", () => travel("redo"), {
    "aria-keyshortcuts": "Control+Y Control+Shift+Z Meta+Shift+Z",
  });
  /** @param {import("./brush.js").History} history */
  function update({ past, future }) {
    undo.setAttribute("aria-disabled", String(past.length === 0));
    redo.setAttribute("aria-disabled", String(future.length === 0));
  }
  return { buttons: [undo, redo], update };
}

/**
 * Undo and redo by keyboard, wherever the focus is in the widget; no notebook hears of it.
 * @param {HTMLElement} place
 * @param {(way: Way) => void} travel
 */
function listenToUndo(place, travel) {
  place.addEventListener("keydown", (event) => {
    const key = event.key.toLowerCase();
    if (!(event.ctrlKey || event.metaKey) || event.altKey || (key !== "z" && key !== "y")) return;
    event.preventDefault();
    event.stopPropagation();
    travel(key === "y" || event.shiftKey ? "redo" : "undo");
  });
}
