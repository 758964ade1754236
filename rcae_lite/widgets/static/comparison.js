// ModelComparison: the same images through several detectors, at one depth and one zoom.
import { unpack } from "./arrays.js";
import { colourBar, distance, frame, listenToPointer, lookup, outline, Panel, View, zoomButtons } from "./canvas.js";
import { chart } from "./chart.js";
import { chooser, element, root, short } from "./dom.js";
import { player, TITLES } from "./explorer.js";
import { DEFECTIVE, NORMAL } from "./threshold.js";

const PANELS = ["reconstruction", "residual", "map"];

/** Part `index` of a stack along its first axis. */
function part(stack, index) {
  const size = stack.values.length / stack.shape[0];
  return { shape: stack.shape.slice(1), values: stack.values.subarray(index * size, (index + 1) * size) };
}

export async function render({ model, el }) {
  const data = await unpack(model.get("data"));
  const { height, width, detectors } = data;
  const colours = data.colours.values;
  const place = root(el, "Model comparison");
  const view = new View(height, width);
  const input = new Panel(view, TITLES.input(), "input", true);
  const truth = element("span", { class: "rcae-hint" });
  input.note.append(truth);
  const rows = detectors.map((detector, index) => new Row(view, detector, index, colours));
  const scores = element("div", { "data-part": "scores" });

  function draw() {
    const image = model.get("image");
    const pixels = frame(data.images, image);
    input.show(pixels, `input of ${data.names[image]}`);
    truth.textContent = data.labels === null ? "" : `ground truth: ${data.labels[image] ? "defective" : "normal"}`;
    view.border = data.masks === null ? "" : outline(part(data.masks, image).values, height, width);
    for (const row of rows) row.draw(pixels, image, Math.min(model.get("depth"), row.detector.depth));
    view.draw();
    scores.replaceChildren(distributions(data, image));
  }

  const hover = (at) => {
    view.cursor = at;
    for (const panel of view.panels) panel.drawMarks();
  };
  for (const panel of view.panels) listenToPointer(panel, { hover, keep: () => {} });
  place.append(
    element(
      "div",
      { class: "rcae-controls" },
      chooser({ model, name: "image", label: "Image", options: data.names }),
      ...player(model, data.depth),
      zoomButtons(view),
    ),
    element("div", { class: "rcae-compared" }, input.element, element("div", {}, ...rows.map((row) => row.element))),
    scores,
  );
  for (const name of ["image", "depth"]) model.on(`change:${name}`, draw);
  draw();
  place.dataset.ready = "true";
}

/** One detector: its verdict and its three pictures. */
class Row {
  constructor(view, detector, index, colours) {
    Object.assign(this, { detector, colours });
    this.panels = Object.fromEntries(PANELS.map((name) => [name, new Panel(view, TITLES[name](), `${index}-${name}`, name === "map")]));
    this.panels.residual.note.append(colourBar(colours, 0, detector.scale.difference / 765, "residual"));
    this.panels.map.note.append(colourBar(colours, detector.scale.low, detector.scale.high, "raw map"));
    this.verdict = element("output", { class: "rcae-hint" });
    const pictures = Object.values(this.panels).map((panel) => panel.element);
    this.element = element(
      "section", { "aria-label": detector.name },
      element("h3", {}, detector.name, " ", this.verdict),
      element("div", { class: "rcae-panels" }, ...pictures),
    );
  }

  draw(pixels, image, depth) {
    const { detector, colours, panels } = this;
    const rebuilt = frame(part(detector.reconstructions, image), depth - 1);
    const where = `of ${detector.name} at depth ${depth}`;
    panels.reconstruction.show(rebuilt, `reconstruction ${where}`);
    panels.residual.show(lookup(distance(pixels, rebuilt), 0, detector.scale.difference, colours), `residual ${where}`);
    panels.map.show(lookup(part(detector.maps, image).values, 0, 255, colours), `anomaly map of ${detector.name}`);
    const score = detector.scores[image];
    const verdict = score > 1 ? "defective" : "normal";
    this.verdict.value = `depth ${depth} of ${detector.depth} · score ${short(score)} × threshold: ${verdict}`;
  }
}

/** The scores of all images in units of each detector's own threshold, one line per detector. */
function distributions(data, image) {
  const { detectors, labels } = data;
  const all = detectors.flatMap((detector) => [...detector.scores, ...detector.calibration]);
  const high = Math.max(2, ...all);
  const low = Math.min(0, ...all);
  const dots = detectors.flatMap((detector, index) => {
    const line = detectors.length - 1 - index;
    const colour = (i) => (labels === null ? "var(--text)" : labels[i] ? DEFECTIVE : NORMAL);
    return [
      ...detector.calibration.map((x) => ({ x, y: line - 0.22, colour: "var(--quiet)" })),
      ...detector.scores.map((x, i) => ({ x, y: line + 0.06, colour: colour(i) })),
      { x: detector.scores[image], y: line + 0.06, colour: "var(--text)", big: true, hollow: true },
    ];
  });
  const lines = detectors.map((_, index) => index);
  const words = detectors.map((detector) => `${detector.name}: this image ${short(detector.scores[image])}, ${detector.scores.filter((score) => score > 1).length} of ${detector.scores.length} above the threshold`);
  return chart({
    title: "scores in units of each detector's own threshold; the ring is the image shown, grey dots are held-out normal images",
    x: { low, high, label: "score / threshold" },
    y: { low: -0.5, high: detectors.length - 0.5, ticks: lines, text: (line) => String(detectors.length - line) },
    dots,
    rules: [{ x: 1, colour: "var(--text)", dashed: true }],
    alt: `scores in units of the threshold; ${words.join("; ")}`,
    width: 560,
  }).element;
}
