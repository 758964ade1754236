// ThresholdExplorer: drag the threshold over the scores and see what follows. The same numbers as
// ThresholdState; exact intervals come as tables, one entry for every possible count.
import { unpack } from "./arrays.js";
import { chart } from "./chart.js";
import { button, change, element, root, shape, short, slider } from "./dom.js";
import { frame } from "./canvas.js";
import { ticks } from "./plot.js";

export const NORMAL = "#0173b2";
export const DEFECTIVE = "#d55e00";
const NAMES = ["normal", "defective"];
const SHOWN = 12; // mistakes of each kind

const percent = (share) => `${(100 * share).toFixed(1)}%`;

/** How many images of each label are called defective, and how many there are. */
export function count(images, threshold) {
  const counts = [{ called: 0, total: 0 }, { called: 0, total: 0 }];
  for (const { label, score } of images) {
    counts[label].total += 1;
    counts[label].called += score > threshold;
  }
  return counts;
}

/** The point of the PRO curve at a threshold, between those that are known; null without any. */
export function proPoint(known, threshold) {
  if (!known.length) return null;
  const after = known.findIndex((point) => point[0] <= threshold); // thresholds fall
  if (after === 0) return known[0].slice(1);
  if (after < 0) return known[known.length - 1].slice(1);
  const [above, below] = [known[after - 1], known[after]];
  const share = (threshold - below[0]) / (above[0] - below[0]);
  return [1, 2].map((i) => below[i] + share * (above[i] - below[i]));
}

export async function render({ model, el }) {
  const data = await unpack(model.get("data"));
  const place = root(el, "Threshold explorer");
  const parts = Object.fromEntries(["histogram", "table", "rates", "roc", "pro", "gallery"].map((name) => [name, element("div", { "data-part": name })]));
  const where = element("output", { class: "rcae-hint", "aria-live": "polite" });
  let histogram = null;

  function draw() {
    const threshold = model.get("threshold");
    const counts = count(data.images, threshold);
    histogram = drawHistogram(data, threshold);
    parts.histogram.replaceChildren(histogram.element, legend(data));
    parts.table.replaceChildren(table(counts));
    parts.rates.replaceChildren(...rates(data, counts));
    parts.roc.replaceChildren(roc(data, counts));
    parts.pro.replaceChildren(pro(data, threshold));
    parts.gallery.replaceChildren(...gallery(data, threshold));
    where.value = threshold === data.mark
      ? `from ${data.held_out} held-out normal images: at most ${percent(data.rate)} false alarms`
      : "chosen by looking at the test set: its rates flatter it";
  }

  let dragging = false;
  const move = (event) => change(model, "threshold", histogram.valueAt(event));
  parts.histogram.className = "rcae-drag";
  parts.histogram.addEventListener("pointerdown", (event) => {
    if (!event.target.closest("svg")) return;
    dragging = true;
    parts.histogram.setPointerCapture(event.pointerId);
    move(event);
  });
  parts.histogram.addEventListener("pointermove", (event) => dragging && move(event));
  for (const end of ["pointerup", "pointercancel"]) parts.histogram.addEventListener(end, () => (dragging = false));

  place.append(
    element(
      "div",
      { class: "rcae-controls" },
      slider({ model, name: "threshold", label: "Threshold", low: data.low, high: data.high, step: "any", text: short }),
      button("From normals", "back to the threshold from normal images", () => change(model, "threshold", data.mark)),
      where,
    ),
    element("div", { class: "rcae-threshold" }, parts.histogram, element("div", { class: "rcae-outcome" }, parts.table, parts.rates)),
    element("div", { class: "rcae-plots" }, parts.roc, parts.pro),
    parts.gallery,
  );
  model.on("change:threshold", draw);
  draw();
  place.dataset.ready = "true";
}

function drawHistogram(data, threshold) {
  const { edges, counts } = data;
  const top = Math.max(1, ...counts.flat());
  const bars = counts.flatMap((column, label) =>
    column.map((height, bin) => {
      const [from, to] = [edges[bin], edges[bin + 1]];
      const middle = (from + to) / 2;
      return { from: label ? middle : from, to: label ? to : middle, height, colour: label ? DEFECTIVE : NORMAL };
    }),
  );
  const scale = ticks(top).filter(Number.isInteger);
  return chart({
    title: "scores of the test images: drag the line",
    x: { low: data.low, high: data.high, label: "score (raw)" },
    y: { low: 0, high: scale[scale.length - 1], ticks: scale },
    bars,
    rules: [{ x: data.mark, colour: "var(--quiet)", dashed: true }, { x: threshold, colour: "var(--text)", grip: true }],
    alt: `histogram of the scores of ${data.images.length} test images; the threshold is at ${short(threshold)}, the one from normal images at ${short(data.mark)}`,
    width: 460,
  });
}

function legend(data) {
  const key = (colour, text) => element("span", { class: "rcae-key" }, element("i", { style: `background: ${colour}` }), text);
  return element("div", { class: "rcae-hint rcae-legend" }, key(NORMAL, "normal"), key(DEFECTIVE, "defective"), `dashed: threshold from normals, ${short(data.mark)}`);
}

function table(counts) {
  const cell = (value, right) => element("td", { class: right ? "rcae-right" : "rcae-wrong" }, String(value));
  const row = (label) => element(
    "tr", {},
    element("th", { scope: "row" }, NAMES[label]),
    cell(counts[label].total - counts[label].called, label === 0),
    cell(counts[label].called, label === 1),
  );
  return element(
    "table",
    { class: "rcae-confusion" },
    element("caption", {}, "Confusion matrix"),
    element("thead", {}, element("tr", {}, element("td"), ...["called normal", "called defective"].map((text) => element("th", { scope: "col" }, text)))),
    element("tbody", {}, row(0), row(1)),
  );
}

function rates(data, counts) {
  return ["False alarms", "Defects found"].map((name, label) => {
    const { called, total } = counts[label];
    if (!total) return element("p", { class: "rcae-rate" }, `${name}: no ${NAMES[label]} test image`);
    const [low, high] = data.intervals[label][called];
    const text = `${called} of ${total}: ${percent(called / total)}  [${percent(low)}, ${percent(high)}]`;
    const colour = label ? DEFECTIVE : NORMAL;
    const bar = shape(
      "svg", { viewBox: "0 0 100 8", preserveAspectRatio: "none", role: "img", "aria-label": `${name}: ${text}, 95% interval` },
      shape("rect", { class: "rcae-track", width: 100, height: 8 }),
      shape("rect", { x: 100 * low, width: Math.max(0.5, 100 * (high - low)), height: 8, fill: colour, "fill-opacity": 0.35 }),
      shape("rect", { x: Math.min(98.8, 100 * (called / total)), width: 1.2, height: 8, fill: colour }),
    );
    return element("div", { class: "rcae-rate" }, element("b", {}, name), element("output", {}, text), bar);
  });
}

function curve({ title, points, point, x, y, alt }) {
  const dots = point ? [{ x: point[0], y: point[1], colour: "var(--text)", big: true }] : [];
  return chart({ title, x, y, lines: [{ points, colour: DEFECTIVE }], dots, alt }).element;
}

function roc(data, counts) {
  if (!data.roc.length) return element("p", { class: "rcae-hint" }, "No ROC curve: the test images are of one kind.");
  const point = counts.map(({ called, total }) => called / total);
  return curve({
    title: "ROC: share of the images", points: data.roc, point,
    x: { low: 0, high: 1, label: "false alarms" }, y: { low: 0, high: 1 },
    alt: `ROC curve over images; at the threshold ${percent(point[0])} false alarms, ${percent(point[1])} of the defects found`,
  });
}

function pro(data, threshold) {
  if (!data.pro.length) return element("p", { class: "rcae-hint" }, "No PRO curve: there are no masks.");
  const point = proPoint(data.pro_thresholds, threshold);
  const beyond = point && point[0] > data.pro_limit;
  const said = point ? `at the threshold ${percent(point[0])} of the normal pixels and ${percent(point[1])} of a region` : "evaluate again for the point of the threshold";
  const figure = curve({
    title: "PRO: the same threshold on the map's pixels", points: data.pro, point: beyond ? null : point,
    x: { low: 0, high: data.pro_limit, label: "normal pixels above it" }, y: { low: 0, high: 1 },
    alt: `per-region overlap over the false-positive rate of pixels; ${said}`,
  });
  if (!point || beyond) figure.append(element("span", { class: "rcae-hint" }, beyond ? "The point lies to the right of this." : said));
  return figure;
}

function gallery(data, threshold) {
  const numbered = data.images.map((image, index) => ({ ...image, index }));
  const alarms = numbered.filter((image) => image.label === 0 && image.score > threshold).sort((a, b) => b.score - a.score);
  const missed = numbered.filter((image) => image.label === 1 && !(image.score > threshold)).sort((a, b) => a.score - b.score);
  return [["False alarms, the worst first", alarms], ["Missed defects, the worst first", missed]].map(([title, wrong]) => {
    const more = wrong.length > SHOWN ? ` (${SHOWN} of ${wrong.length})` : "";
    const shown = wrong.length ? wrong.slice(0, SHOWN).map((image) => picture(data, image)) : [element("span", { class: "rcae-hint" }, "none")];
    return element("section", {}, element("h3", {}, title + more), element("div", { class: "rcae-gallery" }, ...shown));
  });
}

function picture(data, image) {
  const words = `${image.name}: ${image.defect}, score ${short(image.score)}`;
  const drawn = [];
  if (data.pictures) {
    const [, height, width] = data.pictures.shape;
    const canvas = element("canvas", { width, height, role: "img", "aria-label": words, "data-image": image.index });
    const context = canvas.getContext("2d");
    const pixels = context.createImageData(width, height);
    const rgb = frame(data.pictures, image.index);
    for (let from = 0, to = 0; from < rgb.length; from += 3, to += 4) pixels.data.set([rgb[from], rgb[from + 1], rgb[from + 2], 255], to);
    context.putImageData(pixels, 0, 0);
    drawn.push(canvas);
  }
  return element("figure", { title: words }, ...drawn, element("figcaption", {}, data.pictures ? `${image.defect} ${short(image.score)}` : `${image.name} ${short(image.score)}`));
}
