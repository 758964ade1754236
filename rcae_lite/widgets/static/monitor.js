// TrainingMonitor: losses as they come, and what becomes of a probe image as training proceeds.
import { unpack } from "./arrays.js";
import { distance, frame, lookup, Panel, View } from "./canvas.js";
import { chart } from "./chart.js";
import { button, element, root, short, slider } from "./dom.js";
import { ticks } from "./scale.js";

const RESIDUAL = 77; // the sum of differences that gets the last colour: a tenth of the whole range
const NAMES = { rcae: "RcAE", dpn: "DPN", crd: "CRD", single_pass: "single pass" };

export async function render({ model, el }) {
  const data = await unpack(model.get("data"));
  const place = root(el, "Training monitor");
  const moments = [];
  const view = new View(data.height, data.width);
  const input = new Panel(view, ["probe"], "input");
  const pictures = element("div", { class: "rcae-strip rcae-moments" });
  const losses = element("div", { class: "rcae-plots" });
  const status = element("output", { class: "rcae-verdict", "aria-live": "polite", "data-part": "status" });
  const bar = element("progress", { max: 1, value: 0, "aria-label": "steps of the present stage" });
  const title = element("output", { class: "rcae-hint" });
  let panels = [];

  const start = button("Start", "start or resume training", () => model.send({ type: "start" }));
  const stop = button("Stop", "stop the training and keep a checkpoint", () => model.send({ type: "stop" }));
  const back = slider({ model, name: "moment", label: "Moment", low: 0, high: 1, text: (index) => `${moments.length ? index + 1 : 0} of ${moments.length}` });
  const handle = back.querySelector("input");

  function drawProgress() {
    const { status: state, stage, done, steps, message, losses: curves } = model.get("progress");
    const busy = state === "running" || state === "stopping";
    start.disabled = busy || state === "finished";
    start.textContent = state === "stopped" || state === "failed" ? "Resume" : "Start";
    stop.disabled = state !== "running";
    const at = stage ? ` · ${NAMES[stage] ?? stage}, step ${done} of ${steps}` : "";
    status.value = state + at + (message ? ` · ${message}` : "");
    bar.max = Math.max(1, steps);
    bar.value = done;
    losses.replaceChildren(...Object.entries(curves).map(([name, points]) => curve(NAMES[name] ?? name, points)));
  }

  function drawMoment() {
    handle.max = Math.max(0, moments.length - 1);
    handle.disabled = moments.length < 2;
    handle.value = model.get("moment");
    back.querySelector("output").value = moments.length ? `${model.get("moment") + 1} of ${moments.length}` : "none yet";
    const moment = moments[Math.min(model.get("moment"), moments.length - 1)];
    if (!moment) return;
    if (moment.stage === "crd") {
      if (panels.length !== 1) makeMap();
      title.value = `CRD, step ${moment.step}: its anomaly map, from 0 to 1`;
      panels[0].show(frame(moment.stack, 0), `anomaly map at step ${moment.step} of crd`);
      return;
    }
    const depth = moment.stack.shape[0];
    if (panels.length !== 2 * depth) makePanels(depth);
    const what = moment.stage === "dpn" ? "enhanced by DPN" : "reconstruction";
    title.value = `${NAMES[moment.stage] ?? moment.stage}, step ${moment.step}: ${what} at each depth, and its residual below (to ${short(RESIDUAL / 765)})`;
    for (let index = 0; index < depth; index += 1) {
      const rgb = frame(moment.stack, index);
      const words = `at depth ${index + 1}, step ${moment.step} of ${moment.stage}`;
      panels[index].show(rgb, `${what} ${words}`);
      const residual = lookup(distance(data.image.values, rgb), 0, RESIDUAL, data.colours.values);
      panels[depth + index].show(residual, `residual ${words}`);
    }
  }

  function makePanels(depth) {
    const row = (name, label) => Array.from({ length: depth }, (_, index) => new Panel(view, [label(index + 1)], `${name}-${index + 1}`));
    panels = [...row("picture", (n) => `n = ${n}`), ...row("residual", () => "residual")];
    pictures.style.gridTemplateColumns = `repeat(${depth}, minmax(40px, 1fr))`;
    pictures.replaceChildren(...panels.map((panel) => panel.element));
  }

  function makeMap() {
    panels = [new Panel(view, ["anomaly map"], "moment-map")];
    pictures.style.gridTemplateColumns = "minmax(40px, 160px)";
    pictures.replaceChildren(panels[0].element);
  }

  model.on("msg:custom", ({ index, stage, step, shape }, buffers) => {
    const bytes = buffers[0];
    moments.length = Math.min(moments.length, index);
    moments[index] = { stage, step, stack: { shape, values: new Uint8Array(bytes.buffer ?? bytes, bytes.byteOffset ?? 0, bytes.byteLength) } };
    drawMoment();
  });
  model.on("change:progress", drawProgress);
  model.on("change:moment", drawMoment);

  place.append(
    element("div", { class: "rcae-controls" }, element("span", { class: "rcae-buttons" }, start, stop), bar, status),
    losses,
    element("div", { class: "rcae-controls" }, back, title),
    element("div", { class: "rcae-compared rcae-watched" }, input.element, pictures),
  );
  input.show(data.image.values, "the probe image");
  drawProgress();
  drawMoment();
  model.send({ type: "moments" });
  place.dataset.ready = "true";
}

function curve(name, points) {
  const values = points.map((point) => point[1]);
  const scale = ticks(Math.max(1e-6, ...values));
  const last = points[points.length - 1];
  return chart({
    title: `loss of ${name}`,
    x: { low: 0, high: Math.max(2, last[0]), label: "optimiser step" },
    y: { low: 0, high: scale[scale.length - 1], ticks: scale },
    lines: [{ points, colour: "#0173b2" }],
    alt: `loss of ${name} over ${last[0]} steps, from ${short(values[0])} to ${short(last[1])}`,
  }).element;
}
