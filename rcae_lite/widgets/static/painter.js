// DefectPainter: paint on an image; whoever holds the detector answers with its trajectory.
//
// The model gets `send({type: "paint", number}, undefined, [bytes])` and sets `result`, with the same
// number, when it is done: a kernel does so, and so does a page that carries the detector itself.
import { unpack } from "./arrays.js";
import { flat, History, same, shifted, Stroke } from "./brush.js";
import {
  colourBar, distance, frame, listenToPointer, listenToWheel, lookup, outline, Panel, step, View, zoomButtons,
} from "./canvas.js";
import { button, change, element, root, shape, short, slider } from "./dom.js";
import { player, TITLES, verdictOn } from "./explorer.js";

const TOOLS = { brush: "Brush", line: "Line", eraser: "Eraser", clone: "Clone" };
const WAIT = 40; // milliseconds without a new stroke before the detector is asked
const PATIENCE = 10_000; // milliseconds after which an answer is no longer waited for

export async function render({ model, el }) {
  const data = await unpack(model.get("data"));
  const { height, width } = data;
  const colours = data.colours.values;
  const place = root(el, "Defect painter");
  const view = new View(height, width);
  const sheet = new Panel(view, ["paint here"], "paint", true);
  const names = Object.keys(TITLES).filter((name) => name !== "input" && (name !== "enhanced" || data.enhanced));
  const panels = Object.fromEntries(
    names.map((name) => [name, new Panel(view, TITLES[name](), name, name === "map")]),
  );
  panels.residual.note.append(colourBar(colours, 0, data.scale.difference / 765, "residual"));
  panels.map.note.append(colourBar(colours, data.scale.low, data.scale.high, "raw map"));
  const verdict = element("output", { class: "rcae-verdict", "aria-live": "polite" });
  const status = element("output", { class: "rcae-hint", "aria-live": "polite" });

  let result = await unpack(model.get("result"));
  let history = new History(frame(result.picture.frames, 0).slice());
  let stroke = null;
  let source = null; // {row, column} of the clone stamp
  const asking = new Asking(model, status);

  function drawSheet() {
    const picture = stroke ? stroke.picture : history.present;
    sheet.show(picture, `the painted image; ${TOOLS[model.get("tool")]} chosen`);
    undo.disabled = history.past.length === 0;
    redo.disabled = history.future.length === 0;
  }

  function drawResult() {
    const { frames, map, score } = result.picture;
    const depth = model.get("depth");
    const rebuilt = frame(frames, depth);
    panels.reconstruction.show(rebuilt, `reconstruction at depth ${depth}`);
    panels.enhanced?.show(frame(frames, data.depth + depth), `enhanced reconstruction at depth ${depth}`);
    const residual = lookup(distance(frame(frames, 0), rebuilt), 0, data.scale.difference, colours);
    panels.residual.show(residual, `residual at depth ${depth}`);
    panels.map.show(lookup(map.values, data.scale.low, data.scale.high, colours), "anomaly map");
    strip.forEach((panel, index) => {
      panel.show(frame(frames, index + 1), `reconstruction at depth ${index + 1}`);
      panel.element.setAttribute("aria-current", index + 1 === depth);
    });
    const overlap = result.iou === null ? "" : `, IoU with the painted mask ${result.iou.toFixed(2)}`;
    verdict.value = verdictOn(score, data.threshold) + overlap;
    view.border = outline(result.mask.values, height, width);
    view.draw();
  }

  const strip = Array.from({ length: data.depth }, (_, index) => {
    const panel = new Panel(view, [`n = ${index + 1}`], `depth-${index + 1}`);
    panel.stage.addEventListener("click", () => change(model, "depth", index + 1));
    return panel;
  });

  function paint(picture) {
    history.add(picture);
    drawSheet();
    asking.ask(picture);
  }

  function travel(way) {
    history[way]();
    drawSheet();
    asking.ask(history.present);
  }

  // -- strokes, by pointer or by key ---------------------------------------------------------

  function ink(at) {
    const tool = model.get("tool");
    if (tool === "eraser") return same(data.original.values, width);
    if (tool !== "clone") return flat(model.get("colour"));
    return shifted(history.present, height, width, source.row - at.row, source.column - at.column);
  }

  function begin(at) {
    if (model.get("tool") === "clone" && !source) {
      status.value = "Clone: choose the source first, with Alt and a click or with the key S.";
      return;
    }
    const brush = { size: model.get("size"), hardness: model.get("hardness"), opacity: model.get("opacity") };
    stroke = new Stroke(history.present, height, width, ink(at), brush);
    stroke.start = at;
    extend(at);
  }

  function extend(at) {
    if (!stroke) return;
    if (model.get("tool") === "line") stroke.line(stroke.start, at);
    else stroke.to(at);
    drawSheet();
  }

  function end() {
    if (!stroke) return;
    const { picture } = stroke;
    stroke = null;
    paint(picture);
  }

  function chooseSource(at) {
    source = at;
    view.marks = [{ ...at, colour: "#e69f00" }];
    view.draw();
    status.value = `Clone source: row ${at.row}, column ${at.column}.`;
  }

  const hover = (at) => {
    view.cursor = at;
    for (const panel of view.panels) panel.drawMarks();
    if (at) sheet.marks.append(shape("circle", { class: "rcae-tip", cx: at.column + 0.5, cy: at.row + 0.5, r: model.get("size") / 2 }));
  };
  listenToStrokes(sheet, { begin, extend, end, hover, chooseSource });
  for (const panel of Object.values(panels)) listenToPointer(panel, { hover, keep: () => {} });

  sheet.stage.tabIndex = 0;
  sheet.stage.setAttribute("role", "application");
  sheet.stage.setAttribute(
    "aria-label",
    "Painting. Arrow keys move the brush, Space puts it down or lifts it, S sets the source of the clone stamp, Control and Z undoes, plus and minus zoom.",
  );
  sheet.stage.addEventListener("keydown", (event) => {
    const at = view.cursor ?? view.middle;
    const next = step(event, at, view);
    const control = event.ctrlKey || event.metaKey;
    const key = event.key.toLowerCase();
    if (next) {
      hover(next);
      extend(next);
    } else if (event.key === " " || event.key === "Enter") (stroke ? end : () => begin(at))();
    else if (event.key === "Escape") [stroke, view.cursor] = [null, null];
    else if (key === "s" && !control) chooseSource(at);
    else if (control && (key === "y" || (key === "z" && event.shiftKey))) travel("redo");
    else if (control && key === "z") travel("undo");
    else if (event.key === "+" || event.key === "=") view.zoomBy(1, at.row, at.column);
    else if (event.key === "-") view.zoomBy(-1, at.row, at.column);
    else return;
    event.preventDefault();
    drawSheet();
  });

  // -- controls ------------------------------------------------------------------------------

  const tools = Object.entries(TOOLS).map(([name, text]) =>
    button(text, name === "clone" ? "clone stamp: Alt and a click choose the source" : text, () => change(model, "tool", name)),
  );
  const press = () =>
    tools.forEach((tool, index) => tool.setAttribute("aria-pressed", Object.keys(TOOLS)[index] === model.get("tool")));
  const colour = element("input", {
    type: "color", "data-control": "colour", "aria-label": "colour of the brush",
    oninput: () => change(model, "colour", colour.value),
  });
  const tint = () => (colour.value = model.get("colour"));
  const undo = button("Undo", "undo the last stroke (Ctrl+Z)", () => travel("undo"));
  const redo = button("Redo", "redo (Ctrl+Shift+Z)", () => travel("redo"));
  const clear = button("Clear", "back to the image without paint", () => paint(data.original.values.slice()));
  const random = button("Random defect", "paint a random pseudo-anomaly", () => asking.send({ type: "random" }));
  const save = button("Save", "save image and mask as files", () => asking.send({ type: "save" }));
  const percent = (value) => `${Math.round(100 * value)}%`;

  place.append(
    element(
      "div",
      { class: "rcae-controls" },
      element("span", { class: "rcae-buttons", role: "group", "aria-label": "tool" }, ...tools),
      element("label", {}, element("span", {}, "Colour"), colour),
      slider({ model, name: "size", label: "Size", low: 1, high: data.max_size, text: (n) => `${n} px` }),
      slider({ model, name: "opacity", label: "Opacity", low: 0.05, high: 1, step: 0.05, text: percent }),
      slider({ model, name: "hardness", label: "Hardness", low: 0, high: 1, step: 0.05, text: percent }),
    ),
    element(
      "div",
      { class: "rcae-controls" },
      element("span", { class: "rcae-buttons" }, undo, redo, clear),
      element("span", { class: "rcae-buttons" }, ...(data.can.includes("random") ? [random] : []), ...(data.can.includes("save") ? [save] : [])),
      zoomButtons(view),
      ...player(model, data.depth),
    ),
    element("div", { class: "rcae-controls rcae-said" }, verdict, status),
    element(
      "div",
      { class: "rcae-bench" },
      sheet.element,
      element(
        "div",
        {},
        element("div", { class: "rcae-panels" }, ...Object.values(panels).map((panel) => panel.element)),
        element("div", { class: "rcae-strip", role: "group", "aria-label": "reconstructions of all depths" }, ...strip.map((panel) => panel.element)),
      ),
    ),
  );
  listenToWheel(sheet);

  model.on("change:depth", drawResult);
  model.on("change:tool", () => {
    press();
    drawSheet();
  });
  model.on("change:colour", tint);
  model.on("change:result", async () => {
    result = await unpack(model.get("result"));
    const painted = frame(result.picture.frames, 0);
    const foreign = !asking.answered(result);
    if (foreign && painted.some((value, i) => value !== history.present[i])) history.add(painted.slice());
    drawSheet();
    drawResult();
  });
  press();
  tint();
  drawSheet();
  drawResult();
  place.dataset.ready = "true";
}

/** One question at a time: strokes made meanwhile are sent together when the answer is there. */
class Asking {
  constructor(model, status) {
    Object.assign(this, { model, status, number: 0, open: null, waiting: null, timer: null });
  }

  ask(picture) {
    this.waiting = picture;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.next(), WAIT);
  }

  next() {
    if (!this.waiting) return;
    if (this.open && performance.now() - this.open.since < PATIENCE) return;
    this.send({ type: "paint" }, [this.waiting.slice().buffer]);
    this.waiting = null;
  }

  send(content, buffers = []) {
    this.number += 1;
    this.open = { number: this.number, since: performance.now() };
    this.status.value = "working …";
    this.model.send({ ...content, number: this.number }, undefined, buffers);
  }

  /** Take note of an answer; false if its picture is new here: a random defect, another view. */
  answered({ number, note, ours }) {
    const mine = this.open?.number === number;
    const milliseconds = mine ? Math.round(performance.now() - this.open.since) : null;
    if (mine) this.open = null;
    this.status.value = note || (mine ? `${milliseconds} ms` : "");
    if (this.open === null) this.next();
    return (mine && ours) || this.open !== null || this.waiting !== null;
  }
}

/** Pointer events of the painted panel as strokes. */
function listenToStrokes(panel, { begin, extend, end, hover, chooseSource }) {
  const { stage } = panel;
  let down = false;
  stage.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    const at = panel.pixelAt(event);
    if (event.altKey) return chooseSource(at);
    stage.setPointerCapture(event.pointerId);
    down = true;
    begin(at);
  });
  stage.addEventListener("pointermove", (event) => {
    const at = panel.pixelAt(event);
    if (down) extend(at);
    hover(at);
  });
  const lift = () => {
    if (down) end();
    down = false;
  };
  stage.addEventListener("pointerup", lift);
  stage.addEventListener("pointercancel", lift);
  stage.addEventListener("pointerleave", () => hover(null));
}
