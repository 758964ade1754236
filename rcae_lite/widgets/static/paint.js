// @ts-check
// The paint page: DefectPainter with the detector itself behind it, in a worker.
import { unpack } from "./arrays.js";
import { distance, frame } from "./canvas.js";
import { changed, Engine, toFrames, toPlanes } from "./engine.js";
import { LocalModel } from "./model.js";
import { render as painter } from "./painter.js";
import { download, testSet } from "./test_set.js";

/** A model whose `send` asks the detector in the worker instead of a kernel. */
export class DetectorModel extends LocalModel {
  /**
   * @param {Record<string, any>} values
   * @param {Uint8Array} original (H, W, 3)
   * @param {Engine} engine started
   */
  constructor(values, original, engine) {
    super(values);
    this.original = original;
    this.engine = engine;
    this.pixels = original.length / 3;
    /** @type {{picture: Uint8Array, mask: Uint8Array}[]} */
    this.saved = [];
  }

  /** @param {{type: string, number: number}} content @param {undefined} _ @param {ArrayBuffer[]} buffers */
  async send({ type, number }, _, buffers) {
    if (type === "paint") return this.paint(new Uint8Array(buffers[0]), number);
    const note = type === "save" ? await this.save() : "";
    const record = type === "forget" ? null : this.get("result").record;
    this.set("result", { ...this.get("result"), number, note, record, ours: true });
  }

  /** @param {Uint8Array} painted @param {number} number */
  async paint(painted, number) {
    const { height, width } = this.get("data");
    const answer = await this.engine.ask("detector", toPlanes(painted), height, width);
    if (answer.error) this.set("result", { ...this.get("result"), number, note: answer.error, ours: true });
    else this.set("result", this.result(painted, { ...answer, number }));
  }

  /** Hand over all paintings that were saved so far; says what they are. */
  async save() {
    const { height, width } = this.get("data");
    const { picture, mask } = await unpack(this.get("result"));
    if (!mask.values.includes(1)) return "nothing was painted; an image without a defect has no mask";
    this.saved.push({ picture: frame(picture.frames, 0).slice(), mask: mask.values });
    download(await testSet(this.original, this.saved, height, width), "painted.zip");
    return `saved: painted.zip, image and mask of ${this.saved.length} painted and the unpainted image. To evaluate: rcae evaluate RUN --data painted`;
  }

  /**
   * The same tree as `PainterState.result`.
   * @param {Uint8Array} painted
   * @param {import("./engine.js").Answer} answer
   */
  result(painted, { number, reconstructions, enhanced, map, score }) {
    const { height, width, depth, threshold, contrast } = this.get("data");
    const restored = enhanced ? [reconstructions, enhanced] : [reconstructions];
    const parts = [painted, ...restored.map((planes) => toFrames(planes, depth, this.pixels))];
    const frames = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    parts.reduce((at, part) => (frames.set(part, at), at + part.length), 0);
    const mask = changed(painted, this.original, this.engine.packed.visible);
    const packed = (/** @type {string} */ dtype, /** @type {number[]} */ shape, /** @type {Uint8Array} */ values) => ({ dtype, shape, bytes: values });
    const pixels = distance(painted, this.original).reduce((count, sum) => count + Number(sum >= contrast * 765), 0);
    const before = this.get("result").record;
    const beaten = threshold !== null && score <= threshold && pixels > (before?.pixels ?? 0);
    const record = beaten ? { pixels, score, picture: packed("uint8", [height, width, 3], painted) } : before;
    return {
      number, note: "", ours: true, iou: overlap(map, mask, threshold), pixels, record, seconds: 0,
      picture: {
        name: "painted", score, mask: null,
        frames: packed("uint8", [frames.length / this.pixels / 3, height, width, 3], frames),
        map: packed("float32", [height, width], new Uint8Array(map.buffer, map.byteOffset, map.byteLength)),
      },
      mask: packed("uint8", [height, width], mask),
    };
  }
}

/**
 * Overlap of the pixels above the threshold with the mask; null without either.
 * @param {Float32Array} map
 * @param {Uint8Array} mask
 * @param {number | null} threshold
 */
export function overlap(map, mask, threshold) {
  if (threshold === null || !mask.includes(1)) return null;
  let [both, either] = [0, 0];
  for (let i = 0; i < mask.length; i += 1) {
    const [painted, found] = [mask[i] > 0, map[i] > threshold];
    both += Number(painted && found);
    either += Number(painted || found);
  }
  return both / either;
}

/** @param {{el: HTMLElement, text: string}} page */
export async function render({ el, text }) {
  const [{ data, values, engine }] = JSON.parse(text);
  const waiting = document.createElement("p");
  waiting.textContent = "Starting the detector …";
  el.append(waiting);
  const running = new Engine(engine);
  const { error } = await running.start();
  if (error) {
    waiting.textContent = `The detector cannot run in this browser: ${error}`;
    return;
  }
  waiting.remove();
  const section = document.createElement("section");
  el.append(section);
  const local = new DetectorModel({ data, ...values }, (await unpack(data.original)).values, running);
  local.on("change:result", () => el.dispatchEvent(new CustomEvent("rcae-result", { detail: local.get("result") })));
  await painter({ model: local, el: section });
  el.dataset.ready = "true";
}
