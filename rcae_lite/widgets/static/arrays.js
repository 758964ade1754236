// @ts-check
// Arrays as Python sent them, whether from a live kernel (binary buffers) or from a page.
import { pen } from "./dom.js";

/** @type {Record<string, any>} */
const TYPES = {
  uint8: Uint8Array,
  uint16: Uint16Array,
  int32: Int32Array,
  float32: Float32Array,
  float64: Float64Array,
};

/** Replace every packed array in a tree by {shape, values}, values a typed array. @param {any} node @returns {Promise<any>} */
export async function unpack(node) {
  if (Array.isArray(node)) return Promise.all(node.map(unpack));
  if (node === null || typeof node !== "object") return node;
  if (node.dtype) return { shape: node.shape, values: await valuesOf(node) };
  const entries = Object.entries(node).map(async ([key, value]) => [key, await unpack(value)]);
  return Object.fromEntries(await Promise.all(entries));
}

/** @param {any} node packed */
async function valuesOf(node) {
  if (node.webp) return ofShape(joined(await Promise.all(node.webp.map(pixelsOf))), node.shape);
  const bytes = node.bytes ? ofView(node.bytes) : ofBase64(node.base64);
  return new TYPES[node.dtype](bytes.buffer);
}

/** @param {Uint8Array[]} parts */
function joined(parts) {
  const all = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let start = 0;
  for (const part of parts) {
    all.set(part, start);
    start += part.length;
  }
  return all;
}

/**
 * Of a grey picture, whose three channels are alike, one of them.
 * @param {Uint8Array} values
 * @param {number[]} shape
 */
function ofShape(values, shape) {
  const size = shape.reduce((product, side) => product * side, 1);
  return values.length === size ? values : Uint8Array.from({ length: size }, (_, i) => values[3 * i]);
}

/** A copy, so that the values start where their type can start. @param {DataView} view */
function ofView(view) {
  return new Uint8Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
}

/** @param {string} text */
function ofBase64(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

/** Decode a lossless picture, base64 or a buffer, to its RGB bytes. @param {string | DataView<ArrayBuffer>} packed */
async function pixelsOf(packed) {
  const bytes = typeof packed === "string" ? ofBase64(packed) : packed;
  const picture = await createImageBitmap(new Blob([bytes], { type: "image/webp" }), {
    colorSpaceConversion: "none",
  });
  const canvas = document.createElement("canvas");
  canvas.width = picture.width;
  canvas.height = picture.height;
  const context = pen(canvas);
  context.drawImage(picture, 0, 0);
  const rgba = context.getImageData(0, 0, canvas.width, canvas.height).data;
  const rgb = new Uint8Array((rgba.length / 4) * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4, to += 3) {
    rgb[to] = rgba[from];
    rgb[to + 1] = rgba[from + 1];
    rgb[to + 2] = rgba[from + 2];
  }
  return rgb;
}
