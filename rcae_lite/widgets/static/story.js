// @ts-check
// The Forgetting Machine: strokes, time and text around the stage.
import { unpack } from "./arrays.js";
import { flat, History, Stroke } from "./brush.js";
import { step } from "./canvas.js";
import { Engine } from "./engine.js";
import { calm, smooth } from "./fade.js";
import { Machine } from "./machine.js";
import { LocalModel } from "./model.js";
import { Stage } from "./stage.js";
import { fill, sentences, SETTINGS, tables, watchSteps } from "./steps.js";

const FADE = 1000; // milliseconds from one round to the next
const HOLD = 450; // milliseconds on each round
const SCRATCH = [[0.42, 0.21], [0.3, 0.31], [0.27, 0.43]]; // rows and columns, as shares of the sides
const THIN = 3 / 128;
const THICK = 7 / 128;

const PLACES = [[[0.2, 0.36], [0.32, 0.26]], [[0.2, 0.64], [0.32, 0.74]], [[0.68, 0.26], [0.8, 0.36]], [[0.68, 0.74], [0.8, 0.64]]];

/** Strokes to start from: ink, width as a share of the height. @type {[string, number][]} */
const KINDS = [["strange", THIN], ["strange", THICK], ["own", THIN], ["own", THICK]];
/** And their points. @type {Record<string, [string, number, number[][]][]>} */
const PRESETS = {
  scratch: [["scratch", THIN, SCRATCH]],
  four: KINDS.map(([ink, size], kind) => [ink, size, PLACES[kind]]),
  large: [["strange", 0.2, [[0.68, 0.3], [0.76, 0.38]]]],
};

class Story {
  /** @param {HTMLElement} el @param {any} data @param {Machine} machine */
  constructor(el, data, machine) {
    this.el = el;
    this.data = data;
    this.machine = machine;
    this.model = new LocalModel({ t: 0, network: "rcae", view: "picture", ink: "scratch", size: Math.max(1, Math.round(THIN * data.height)) });
    this.found = null;
    this.test = null;
    /** @type {string | null} */
    this.preset = "scratch"; // what is painted now, if it is no stroke of the reader
    this.stroke = null;
    this.waiting = null;
    this.busy = true;
    this.timer = 0; // of the animation, 0 while nothing moves
    this.then = () => {}; // once the picture has been looked at
    this.history = new History(this.painted(PRESETS.scratch));
    const act = {
      play: () => (this.timer ? this.stop() : this.play()),
      undo: () => this.travel("undo"),
      clear: () => this.take(data.original.values.slice(), null),
      open: (/** @type {File} */ file) => this.open(file),
    };
    this.stage = new Stage(/** @type {HTMLElement} */ (el.querySelector(".story-stage")), data, data.colours.values, this.model, act);
    this.listen();
    this.draw();
  }

  // -- pictures ------------------------------------------------------------------------------

  /** The picture with strokes on it. @param {[string, number, number[][]][]} strokes */
  painted(strokes) {
    const { height, width, original, inks } = this.data;
    return strokes.reduce((picture, [ink, size, points]) => {
      const brush = { size: Math.max(1, Math.round(size * height)), hardness: 0.8, opacity: 1 };
      const stroke = new Stroke(picture, height, width, flat(inks[ink]), brush);
      for (const [row, column] of points) stroke.to({ row: Math.round(row * height), column: Math.round(column * width) });
      return stroke.picture;
    }, original.values);
  }

  /** Put a painted picture on the stage. @param {Uint8Array} picture @param {string | null} preset */
  take(picture, preset) {
    this.preset = preset;
    this.history.add(picture);
    this.ask(picture);
  }

  /** @param {"undo" | "redo"} way */
  travel(way) {
    this.history[way]();
    this.preset = null;
    this.ask(this.history.present);
  }

  /** Open a picture of the reader. @param {File} file */
  async open(file) {
    const { height, width, original } = this.data;
    let bitmap;
    try {
      bitmap = await createImageBitmap(file, { resizeWidth: width, resizeHeight: height, resizeQuality: "high" });
    } catch {
      this.say(`${file.name} is no picture that this browser can read; try a PNG or a JPEG file`);
      return;
    }
    const canvas = new OffscreenCanvas(width, height);
    const context = /** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext("2d"));
    context.drawImage(bitmap, 0, 0);
    const rgba = context.getImageData(0, 0, width, height).data;
    original.values = Uint8Array.from({ length: 3 * height * width }, (_, i) => rgba[4 * Math.floor(i / 3) + (i % 3)]);
    this.history = new History(original.values.slice());
    await this.begin(null);
  }

  /** Begin with the picture as it is. @param {string | null} preset that is painted on it */
  async begin(preset) {
    this.busy = true;
    const error = await this.machine.begin(this.data.original.values);
    if (error) return this.say(`The networks cannot run in this browser: ${error}`);
    this.preset = preset;
    this.test = null;
    this.busy = false;
    await this.ask(this.history.present);
    this.experiment();
  }

  /** Let each kind of test stroke be everywhere once. */
  async experiment() {
    const turned = (/** @type {number} */ turn) =>
      this.painted(KINDS.map(([ink, size], kind) => [ink, size, PLACES[(kind + turn) % KINDS.length]]));
    this.test = await this.machine.experiment(turned, KINDS.length);
    this.write();
  }

  /** Have a picture looked at; of those that come meanwhile only the last. @param {Uint8Array} picture */
  ask(picture) {
    this.waiting = picture;
    this.draw();
    return this.busy ? undefined : this.next();
  }

  async next() {
    const picture = this.waiting;
    if (!picture) return;
    [this.waiting, this.busy] = [null, true];
    try {
      await this.machine.look(picture, (found) => this.show(found), () => Boolean(this.waiting));
    } catch (error) {
      this.say(String(error));
    }
    this.busy = false;
    await this.next();
  }

  /** @param {import("./machine.js").Found} found */
  show(found) {
    const { el, stage } = this;
    this.found = found;
    this.say("");
    this.draw();
    stage.drawVerdict(found);
    el.dispatchEvent(new CustomEvent("rcae-result", { detail: found }));
    if (this.stroke || this.waiting) return;
    this.then();
    this.then = () => {};
    this.write();
    el.dataset.ready = "true";
  }

  /** Write what was measured into the text. */
  write() {
    if (this.found) fill(this.el, sentences(this.found, this.test, this.data), tables(this.found, this.test, this.data));
  }

  /** @param {string} text */
  say(text) {
    this.stage.status.textContent = text;
  }

  draw() {
    const sheet = this.stroke ? this.stroke.picture : this.history.present;
    this.stage.undo.disabled = this.history.past.length === 0;
    this.stage.draw(this.found, sheet, this.stroke !== null);
  }

  // -- time ----------------------------------------------------------------------------------

  get depth() {
    const rounds = this.found?.networks[this.model.get("network")];
    return rounds ? rounds.frames.length - 1 : this.data.depth;
  }

  /** From here, or from the start if this is the end, to the last round. */
  play() {
    const from = this.model.get("t") >= this.depth ? 0 : this.model.get("t");
    this.run(from, this.depth, HOLD);
  }

  /** Go to a round at an even pace. @param {number} target */
  morph(target) {
    if (calm.matches) this.model.set("t", target);
    else this.run(this.model.get("t"), target, 0);
  }

  /** @param {number} from @param {number} to @param {number} hold milliseconds on whole rounds */
  run(from, to, hold) {
    this.stop();
    const way = Math.sign(to - from);
    const start = performance.now();
    const legs = [from]; // where it stops on its way
    while (legs[legs.length - 1] !== to) {
      const here = legs[legs.length - 1];
      const next = way > 0 ? Math.floor(here) + 1 : Math.ceil(here) - 1;
      legs.push(way > 0 ? Math.min(next, to) : Math.max(next, to));
    }
    const turn = () => {
      const passed = (performance.now() - start) / (FADE + hold);
      const leg = Math.floor(passed);
      if (leg >= legs.length - 1) {
        this.stop();
        return this.model.set("t", to);
      }
      const part = Math.min(1, (passed - leg) * (1 + hold / FADE));
      const eased = calm.matches ? 0 : smooth(part);
      this.timer = requestAnimationFrame(turn);
      this.model.set("t", legs[leg] + eased * (legs[leg + 1] - legs[leg]));
    };
    this.timer = requestAnimationFrame(turn);
    this.label(true);
  }

  stop() {
    cancelAnimationFrame(this.timer);
    this.timer = 0;
    this.label(false);
  }

  /** @param {boolean} running */
  label(running) {
    const { playing } = this.stage;
    playing.textContent = running ? "❚❚" : "▶";
    playing.setAttribute("aria-label", running ? "pause" : "play the rounds");
    playing.title = running ? "pause" : "play the rounds";
  }

  // -- what the reader does ------------------------------------------------------------------

  listen() {
    const { model, stage, el } = this;
    for (const name of ["t", "view"]) model.on(`change:${name}`, () => this.draw());
    model.on("change:network", () => {
      if (model.get("t") > this.depth) model.set("t", this.depth);
      this.draw();
      if (this.found) stage.drawVerdict(this.found);
    });
    stage.slider.addEventListener("input", () => {
      this.stop();
      model.set("t", Math.min(Number(stage.slider.value), this.depth));
    });
    stage.slider.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this.key(event));
    this.listenToStrokes();
    const box = /** @type {HTMLElement} */ (el.querySelector(".story-stage"));
    box.addEventListener("dragover", (event) => event.preventDefault());
    box.addEventListener("drop", (event) => {
      event.preventDefault();
      const file = event.dataTransfer?.files[0];
      if (file) this.open(file);
    });
    el.addEventListener("click", ({ target }) => {
      const { preset, network, view } = /** @type {HTMLElement} */ (target).dataset;
      if (preset) this.present(preset);
      if (network) model.set("network", network);
      if (view) model.set("view", view);
      if (network) this.morph(this.depth);
    });
  }

  /** Keys on the slider: whole rounds, and Space. @param {KeyboardEvent} event */
  key(event) {
    const t = this.model.get("t");
    const to = { ArrowRight: Math.floor(t) + 1, ArrowUp: Math.floor(t) + 1, ArrowLeft: Math.ceil(t) - 1, ArrowDown: Math.ceil(t) - 1, Home: 0, End: this.depth }[event.key];
    if (to !== undefined) this.morph(Math.min(this.depth, Math.max(0, to)));
    else if (event.key === " ") this.stage.playing.click();
    else return;
    event.preventDefault();
  }

  /** Paint a preset and play it. @param {string} name */
  present(name) {
    this.restart();
    this.take(this.painted(PRESETS[name]), name);
  }

  /** Back to the picture; its rounds are played as soon as they are known. */
  restart() {
    this.stop();
    this.model.set("t", 0);
    this.then = () => (calm.matches ? this.model.set("t", this.depth) : this.play());
  }

  /** Set the stage for a step of the text. A stroke of the reader stays. @param {string} name */
  enter(name) {
    const { network, t, view, preset } = SETTINGS[name];
    this.model.set("view", view);
    this.model.set("network", network);
    const go = () => this.morph(Math.min(t, this.depth));
    if (!this.preset || this.preset === preset) return go();
    this.stop();
    this.model.set("t", 0);
    this.take(this.painted(PRESETS[preset]), preset);
    this.then = go;
  }

  listenToStrokes() {
    const { stage, model, data } = this;
    const { sheet } = stage;
    const { height, width } = data;
    let cursor = { row: Math.floor(height / 2), column: Math.floor(width / 2) };
    const begin = (/** @type {{row: number, column: number}} */ at) => {
      this.restart();
      const brush = { size: model.get("size"), hardness: 0.8, opacity: 1 };
      this.stroke = new Stroke(this.history.present, height, width, flat(data.inks[model.get("ink")]), brush);
      extend(at);
    };
    const extend = (/** @type {{row: number, column: number}} */ at) => {
      if (!this.stroke) return;
      this.stroke.to(at);
      this.draw();
    };
    const end = () => {
      if (!this.stroke) return;
      const { picture } = this.stroke;
      this.stroke = null;
      this.take(picture, null);
    };
    sheet.addEventListener("pointerdown", (/** @type {PointerEvent} */ event) => {
      if (event.button !== 0) return;
      sheet.setPointerCapture(event.pointerId);
      begin(stage.pixelAt(event));
    });
    sheet.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => {
      const at = stage.pixelAt(event);
      extend(at);
      stage.hover(at);
    });
    sheet.addEventListener("pointerup", end);
    sheet.addEventListener("pointercancel", end);
    sheet.addEventListener("pointerleave", () => stage.hover(null));
    sheet.setAttribute("role", "application");
    sheet.setAttribute("aria-label", "Painting. Arrow keys move the brush, Space puts it down or lifts it, Control and Z undoes.");
    sheet.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      const next = step(event, cursor, data);
      if (next) {
        cursor = next;
        extend(next);
      } else if (event.key === " " || event.key === "Enter") (this.stroke ? end : () => begin(cursor))();
      else if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z") this.travel(event.shiftKey ? "redo" : "undo");
      else return;
      event.preventDefault();
      stage.hover(cursor);
    });
    sheet.addEventListener("blur", () => stage.hover(null));
  }
}

/** @param {{el: HTMLElement, text: string}} place */
export async function render({ el, text }) {
  const [{ data: packed, engine }] = JSON.parse(text);
  const data = await unpack(packed);
  const running = new Engine(engine);
  const story = new Story(el, data, new Machine(running, data));
  const { error } = await running.start();
  if (error) return story.say(`The networks cannot run in this browser: ${error}`);
  await story.begin("scratch");
  watchSteps(el, (name) => story.enter(name));
}
