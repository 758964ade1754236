// @ts-check
// The standalone page: every widget gets a model that only remembers, instead of a kernel.
import { render as comparison } from "./comparison.js";
import { render as explorer } from "./explorer.js";
import { LocalModel } from "./model.js";
import { render as threshold } from "./threshold.js";

/** @type {Record<string, (options: {model: any, el: HTMLElement}) => Promise<void>>} */
const RENDER = { comparison, explorer, threshold };

/** @param {{el: HTMLElement, text: string}} page */
export async function render({ el, text }) {
  for (const { kind, data, values } of JSON.parse(text)) {
    const section = document.createElement("section");
    el.append(section);
    await RENDER[kind]({ model: new LocalModel({ data, ...values }), el: section });
  }
  el.dataset.ready = "true";
}
