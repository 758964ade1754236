// @ts-check
// Runs detectors off the main thread, so that painting never waits. A classic script, after
// onnxruntime-web, which leaves its names in self.ort. `engine.js` is at the other end.
/** @type {Record<string, any>} */
const sessions = {};

/** @param {{number: number, wasm: ArrayBuffer, models: Record<string, Uint8Array>}} question */
async function start({ number, wasm, models }) {
  ort.env.wasm.wasmBinary = wasm;
  ort.env.wasm.numThreads = 1; // threads need headers that file:// does not have
  for (const [name, model] of Object.entries(models)) {
    sessions[name] = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
  }
  return { number };
}

/** @param {{number: number, model: string, images: Float32Array, shape: number[]}} question */
async function detect({ number, model, images, shape }) {
  const outputs = await sessions[model].run({ images: new ort.Tensor("float32", images, shape) });
  const read = (/** @type {string} */ name) => outputs[name]?.data ?? null;
  return {
    number,
    reconstructions: read("reconstructions"),
    enhanced: read("enhanced"),
    map: read("anomaly_map"),
    score: read("score")[0],
  };
}

/** @type {Promise<any>} */
let queue = Promise.resolve(); // one thing at a time
self.onmessage = ({ data }) => {
  const answer = () => (data.wasm ? start(data) : detect(data));
  const failed = (/** @type {unknown} */ error) => ({ number: data.number, error: String(error) });
  queue = queue.then(answer).catch(failed).then((found) => self.postMessage(found));
};
