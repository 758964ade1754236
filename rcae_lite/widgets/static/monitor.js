// @ts-check
// TrainingMonitor: what becomes of a probe image as training proceeds; beside it the loss, and how far
// a painted defect is undone and the rest is kept.
import { unpack } from "./arrays.js";
import { distance, frame, lookup, outline, Panel, View } from "./canvas.js";
import { chart } from "./chart.js";
import { button, element, root, short, slider } from "./dom.js";
import { ticks } from "./scale.js";

/**
 * @typedef {"erasure" | "error"} Measure
 * @typedef {{stage: string, step: number, stack: {shape: number[], values: Uint8Array}} & Record<Measure, number | null>} Moment
 * @typedef {number[][]} Points step and loss
 */

const RESIDUAL = 77; // the sum of differences that gets the last colour: a tenth of the whole range
/** @type {Record<string, string>} */
const NAMES = { rcae: "RcAE", dpn: "DPN", crd: "CRD", single_pass: "single pass" };
const LOW = 150; // pixels, the height of a chart

/** @param {{model: any, el: HTMLElement}} widget */
export async function render({ model, el }) {
  const data = await unpack(model.get("data"));
  const place = root(el, "Training monitor");
  /** @type {Moment[]} */
  const moments = [];
  const progress = new Progress(model, data);
  const pictures = new Pictures(data);
  const curves = new Curves(data);
  const back = slider({ model, name: "moment", label: "Moment", low: 0, high: 1 });
  const handle = /** @type {HTMLInputElement} */ (back.querySelector("input"));
  const reading = /** @type {HTMLOutputElement} */ (back.querySelector("output"));
  /** @returns {Moment | undefined} */
  const shown = () => moments[Math.min(model.get("moment"), moments.length - 1)];
  const drawCurves = () => curves.draw(model.get("progress").losses, moments, shown());

  function drawMoment() {
    handle.max = String(Math.max(0, moments.length - 1));
    handle.disabled = moments.length < 2;
    handle.value = model.get("moment");
    reading.value = moments.length ? `${model.get("moment") + 1} of ${moments.length}` : "none yet";
    handle.setAttribute("aria-valuetext", reading.value);
    const moment = shown();
    if (moment) pictures.draw(moment);
    drawCurves();
  }

  model.on("msg:custom", (/** @type {any} */ { index, shape, ...moment }, /** @type {any[]} */ buffers) => {
    const bytes = buffers[0];
    moments.length = Math.min(moments.length, index);
    moments[index] = { ...moment, stack: { shape, values: new Uint8Array(bytes.buffer ?? bytes, bytes.byteOffset ?? 0, bytes.byteLength) } };
    drawMoment();
  });
  model.on("change:progress", () => {
    progress.draw();
    drawCurves();
  });
  model.on("change:moment", drawMoment);

  place.append(
    progress.element,
    element("div", { class: "rcae-watched" },
      curves.element,
      element("div", {}, element("div", { class: "rcae-controls" }, back, pictures.title), pictures.element)),
  );
  progress.draw();
  drawMoment();
  model.send({ type: "moments" });
  place.dataset.ready = "true";
}

/** A duration in words that do not promise more than is known. @param {number} seconds */
export function about(seconds) {
  if (seconds < 90) return `about ${Math.max(1, seconds < 10 ? Math.round(seconds) : 5 * Math.round(seconds / 5))} s`;
  if (seconds < 5400) return `about ${Math.round(seconds / 60)} min`;
  return `about ${Number((seconds / 3600).toPrecision(2))} h`;
}

/** Start, stop, how far it is and how long it will take. */
class Progress {
  /** @param {any} model @param {any} data */
  constructor(model, data) {
    this.model = model;
    this.data = data;
    this.start = button("Start", "start or resume training", () => model.send({ type: "start" }));
    this.stop = button("Stop", "stop the training and keep a checkpoint", () => model.send({ type: "stop" }));
    this.bar = element("progress", { max: 1, value: 0, "aria-label": "steps of the present stage" });
    this.status = element("output", { class: "rcae-verdict", "data-part": "status" });
    this.rest = element("span", { class: "rcae-hint", "data-part": "rest" }); // not read out at each step
    this.element = element("div", { class: "rcae-controls" }, element("span", { class: "rcae-buttons" }, this.start, this.stop), this.bar, this.status, this.rest);
  }

  draw() {
    const { status, stage, done, steps, seconds_left, message } = this.model.get("progress");
    this.start.disabled = status === "running" || status === "stopping" || status === "finished";
    this.start.textContent = status === "stopped" || status === "failed" ? "Resume" : "Start";
    this.stop.disabled = status !== "running";
    const said = [status, stage && (NAMES[stage] ?? stage), message].filter(Boolean).join(" · ");
    if (this.status.value !== said) this.status.value = said;
    const { stages } = this.data;
    const then = stages.slice(stages.indexOf(stage) + 1).map((/** @type {string} */ name) => NAMES[name] ?? name).join(" and ");
    const left = seconds_left === null ? "" : `, ${about(seconds_left)} left in this stage${then && `, then ${then}`}`;
    this.rest.textContent = stage ? `step ${done} of ${steps}${left}` : "";
    this.bar.max = Math.max(1, steps);
    this.bar.value = done;
  }
}

/** The loss of the stage that is shown, and erasure and error outside over the stages so far. */
class Curves {
  /** @param {any} data */
  constructor(data) {
    this.data = data;
    const x = { low: 0, high: 2 };
    const y = { low: 0, high: 1 };
    this.loss = chart({ title: "Loss", x: { ...x, label: "optimiser step" }, y, alt: "loss: no step yet" });
    const low = { x, y, height: LOW };
    /** @type {Partial<Record<Measure, import("./chart.js").Chart>>} */
    this.measures = data.painted ? {
      erasure: chart({ ...low, title: "Erasure: 1 as painted, 0 undone", alt: "erasure: no moment yet" }),
      error: chart({ ...low, title: "Error outside it, grey levels", alt: "error outside: no moment yet" }),
    } : {};
    const { painted } = data;
    const note = painted && `Of a ${painted.family} painted into ${painted.into}, at the last depth${painted.shown ? "" : "; not the image that is shown"}.`;
    this.element = element("div", { class: "rcae-curves" }, this.loss.element, ...Object.values(this.measures).map((one) => one.element), note && element("span", { class: "rcae-hint" }, note));
  }

  /** @param {Record<string, Points>} losses @param {Moment[]} moments @param {Moment} [shown] */
  draw(losses, moments, shown) {
    const stage = shown?.stage ?? Object.keys(losses)[0];
    if (losses[stage]) this.drawLoss(stage, losses[stage], shown);
    const ends = Object.fromEntries(Object.entries(losses).map(([name, points]) => [name, points[points.length - 1][0]]));
    /** @type {string[]} */
    const stages = this.data.stages;
    const before = (/** @type {string} */ name) => stages.slice(0, stages.indexOf(name)).reduce((sum, one) => sum + (ends[one] ?? 0), 0);
    for (const [name, drawn] of Object.entries(this.measures)) this.drawMeasure(/** @type {Measure} */ (name), drawn, moments, shown, before);
  }

  /** @param {string} stage @param {Points} points @param {Moment} [shown] */
  drawLoss(stage, points, shown) {
    const name = NAMES[stage] ?? stage;
    const [first, last] = [points[0], points[points.length - 1]];
    const scale = ticks(Math.max(1e-6, ...points.map((point) => point[1])));
    this.loss.redraw({
      title: `Loss of ${name}`,
      x: { low: 0, high: Math.max(2, last[0]), label: "optimiser step" },
      y: { low: 0, high: scale[scale.length - 1], ticks: scale },
      lines: [{ points, colour: "var(--normal)" }],
      rules: shown ? [{ x: shown.step, colour: "var(--accent)", dashed: true }] : [],
      words: ([step, loss]) => `step ${step}: loss ${short(loss)}`,
      alt: `loss of ${name} over ${last[0]} steps, from ${short(first[1])} to ${short(last[1])}`,
    });
  }

  /**
   * @param {Measure} key
   * @param {import("./chart.js").Chart} drawn
   * @param {Moment[]} moments
   * @param {Moment | undefined} shown
   * @param {(stage: string) => number} before steps of the stages before it
   */
  drawMeasure(key, drawn, moments, shown, before) {
    const value = (/** @type {Moment} */ moment) => /** @type {number} */ (moment[key]);
    const measured = moments.filter((moment) => moment[key] !== null);
    if (!measured.length) return;
    const place = (/** @type {Moment} */ { stage, step }) => before(stage) + step;
    const values = measured.map(value);
    const scale = ticks(Math.max(1e-6, ...values));
    const [first, last] = [values[0], values[values.length - 1]];
    const said = key === "erasure" ? "erasure of the painted defect" : "error outside of it, in grey levels,";
    const stages = [...new Set(measured.map(({ stage }) => stage))];
    const lines = stages.map((stage, i) => {
      const points = measured.filter((moment) => moment.stage === stage).map((moment) => [place(moment), value(moment)]);
      return { stage, points, colour: key === "erasure" ? "var(--defective)" : "var(--good)", dashed: i > 0, dotted: true };
    });
    const names = stages.map((stage) => NAMES[stage] ?? stage);
    drawn.redraw({
      x: { low: 0, high: Math.max(2, place(measured[measured.length - 1])), label: `steps of ${names.join(", then (dashed) of ")}` },
      y: { low: 0, high: scale[scale.length - 1], ticks: scale },
      lines,
      rules: shown && shown[key] !== null ? [{ x: place(shown), colour: "var(--accent)", dashed: true }] : [],
      words: ([step, height], { stage }) => `${NAMES[stage] ?? stage}, step ${step - before(stage)}: ${short(height)}`,
      alt: `${said} over ${measured.length} moments, from ${short(first)} to ${short(last)}`,
    });
  }
}

/** The probe, and what the detector makes of it at a moment. */
class Pictures {
  /** @param {any} data */
  constructor(data) {
    this.data = data;
    this.view = new View(data.height, data.width);
    this.input = new Panel(this.view, ["probe"], "input", true);
    this.title = element("span", { class: "rcae-hint" });
    this.strip = element("div", { class: "rcae-strip rcae-moments" });
    this.element = element("div", { class: "rcae-compared" }, this.input.element, this.strip);
    /** @type {Panel[]} */
    this.panels = [];
    const shown = data.painted?.shown;
    if (shown) this.view.border = outline(data.painted.mask.values, data.height, data.width);
    this.input.show(data.image.values, shown ? `the probe image, with a painted ${data.painted.family}` : "the probe image");
  }

  /** @param {Moment} moment */
  draw({ stage, step, stack }) {
    if (stage === "crd") {
      this.lay([["moment-map", "anomaly map"]], "minmax(40px, 160px)");
      this.title.textContent = `CRD, step ${step}: its anomaly map, from 0 to 1`;
      this.panels[0].show(frame(stack, 0), `anomaly map at step ${step} of crd`);
      return;
    }
    const [depth] = stack.shape;
    /** @type {(name: string, label: (n: number) => string) => string[][]} */
    const row = (name, label) => Array.from({ length: depth }, (_, index) => [`${name}-${index + 1}`, label(index + 1)]);
    this.lay([...row("picture", (n) => `n = ${n}`), ...row("residual", () => "residual")], `repeat(${depth}, minmax(28px, 1fr))`);
    const what = stage === "dpn" ? "enhanced by DPN" : "reconstruction";
    this.title.textContent = `${NAMES[stage] ?? stage}, step ${step}: ${what} at each depth, and its residual below (to ${short(RESIDUAL / 765)})`;
    for (let index = 0; index < depth; index += 1) {
      const rgb = frame(stack, index);
      const words = `at depth ${index + 1}, step ${step} of ${stage}`;
      this.panels[index].show(rgb, `${what} ${words}`);
      const residual = lookup(distance(this.data.image.values, rgb), 0, RESIDUAL, this.data.colours.values);
      this.panels[depth + index].show(residual, `residual ${words}`);
    }
  }

  /** Put panels of these names and titles in the strip, unless as many are there. @param {string[][]} named @param {string} columns */
  lay(named, columns) {
    if (this.panels.length === named.length) return;
    this.view.panels = [this.input];
    this.panels = named.map(([name, title]) => new Panel(this.view, [title], name));
    this.strip.style.gridTemplateColumns = columns;
    this.strip.replaceChildren(...this.panels.map((panel) => panel.element));
  }
}
