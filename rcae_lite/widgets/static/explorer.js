// RecursionExplorer: the frames of every depth, and a probe for pixels.
import { unpack } from "./arrays.js";
import {
  colourBar, distance, frame, listenToPointer, lookup, mix, outline, Panel, step, View, zoomButtons,
} from "./canvas.js";
import { button, change, chooser, element, root, short, slider, symbol } from "./dom.js";
import { COLOURS, drawProbes, toggle } from "./probe.js";

const MILLISECONDS_PER_STEP = 700;

/** What stands above each picture. */
export const TITLES = {
  input: () => ["input I"],
  reconstruction: () => ["reconstruction ", symbol("I", "R", "n")],
  enhanced: () => ["enhanced ", symbol("I", "D", "n"), " (DPN)"],
  residual: () => ["residual |I − ", symbol("I", "R", "n"), "|"],
  map: () => ["anomaly map (all n)"],
};

export async function render({ model, el }) {
  const data = await unpack(model.get("data"));
  const place = root(el, "Recursion explorer");
  const view = new View(data.height, data.width);
  const panels = Object.fromEntries(
    Object.keys(TITLES)
      .filter((name) => name !== "enhanced" || data.enhanced)
      .map((name) => [name, new Panel(view, TITLES[name](), name, name === "input" || name === "map")]),
  );
  const colours = data.colours.values;
  panels.residual.note.append(colourBar(colours, 0, data.scale.difference / 765, "residual"));
  panels.map.note.append(colourBar(colours, data.scale.low, data.scale.high, "raw map"));

  const verdict = element("output", { class: "rcae-verdict" });
  const reading = element("output", { class: "rcae-hint rcae-where", "aria-live": "polite" });
  const border = element("input", { type: "checkbox", checked: true, onchange: () => draw() });
  const masked = data.images.some((image) => image.mask);
  const probes = element("div", { class: "rcae-probes" });
  const group = element(
    "div",
    {
      class: "rcae-panels", tabindex: 0, role: "group",
      "aria-label": "Pictures. Arrow keys move the cross, Enter keeps the pixel, Delete drops the last one, plus and minus zoom.",
    },
    ...Object.values(panels).map((panel) => panel.element),
  );

  function drawFrames() {
    const picture = data.images[model.get("image")];
    const depth = model.get("depth");
    const image = frame(picture.frames, 0);
    const rebuilt = frame(picture.frames, depth);
    const heat = lookup(picture.map.values, 0, 255, colours);
    const opacity = model.get("opacity");
    const where = `of ${picture.name}`;
    panels.input.show(mix(image, heat, opacity), `input ${where}${opacity ? ", anomaly map laid over" : ""}`);
    panels.reconstruction.show(rebuilt, `reconstruction at depth ${depth} ${where}`);
    panels.enhanced?.show(frame(picture.frames, data.depth + depth), `enhanced reconstruction at depth ${depth} ${where}`);
    const residual = lookup(distance(image, rebuilt), 0, data.scale.difference, colours);
    panels.residual.show(residual, `residual at depth ${depth} ${where}`);
    panels.map.show(heat, `anomaly map ${where}`);
    view.border = picture.mask && border.checked ? outline(picture.mask.values, data.height, data.width) : "";
    verdict.value = verdictOn(picture.score, data.threshold);
  }

  function drawPixels() {
    view.marks = model.get("probes").map(([row, column, colour]) => ({ row, column, colour: COLOURS[colour] }));
    for (const panel of view.panels) panel.drawMarks();
    drawProbes({ model, data, place: probes, hover: view.cursor });
    reading.value = view.cursor ? `row ${view.cursor.row}, column ${view.cursor.column}` : "";
  }

  const draw = () => {
    drawFrames();
    drawPixels();
  };
  for (const name of ["image", "depth", "opacity"]) model.on(`change:${name}`, draw);
  model.on("change:probes", drawPixels);

  const keep = ({ row, column }) => toggle(model, data.max_probes, row, column);
  const hover = (pixel) => {
    view.cursor = pixel;
    drawPixels();
  };
  for (const panel of view.panels) listenToPointer(panel, { hover, keep });
  listenToKeys(group, view, { hover, keep, drop: () => change(model, "probes", model.get("probes").slice(0, -1)) });

  place.append(
    element(
      "div",
      { class: "rcae-controls" },
      chooser({ model, name: "image", label: "Image", options: data.images.map((image) => image.name) }),
      verdict,
    ),
    element(
      "div",
      { class: "rcae-controls" },
      ...player(model, data.depth),
      slider({ model, name: "opacity", label: "Map over input", low: 0, high: 1, step: 0.05, text: (v) => `${Math.round(100 * v)}%` }),
      masked ? element("label", { class: "rcae-check" }, border, "true defect") : null,
      zoomButtons(view),
      reading,
    ),
    group,
    probes,
  );
  draw();
  place.dataset.ready = "true";
}

/** A score beside the threshold, in words. */
export function verdictOn(score, threshold) {
  if (threshold === null) return `score ${short(score)} (no threshold)`;
  const defective = score > threshold;
  return `score ${short(score)} ${defective ? ">" : "≤"} threshold ${short(threshold)}: ${defective ? "defective" : "normal"}`;
}

/** The depth slider with play and loop. */
export function player(model, depth) {
  let timer = null;
  const loop = element("input", { type: "checkbox", checked: true });
  const stop = () => {
    clearInterval(timer);
    timer = null;
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
    if (timer !== null) return stop();
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

/** Arrow keys move the cross, Enter keeps its pixel, Delete drops the last one. */
function listenToKeys(group, view, { hover, keep, drop }) {
  group.addEventListener("keydown", (event) => {
    const at = view.cursor ?? view.middle;
    const next = step(event, at, view);
    if (next) {
      view.reveal(next);
      hover(next);
    }
    else if (event.key === "Enter") keep(at);
    else if (event.key === "Delete" || event.key === "Backspace") drop();
    else if (event.key === "+" || event.key === "=") view.zoomBy(1, at.row, at.column);
    else if (event.key === "-") view.zoomBy(-1, at.row, at.column);
    else if (event.key === "Escape") hover(null);
    else return;
    event.preventDefault();
  });
  group.addEventListener("blur", () => hover(null));
}
