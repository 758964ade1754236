// The paint page: DefectPainter with the detector itself behind it, in a worker.
import { unpack } from "./arrays.js";
import { LocalModel } from "./model.js";
import { render as painter } from "./painter.js";

/** What a zipped base64 text holds. */
async function unzip(text) {
  const zipped = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([zipped]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Planes (3, N, H, W) in [0, 1] to frames (N, H, W, 3) uint8; as `to_bytes` in state/frames.py. */
export function toFrames(planes, count, pixels) {
  const frames = new Uint8ClampedArray(3 * count * pixels); // rounds and clamps
  for (let channel = 0; channel < 3; channel += 1) {
    for (let i = 0; i < count * pixels; i += 1) frames[3 * i + channel] = 255 * planes[channel * count * pixels + i];
  }
  return frames;
}

/** A model whose `send` asks the detector in the worker instead of a kernel. */
export class DetectorModel extends LocalModel {
  constructor(values, original, worker, visible) {
    super(values);
    Object.assign(this, { original, worker, visible, pixels: original.length / 3 });
  }

  send({ number }, _, buffers) {
    const painted = new Uint8Array(buffers[0]);
    const images = new Float32Array(painted.length);
    for (let i = 0; i < painted.length; i += 1) images[(i % 3) * this.pixels + Math.floor(i / 3)] = painted[i] / 255;
    const { height, width } = this.get("data");
    this.worker.onmessage = ({ data }) => {
      if (data.error) this.set("result", { ...this.get("result"), number, note: data.error, ours: true });
      else this.set("result", this.result(painted, data));
    };
    this.worker.postMessage({ number, images, shape: [1, 3, height, width] });
  }

  /** The same tree as `PainterState.result`. */
  result(painted, { number, reconstructions, enhanced, map, score }) {
    const { height, width, depth, threshold } = this.get("data");
    const parts = [painted, ...[reconstructions, enhanced].filter(Boolean).map((planes) => toFrames(planes, depth, this.pixels))];
    const frames = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    parts.reduce((at, part) => (frames.set(part, at), at + part.length), 0);
    const mask = new Uint8Array(this.pixels);
    for (let i = 0; i < painted.length; i += 1) {
      if (Math.abs(painted[i] - this.original[i]) > this.visible) mask[Math.floor(i / 3)] = 1;
    }
    const packed = (dtype, shape, values) => ({ dtype, shape, bytes: values });
    return {
      number, note: "", ours: true, iou: overlap(map, mask, threshold), seconds: 0,
      picture: {
        name: "painted", score, mask: null,
        frames: packed("uint8", [frames.length / this.pixels / 3, height, width, 3], frames),
        map: packed("float32", [height, width], new Uint8Array(map.buffer, map.byteOffset, map.byteLength)),
      },
      mask: packed("uint8", [height, width], mask),
    };
  }
}

/** Overlap of the pixels above the threshold with the mask; null where nothing was painted. */
export function overlap(map, mask, threshold) {
  let [both, either] = [0, 0];
  for (let i = 0; i < mask.length; i += 1) {
    both += mask[i] && map[i] > threshold;
    either += mask[i] || map[i] > threshold;
  }
  return mask.includes(1) ? both / either : null;
}

export async function render({ el, text }) {
  const [{ data, values, engine }] = JSON.parse(text);
  const waiting = document.createElement("p");
  waiting.textContent = "Starting the detector …";
  el.append(waiting);
  const address = URL.createObjectURL(new Blob([engine.worker], { type: "text/javascript" }));
  const worker = new Worker(address);
  const [wasm, model] = await Promise.all([unzip(engine.wasm), unzip(engine.model)]);
  const started = new Promise((resolve) => (worker.onmessage = (event) => resolve(event.data)));
  worker.postMessage({ wasm: wasm.buffer, model });
  const { error } = await started;
  if (error) {
    waiting.textContent = `The detector cannot run in this browser: ${error}`;
    return;
  }
  waiting.remove();
  const section = document.createElement("section");
  el.append(section);
  const local = new DetectorModel({ data, ...values }, (await unpack(data.original)).values, worker, engine.visible);
  local.on("change:result", () => el.dispatchEvent(new CustomEvent("rcae-result", { detail: local.get("result") })));
  await painter({ model: local, el: section });
  el.dataset.ready = "true";
}
