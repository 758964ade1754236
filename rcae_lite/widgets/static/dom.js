// @ts-check
// Small helpers to build elements; every widget uses them, so that all look and behave alike.

/** @typedef {Record<string, any>} Attributes */
/** @typedef {(Node | string | null)[]} Children */

/**
 * An element with attributes (`on...` are listeners) and children.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Attributes} attributes
 * @param {Children} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function element(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/**
 * The same for SVG.
 * @template {keyof SVGElementTagNameMap} K
 * @param {K} tag
 * @param {Attributes} attributes
 * @param {Children} children
 * @returns {SVGElementTagNameMap[K]}
 */
export function shape(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

/** @template {Element} E @param {E} node @param {Attributes} attributes @param {Children} children @returns {E} */
function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children) if (child !== null) node.append(child);
  return node;
}

/**
 * What draws on a canvas; its pixels are read, too.
 * @param {HTMLCanvasElement} canvas
 */
export function pen(canvas) {
  return /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { willReadFrequently: true }));
}

/**
 * The root of a widget. JupyterLab's single-key shortcuts stay away from what is inside it.
 * @param {HTMLElement} el
 * @param {string} label
 */
export function root(el, label) {
  const attributes = { class: "rcae", role: "group", "aria-label": label };
  const node = element("div", { ...attributes, "data-lm-suppress-shortcuts": "true" });
  el.replaceChildren(node);
  return node;
}

/**
 * A labelled slider tied to a number of the model; `text(value)` is what stands beside it.
 * @param {{model: any, name: string, label: string, low: number, high: number, step?: number | "any",
 *   text?: (value: number) => string}} options
 */
export function slider({ model, name, label, low, high, step = 1, text = String }) {
  const reading = element("output", { class: "rcae-reading" });
  const input = element("input", {
    type: "range", min: low, max: high, step, "data-control": name, disabled: low === high,
    oninput: () => change(model, name, Number(input.value)),
  });
  const update = () => {
    input.value = model.get(name);
    reading.value = text(model.get(name));
    input.setAttribute("aria-valuetext", reading.value);
  };
  model.on(`change:${name}`, update);
  update();
  return element("label", { class: "rcae-slider" }, element("span", {}, label), input, reading);
}

/**
 * A labelled list to choose from; the model holds the index.
 * @param {{model: any, name: string, label: string, options: string[]}} options
 */
export function chooser({ model, name, label, options }) {
  const list = element(
    "select",
    { "data-control": name, onchange: () => change(model, name, list.selectedIndex) },
    ...options.map((text) => element("option", {}, text)),
  );
  const update = () => (list.selectedIndex = model.get(name));
  model.on(`change:${name}`, update);
  update();
  return element("label", { class: "rcae-chooser" }, element("span", {}, label), list);
}

/**
 * A labelled number to type, shown in units of `unit`; what is out of its range stays here.
 * @param {{model: any, name: string, label: string, low: number, high: number, unit?: number}} options
 */
export function amount({ model, name, label, low, high, unit = 1 }) {
  const input = element("input", {
    type: "number", min: low / unit, max: high / unit, step: "any", required: true, "data-control": name,
    oninput: () => input.checkValidity() && change(model, name, Number(input.value) * unit),
    onblur: () => update(),
  });
  const update = () => {
    if (document.activeElement !== input) input.value = String(Number((model.get(name) / unit).toPrecision(6)));
  };
  model.on(`change:${name}`, update);
  update();
  return element("label", { class: "rcae-amount" }, element("span", {}, label), input);
}

/** @param {string | Node} text @param {string} label @param {() => void} onclick @param {Attributes} attributes */
export function button(text, label, onclick, attributes = {}) {
  const named = { type: "button", title: label, "aria-label": label };
  return element("button", { ...named, onclick, ...attributes }, text);
}

/**
 * Set one value: here at once, in the kernel when it comes round to it.
 * @param {any} model
 * @param {string} name
 * @param {any} value
 */
export function change(model, name, value) {
  model.set(name, value);
  model.save_changes();
}

/** A number short enough to read. @param {number | null} value */
export function short(value) {
  if (value === null) return "none";
  return Math.abs(value) >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3)));
}

/**
 * A letter with an index below and an exponent above, as in the paper.
 * @param {string} letter
 * @param {string} below
 * @param {string} above
 */
export function symbol(letter, below, above) {
  return element("span", {}, letter, element("sub", {}, below), element("sup", {}, above));
}
