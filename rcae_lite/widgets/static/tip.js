// @ts-check
// The tooltip of a drawing. It names the mark that is nearest to the pointer, or that the arrow keys
// have come to. Screen readers have the drawing's own description instead.
import { element, shape } from "./dom.js";

/** @typedef {{x: number, y: number, text: string, index?: number}} Mark in the coordinates of the viewBox, in words */

export class Tip {
  /** @param {SVGSVGElement} svg The arrow keys go from mark to mark, unless it is a slider. */
  constructor(svg) {
    this.svg = svg;
    /** @type {Mark[]} */
    this.marks = [];
    /** @type {Mark | null} */
    this.shown = null;
    this.ring = shape("circle", { class: "rcae-ring", r: 6, visibility: "hidden" });
    this.words = element("div", { class: "rcae-words", "aria-hidden": "true", hidden: true });
    this.element = element("div", { class: "rcae-told" }, svg, this.words);
    for (const type of /** @type {const} */ (["pointermove", "pointerdown"])) svg.addEventListener(type, (event) => this.show(this.nearest(event)?.mark));
    for (const type of /** @type {const} */ (["pointerleave", "blur"])) svg.addEventListener(type, () => this.show(null));
    svg.addEventListener("focus", () => svg.matches(":focus-visible") && this.walks && this.show(this.marks[0]));
    svg.addEventListener("keydown", (event) => this.walks && this.walk(event));
  }

  get walks() {
    return this.svg.getAttribute("role") === "img";
  }

  /** The drawing has been drawn anew; what was shown stays, with its new words. @param {Mark[]} marks */
  renew(marks) {
    const index = this.marks.findIndex((mark) => mark === this.shown);
    this.marks = marks;
    this.svg.append(this.ring);
    this.show(index < 0 ? null : marks[Math.min(index, marks.length - 1)]);
  }

  /** The nearest mark and how many pixels it is away; sideways counts more: curves go across. @param {MouseEvent} event */
  nearest(event) {
    const { left, top, width } = this.svg.getBoundingClientRect();
    const { viewBox } = this.svg;
    const scale = viewBox.baseVal.width / width;
    const [x, y] = [(event.clientX - left) * scale, (event.clientY - top) * scale];
    const away = (/** @type {Mark} */ mark) => Math.hypot(mark.x - x, (mark.y - y) / 2);
    const mark = this.marks.reduce((best, next) => (best && away(best) <= away(next) ? best : next), /** @type {Mark | null} */ (null));
    return mark && { mark, distance: Math.hypot(mark.x - x, mark.y - y) };
  }

  /** @param {KeyboardEvent} event */
  walk(event) {
    const [last, here] = [this.marks.length - 1, this.marks.findIndex((mark) => mark === this.shown)];
    /** @type {Record<string, number>} */
    const places = { ArrowRight: here + 1, ArrowDown: here + 1, ArrowLeft: here - 1, ArrowUp: here - 1, Home: 0, End: last };
    const to = places[event.key];
    if (event.key === "Escape") this.show(null);
    if (to === undefined) return;
    event.preventDefault();
    this.show(this.marks[Math.min(last, Math.max(0, to))]);
  }

  /** Show a mark's words beside it, inside the drawing's width; nothing without a mark. @param {Mark | null} [mark] */
  show(mark) {
    this.shown = mark ?? null;
    this.words.hidden = !mark;
    this.ring.setAttribute("visibility", mark ? "visible" : "hidden");
    if (!mark) return;
    const { width, height } = this.svg.viewBox.baseVal;
    const [x, y] = [100 * (mark.x / width), 100 * (mark.y / height)];
    this.ring.setAttribute("cx", String(mark.x));
    this.ring.setAttribute("cy", String(mark.y));
    this.words.textContent = mark.text;
    this.words.style.cssText = `left: ${x}%; top: ${y}%; transform: translate(${-x}%, ${y > 45 ? "calc(-100% - 10px)" : "10px"})`;
  }
}
