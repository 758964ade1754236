// @ts-check
// Detectors that run in the page, in a worker: questions go in, answers come out in the same order.

/**
 * What a detector says of a picture: planes (3, N, H, W) in [0, 1], the map (H, W), the score; or
 * what went wrong.
 * @typedef {{number: number, error?: string, reconstructions: Float32Array,
 *   enhanced: Float32Array | null, map: Float32Array, score: number}} Answer
 * @typedef {{worker: string, wasm: string, models: Record<string, string>, visible: number}} Packed
 */

export class Engine {
  /** @param {Packed} packed what `engine` in paint.py packed */
  constructor(packed) {
    this.packed = packed;
    this.asked = 0;
    /** @type {Map<number, (answer: Answer) => void>} */
    this.waiting = new Map();
    const address = URL.createObjectURL(new Blob([packed.worker], { type: "text/javascript" }));
    this.worker = new Worker(address);
    this.worker.onmessage = ({ data }) => {
      this.waiting.get(data.number)?.(data);
      this.waiting.delete(data.number);
    };
  }

  /** Load the runtime and the models; the answer has an error where that fails. */
  async start() {
    const names = Object.keys(this.packed.models);
    const [wasm, ...models] = await Promise.all([this.packed.wasm, ...Object.values(this.packed.models)].map(unzip));
    return this.send({ wasm: wasm.buffer, models: Object.fromEntries(names.map((name, i) => [name, models[i]])) });
  }

  /**
   * Ask a detector about a picture.
   * @param {string} model its name
   * @param {Float32Array} images planes (3, H, W) in [0, 1]
   * @param {number} height
   * @param {number} width
   */
  ask(model, images, height, width) {
    return this.send({ model, images, shape: [1, 3, height, width] });
  }

  /**
   * @param {object} question
   * @returns {Promise<Answer>}
   */
  send(question) {
    const number = (this.asked += 1);
    this.worker.postMessage({ ...question, number });
    return new Promise((resolve) => this.waiting.set(number, resolve));
  }
}

/**
 * What a zipped base64 text holds.
 * @param {string} text
 */
async function unzip(text) {
  const zipped = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([zipped]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/**
 * Bytes (H, W, 3) to planes (3, H, W) in [0, 1].
 * @param {Uint8Array} bytes
 */
export function toPlanes(bytes) {
  const pixels = bytes.length / 3;
  const planes = new Float32Array(bytes.length);
  for (let i = 0; i < bytes.length; i += 1) planes[(i % 3) * pixels + Math.floor(i / 3)] = bytes[i] / 255;
  return planes;
}

/**
 * Planes (3, N, H, W) in [0, 1] to frames (N, H, W, 3) uint8; as `to_bytes` in state/frames.py.
 * @param {Float32Array} planes
 * @param {number} count N
 * @param {number} pixels H W
 */
export function toFrames(planes, count, pixels) {
  const frames = new Uint8ClampedArray(3 * count * pixels); // rounds and clamps
  for (let channel = 0; channel < 3; channel += 1) {
    for (let i = 0; i < count * pixels; i += 1) frames[3 * i + channel] = 255 * planes[channel * count * pixels + i];
  }
  return frames;
}

/**
 * Where a painted picture differs visibly from the original: (H, W), 1 or 0; as `PainterState.mask`.
 * @param {Uint8Array} painted (H, W, 3)
 * @param {Uint8Array} original (H, W, 3)
 * @param {number} visible the least difference of a channel that counts, exclusive
 */
export function changed(painted, original, visible) {
  const mask = new Uint8Array(painted.length / 3);
  for (let i = 0; i < painted.length; i += 1) {
    if (Math.abs(painted[i] - original[i]) > visible) mask[Math.floor(i / 3)] = 1;
  }
  return mask;
}
