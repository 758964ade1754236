// Small helpers to build elements; every widget uses them, so that all look and behave alike.

/** An element with attributes (`on...` are listeners) and children. */
export function element(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function shape(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

/** The root of a widget. JupyterLab's single-key shortcuts stay away from what is inside it. */
export function root(el, label) {
  const attributes = { class: "rcae", role: "group", "aria-label": label };
  const node = element("div", { ...attributes, "data-lm-suppress-shortcuts": "true" });
  el.replaceChildren(node);
  return node;
}

/**
 * A labelled slider tied to a number of the model; `text(value)` is what stands beside it.
 * @param {{model: any, name: string, label: string, low: number, high: number, step?: number,
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

/** A labelled list to choose from; the model holds the index. */
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

export function button(text, label, onclick, attributes = {}) {
  const named = { type: "button", title: label, "aria-label": label };
  return element("button", { ...named, onclick, ...attributes }, text);
}

/** Set one value: here at once, in the kernel when it comes round to it. */
export function change(model, name, value) {
  model.set(name, value);
  model.save_changes();
}

/** A number short enough to read. */
export function short(value) {
  if (value === null) return "none";
  return Math.abs(value) >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3)));
}

/** A letter with an index below and an exponent above, as in the paper. */
export function symbol(letter, below, above) {
  return element("span", {}, letter, element("sub", {}, below), element("sup", {}, above));
}
