// @ts-check
// The frames of a widget's images: sent with it or, so that a notebook stays small, fetched from
// the kernel when an image is looked at.
import { unpack } from "./arrays.js";
import { frame } from "./canvas.js";
import { fade } from "./fade.js";

/** @typedef {import("./canvas.js").Stack} Stack */

export class Frames {
  /** `arrived` is called when the frames of an image have come. @param {any} model @param {{frames: Stack | null}[]} images @param {() => void} arrived */
  constructor(model, images, arrived) {
    this.model = model;
    this.images = images;
    model.on("msg:custom", async (/** @type {any} */ { type, image, frames }, /** @type {DataView[]} */ buffers) => {
      if (type !== "frames" || images[image].frames) return;
      images[image].frames = await unpack({ ...frames, webp: buffers });
      arrived();
    });
  }

  /** The stack (K, H, W, 3) of an image; null while it is on its way. @param {number} image */
  of(image) {
    const { frames } = this.images[image];
    if (!frames) this.model.send({ type: "frames", image });
    return frames;
  }
}

/** Between the frames of a stack: at depth t, where that of depth 0 would be the one at `start`. @param {Stack} stack @param {number} start @param {number} t */
export function between(stack, start, t) {
  const low = Math.floor(t);
  return fade(frame(stack, start + low), frame(stack, start + Math.ceil(t)), t - low);
}

/** What stands over the pictures of an image whose frames have not come. */
export const WAITING = "Waiting for the kernel to send this image. Without a kernel: run the cell again.";
