// @ts-check
// A test set as PainterState.save writes it, in one zip file.
import { fill } from "./canvas.js";
import { zip } from "./zip.js";

/**
 * @param {Uint8Array} original (H, W, 3)
 * @param {{picture: Uint8Array, mask: Uint8Array}[]} paintings (H, W, 3), and (H, W) of 1 and 0
 * @param {number} height
 * @param {number} width
 * @returns {Promise<Blob>}
 */
export async function testSet(original, paintings, height, width) {
  const mirrored = (/** @type {boolean} */ rows, /** @type {boolean} */ columns) =>
    original.map((_, i) => {
      const [row, column, channel] = [Math.floor(i / 3 / width), Math.floor(i / 3) % width, i % 3];
      return original[3 * ((rows ? height - 1 - row : row) * width + (columns ? width - 1 - column : column)) + channel];
    });
  /** @type {Record<string, Uint8Array<ArrayBuffer>>} */
  const files = {};
  const add = async (/** @type {string} */ name, /** @type {Uint8Array} */ rgb) => (files[`painted/${name}.png`] = await png(rgb, height, width));
  await add("test/good/000", original);
  await add("train/good/000", mirrored(true, false));
  await add("train/good/001", mirrored(false, true));
  await add("train/good/002", mirrored(true, true));
  for (const [index, { picture, mask }] of paintings.entries()) {
    const number = String(index).padStart(3, "0");
    await add(`test/painted/${number}`, picture);
    await add(`ground_truth/painted/${number}_mask`, original.map((_, i) => 255 * mask[Math.floor(i / 3)]));
  }
  return zip(files);
}

/** @param {Uint8Array} rgb @param {number} height @param {number} width */
async function png(rgb, height, width) {
  const canvas = new OffscreenCanvas(width, height);
  const context = /** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext("2d"));
  fill(context, rgb, width);
  return new Uint8Array(await (await canvas.convertToBlob({ type: "image/png" })).arrayBuffer());
}

/** Hand a file to the reader. @param {Blob} blob @param {string} name */
export function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
