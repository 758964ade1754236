// Runs the detector off the main thread, so that painting never waits. A classic script, after
// onnxruntime-web, which leaves its names in self.ort.
/* global ort */
let session = null;

async function start({ wasm, model }) {
  ort.env.wasm.wasmBinary = wasm;
  ort.env.wasm.numThreads = 1; // threads need headers that file:// does not have
  session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
  return { ready: true };
}

async function detect({ number, images, shape }) {
  const outputs = await session.run({ images: new ort.Tensor("float32", images, shape) });
  const read = (name) => outputs[name]?.data ?? null;
  return {
    number,
    reconstructions: read("reconstructions"),
    enhanced: read("enhanced"),
    map: read("anomaly_map"),
    score: read("score")[0],
  };
}

let queue = Promise.resolve(); // one thing at a time
self.onmessage = ({ data }) => {
  const answer = () => (data.wasm ? start(data) : detect(data));
  queue = queue.then(answer).catch((error) => ({ error: String(error) })).then((found) => self.postMessage(found));
};
