// @ts-check
// Frames on canvases: colours in whole numbers as state/frames.py does them, and linked zoom.
import { button, element, pen, shape, short } from "./dom.js";

/**
 * @typedef {import("./brush.js").Pixel} Pixel
 * @typedef {Pixel & {colour: string}} Mark a ring on a pixel
 * @typedef {{shape: number[], values: Uint8Array}} Stack an array as Python sent it: (K, H, W, 3), or (H, W)
 * @typedef {(pixel: Pixel | null) => void} Hover shows a pixel, or none
 * @typedef {(pixel: Pixel) => void} Keep does something with a pixel that was chosen
 */

const ZOOMS = [1, 2, 4, 8, 16];

/** |a - b| summed over the three channels, in 1/255. @param {Uint8Array} a @param {Uint8Array} b */
export function distance(a, b) {
  const sums = new Int32Array(a.length / 3);
  for (let pixel = 0, i = 0; pixel < sums.length; pixel += 1, i += 3) {
    sums[pixel] = Math.abs(a[i] - b[i]) + Math.abs(a[i + 1] - b[i + 1]) + Math.abs(a[i + 2] - b[i + 2]);
  }
  return sums;
}

/**
 * Colour values on a scale; as `lookup` in state/frames.py.
 * @param {ArrayLike<number>} values
 * @param {number} low
 * @param {number} high
 * @param {Uint8Array} colours (256, 3)
 */
export function lookup(values, low, high, colours) {
  const rgb = new Uint8Array(3 * values.length);
  for (let pixel = 0; pixel < values.length; pixel += 1) {
    const level = Math.floor((255 * (values[pixel] - low)) / (high - low) + 0.5);
    const from = 3 * Math.min(255, Math.max(0, level));
    rgb.set(colours.subarray(from, from + 3), 3 * pixel);
  }
  return rgb;
}

/** Lay `over` on `under`, the same opacity everywhere. @param {Uint8Array} under @param {Uint8Array} over @param {number} opacity */
export function mix(under, over, opacity) {
  return under.map((value, i) => Math.floor((1 - opacity) * value + opacity * over[i] + 0.5));
}

/**
 * The edges between a mask (H, W) and the rest, as an SVG path in image coordinates.
 * @param {ArrayLike<number>} mask
 * @param {number} height
 * @param {number} width
 */
export function outline(mask, height, width) {
  const at = (/** @type {number} */ row, /** @type {number} */ column) =>
    row >= 0 && row < height && column >= 0 && column < width && mask[row * width + column] > 0;
  let path = "";
  for (let row = 0; row <= height; row += 1) {
    for (let column = 0; column <= width; column += 1) {
      if (at(row, column) !== at(row - 1, column)) path += `M${column} ${row}h1`;
      if (at(row, column) !== at(row, column - 1)) path += `M${column} ${row}v1`;
    }
  }
  return path;
}

/** Part `index` of a stack along its first axis: a frame, a mask. @param {Stack} stack @param {number} index */
export function frame(stack, index) {
  const size = stack.values.length / stack.shape[0];
  return stack.values.subarray(index * size, (index + 1) * size);
}

/**
 * Fill a canvas with a picture (H, W, 3), from a pixel on, each of its pixels `zoom` by `zoom` large.
 * @param {CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D} context
 * @param {Uint8Array} rgb
 * @param {number} width of the picture
 * @param {{row?: number, column?: number, zoom?: number}} from
 */
export function fill(context, rgb, width, { row = 0, column = 0, zoom = 1 } = {}) {
  const picture = context.createImageData(context.canvas.width, context.canvas.height);
  const pixels = new Uint32Array(picture.data.buffer);
  for (let y = 0, to = 0; y < picture.height; y += 1) {
    const line = (row + Math.floor(y / zoom)) * width + column;
    for (let x = 0; x < picture.width; x += 1, to += 1) {
      const at = 3 * (line + Math.floor(x / zoom));
      pixels[to] = (255 << 24) | (rgb[at + 2] << 16) | (rgb[at + 1] << 8) | rgb[at];
    }
  }
  context.putImageData(picture, 0, 0);
}

/** What part of the picture is seen: shared by all panels that are linked. */
export class View {
  /** @param {number} height @param {number} width */
  constructor(height, width) {
    this.height = height;
    this.width = width;
    this.zoom = 1;
    this.row = 0;
    this.column = 0;
    /** @type {Pixel | null} */
    this.cursor = null;
    /** @type {Mark[]} */
    this.marks = [];
    this.border = ""; // an SVG path: the outline of a mask
    /** @type {Panel[]} */
    this.panels = [];
  }

  /**
   * Zoom one step in (+1) or out (-1) around a pixel, the middle by default.
   * @param {1 | -1} steps
   * @param {number} row
   * @param {number} column
   */
  zoomBy(steps, row = this.middle.row, column = this.middle.column) {
    const index = ZOOMS.indexOf(this.zoom) + steps;
    if (index < 0 || index >= ZOOMS.length) return;
    const ratio = this.zoom / ZOOMS[index];
    this.zoom = ZOOMS[index];
    this.moveTo(row - (row - this.row) * ratio, column - (column - this.column) * ratio);
  }

  /** The pixel in the middle of what is seen. */
  get middle() {
    const [half, wide] = [this.height / this.zoom / 2, this.width / this.zoom / 2];
    return { row: Math.floor(this.row + half), column: Math.floor(this.column + wide) };
  }

  /** @param {number} row @param {number} column */
  moveTo(row, column) {
    const clamp = (/** @type {number} */ value, /** @type {number} */ side) => Math.round(Math.min(Math.max(0, value), side - side / this.zoom));
    this.row = clamp(row, this.height);
    this.column = clamp(column, this.width);
    this.draw();
  }

  /** Move a zoomed picture as little as it takes to see a pixel. @param {Pixel} pixel */
  reveal({ row, column }) {
    const nearest = (/** @type {number} */ pixel, /** @type {number} */ start, /** @type {number} */ side) => {
      const seen = side / this.zoom;
      return Math.min(Math.max(start, pixel + 1 - seen), pixel);
    };
    /** @type {[number, number]} */
    const to = [nearest(row, this.row, this.height), nearest(column, this.column, this.width)];
    if (to[0] !== this.row || to[1] !== this.column) this.moveTo(...to);
  }

  draw() {
    for (const panel of this.panels) panel.draw();
  }
}

/**
 * A titled picture. Its canvas has one pixel per pixel of the frame; CSS makes it larger.
 * `bordered`: the outline of the view's mask is drawn over it.
 */
export class Panel {
  /** @param {View} view @param {(string | Node)[]} title @param {string} name @param {boolean} bordered */
  constructor(view, title, name, bordered = false) {
    this.view = view;
    this.bordered = bordered;
    this.canvas = element("canvas", {
      width: view.width, height: view.height, role: "img", "data-panel": name,
    });
    this.marks = shape("svg", { class: "rcae-marks", "aria-hidden": "true", preserveAspectRatio: "none" });
    this.stage = element("div", { class: "rcae-stage" }, this.canvas, this.marks);
    this.note = element("div", { class: "rcae-note" });
    this.element = element("figure", { class: "rcae-panel" }, element("figcaption", {}, ...title), this.stage, this.note);
    this.context = pen(this.canvas);
    view.panels.push(this);
  }

  /** Show a frame (H, W, 3); `alt` says it in words. @param {Uint8Array} rgb @param {string} alt */
  show(rgb, alt) {
    this.rgb = rgb;
    this.canvas.setAttribute("aria-label", alt);
    this.draw();
  }

  draw() {
    if (!this.rgb) return;
    fill(this.context, this.rgb, this.view.width, this.view);
    this.drawMarks();
  }

  /** Rings on probed pixels, a cross on the one under the cursor; in image coordinates. */
  drawMarks() {
    const { height, width, zoom, row, column, cursor, marks } = this.view;
    const box = [column, row, width / zoom, height / zoom];
    this.marks.setAttribute("viewBox", box.join(" "));
    const radius = Math.max(0.75, (0.03 * width) / zoom);
    const rings = marks.flatMap((mark) => {
      const at = { cx: mark.column + 0.5, cy: mark.row + 0.5, r: radius };
      return [shape("circle", { ...at, class: "rcae-halo" }), shape("circle", { ...at, stroke: mark.colour })];
    });
    const border = this.bordered && shape("path", { class: "rcae-border", d: this.view.border });
    const cross = cursor && shape("path", {
      class: "rcae-cross",
      d: `M${cursor.column + 0.5} ${row}v${box[3]}M${column} ${cursor.row + 0.5}h${box[2]}`,
    });
    this.marks.replaceChildren(.../** @type {SVGElement[]} */ ([border, cross].filter(Boolean)), ...rings);
  }

  /** Row and column of the pixel under a pointer. @param {MouseEvent} event */
  pixelAt(event) {
    const box = this.stage.getBoundingClientRect();
    const { height, width, zoom, row, column } = this.view;
    const at = (/** @type {number} */ part, /** @type {number} */ side, /** @type {number} */ start) =>
      Math.min(side - 1, Math.max(0, Math.floor(start + (part * side) / zoom)));
    return {
      row: at((event.clientY - box.top) / box.height, height, row),
      column: at((event.clientX - box.left) / box.width, width, column),
    };
  }
}

/** The colours of a scale and what their ends mean. @param {Uint8Array} colours @param {number} low @param {number} high @param {string} unit */
export function colourBar(colours, low, high, unit) {
  const steps = [0, 32, 64, 96, 128, 160, 192, 224, 255].map(
    (level) => `rgb(${colours.subarray(3 * level, 3 * level + 3).join(" ")})`,
  );
  return element(
    "div",
    { class: "rcae-bar", role: "img", "aria-label": `colour scale: ${unit}, ${short(low)} to ${short(high)}` },
    element("span", {}, short(low)),
    element("i", { style: `background: linear-gradient(to right, ${steps.join(", ")})` }),
    element("span", {}, short(high)),
  );
}

/** Minus and plus, for all linked panels. @param {View} view */
export function zoomButtons(view) {
  return element(
    "span",
    { class: "rcae-buttons" },
    button("−", "zoom out", () => view.zoomBy(-1)),
    button("+", "zoom in", () => view.zoomBy(1)),
  );
}

/**
 * Hover shows a pixel, a click keeps it, dragging moves a zoomed picture, Ctrl and wheel zoom.
 * @param {Panel} panel
 * @param {{hover: Hover, keep?: Keep}} act
 */
export function listenToPointer(panel, { hover, keep = () => {} }) {
  const { stage, view } = panel;
  /** @type {(Pixel & {x: number, y: number, moved: boolean}) | null} */
  let start = null;
  stage.addEventListener("pointerdown", (event) => {
    start = { x: event.clientX, y: event.clientY, row: view.row, column: view.column, moved: false };
    stage.setPointerCapture(event.pointerId);
  });
  stage.addEventListener("pointermove", (event) => {
    if (!start) return hover(panel.pixelAt(event));
    start.moved ||= Math.hypot(event.clientX - start.x, event.clientY - start.y) > 4;
    if (!start.moved || view.zoom === 1) return;
    const size = stage.clientWidth / (view.width / view.zoom); // of one pixel, on the screen
    const [down, right] = [event.clientY - start.y, event.clientX - start.x];
    view.moveTo(start.row - down / size, start.column - right / size);
  });
  stage.addEventListener("pointerup", (event) => {
    if (start && !start.moved) keep(panel.pixelAt(event));
    start = null;
  });
  stage.addEventListener("pointercancel", () => (start = null));
  stage.addEventListener("pointerleave", () => hover(null));
  listenToWheel(panel);
}

/**
 * Arrow keys move the cross, Enter keeps its pixel, Delete drops the last one, plus and minus zoom.
 * @param {HTMLElement} group
 * @param {View} view
 * @param {{hover: Hover, keep?: Keep, drop?: () => void}} act
 */
export function listenToKeys(group, view, { hover, keep = () => {}, drop = () => {} }) {
  group.addEventListener("keydown", (event) => {
    if (event.target !== group) return;
    const at = view.cursor ?? view.middle;
    const next = step(event, at, view);
    if (next) {
      view.reveal(next);
      hover(next);
    }
    else if (event.key === "Enter") keep(at);
    else if (event.key === "Delete" || event.key === "Backspace") drop();
    else if (event.key === "+" || event.key === "=") view.zoomBy(1, at.row, at.column);
    else if (event.key === "-") view.zoomBy(-1, at.row, at.column);
    else if (event.key === "Escape") hover(null);
    else return;
    event.preventDefault();
  });
  group.addEventListener("blur", () => hover(null));
}

/** Ctrl or Cmd and the wheel zoom around the pointer; a plain wheel scrolls the page. @param {Panel} panel */
export function listenToWheel(panel) {
  const { stage, view } = panel;
  const zoom = (/** @type {WheelEvent} */ event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    const { row, column } = panel.pixelAt(event);
    view.zoomBy(event.deltaY < 0 ? 1 : -1, row, column);
  };
  stage.addEventListener("wheel", zoom, { passive: false });
}

/**
 * The pixel an arrow key leads to, eight pixels at a time with Shift; null for other keys.
 * @param {KeyboardEvent} event
 * @param {Pixel} pixel
 * @param {{height: number, width: number}} view
 */
export function step(event, { row, column }, view) {
  /** @type {Record<string, [number, number]>} */
  const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  const move = moves[event.key];
  if (!move) return null;
  const size = event.shiftKey ? 8 : 1;
  const clamp = (/** @type {number} */ value, /** @type {number} */ side) => Math.min(side - 1, Math.max(0, value));
  return {
    row: clamp(row + size * move[0], view.height),
    column: clamp(column + size * move[1], view.width),
  };
}
