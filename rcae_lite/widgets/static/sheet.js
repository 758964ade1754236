// @ts-check
// The sheet: what is painted on, by pointer or by key, and the way back.
import { flat, History, same, shifted, Stroke } from "./brush.js";
import { listenToWheel, Panel, step } from "./canvas.js";
import { shape } from "./dom.js";

/** @typedef {import("./brush.js").Pixel} Pixel */

/** @type {Record<string, string>} */
export const TOOLS = { brush: "Brush", line: "Line", eraser: "Eraser", clone: "Clone" };
const KEYS =
  "Painting. Arrow keys move the brush, Space puts it down or lifts it, Escape drops the stroke, S sets the source of the clone stamp, Control and Z undoes, Control and Y redoes, plus and minus zoom.";

export class Sheet {
  /**
   * `ask` gets every new picture, `say` a line for the reader, `drawn` is told when the way back
   * or forth has changed.
   * @param {import("./canvas.js").View} view what is seen of the picture
   * @param {{height: number, width: number, original: {values: Uint8Array}}} data
   * @param {any} model
   * @param {Uint8Array} picture
   * @param {{ask: (picture: Uint8Array) => void, say: (text: string) => void, drawn: (history: History) => void}} act
   */
  constructor(view, data, model, picture, { ask, say, drawn }) {
    this.view = view;
    this.data = data;
    this.model = model;
    this.ask = ask;
    this.say = say;
    this.drawn = drawn;
    this.history = new History(picture);
    /** @type {Stroke | null} */
    this.stroke = null;
    /** @type {Pixel} where the stroke began */
    this.start = { row: 0, column: 0 };
    /** @type {Pixel | null} of the clone stamp */
    this.source = null;
    this.panel = new Panel(view, ["paint here"], "paint", true);
    this.listen();
  }

  draw() {
    const picture = this.stroke ? this.stroke.picture : this.history.present;
    this.panel.show(picture, `the painted image; ${TOOLS[this.model.get("tool")]} chosen`);
    this.drawn(this.history);
  }

  /** Put a picture on the sheet. @param {Uint8Array} picture */
  paint(picture) {
    this.take(picture);
    this.ask(picture);
  }

  /** Put a picture on the sheet that the detector has seen. @param {Uint8Array} picture */
  take(picture) {
    this.history.add(picture);
    this.draw();
  }

  /** Drop the stroke, or go back and forth. @param {"undo" | "redo"} way */
  travel(way) {
    const moved = this.stroke === null && this.history[way]();
    this.stroke = null;
    this.draw();
    if (moved) this.ask(this.history.present);
  }

  // -- strokes -------------------------------------------------------------------------------

  /** @param {Pixel} at */
  ink(at) {
    const { model, data, source, history } = this;
    const tool = model.get("tool");
    if (tool === "eraser") return same(data.original.values, data.width);
    if (tool !== "clone" || !source) return flat(model.get("colour"));
    return shifted(history.present, data.height, data.width, source.row - at.row, source.column - at.column);
  }

  /** @param {Pixel} at */
  begin(at) {
    const { model, data } = this;
    if (model.get("tool") === "clone" && !this.source) {
      this.say("Clone: choose the source first, with Alt and a click or with the key S.");
      return;
    }
    const brush = { size: model.get("size"), hardness: model.get("hardness"), opacity: model.get("opacity") };
    this.stroke = new Stroke(this.history.present, data.height, data.width, this.ink(at), brush);
    this.start = at;
    this.extend(at);
  }

  /** @param {Pixel} at */
  extend(at) {
    if (!this.stroke) return;
    if (this.model.get("tool") === "line") this.stroke.line(this.start, at);
    else this.stroke.to(at);
    this.draw();
  }

  end() {
    if (!this.stroke) return;
    const { picture } = this.stroke;
    this.stroke = null;
    this.paint(picture);
  }

  /** @param {Pixel} at */
  chooseSource(at) {
    this.source = at;
    this.view.marks = [{ ...at, colour: "#e69f00" }];
    this.view.draw();
    this.say(`Clone source: row ${at.row}, column ${at.column}.`);
  }

  /** Show a pixel in all pictures, and the brush around it here. @param {Pixel | null} at */
  hover(at) {
    this.view.cursor = at;
    for (const panel of this.view.panels) panel.drawMarks();
    if (!at) return;
    const tip = { class: "rcae-tip", cx: at.column + 0.5, cy: at.row + 0.5, r: this.model.get("size") / 2 };
    this.panel.marks.append(shape("circle", tip));
  }

  // -- pointer and keys ----------------------------------------------------------------------

  listen() {
    const { stage } = this.panel;
    stage.tabIndex = 0;
    stage.setAttribute("role", "application");
    stage.setAttribute("aria-label", KEYS);
    stage.addEventListener("keydown", (event) => this.press(event));
    listenToStrokes(this.panel, this);
    listenToWheel(this.panel);
  }

  /** @param {KeyboardEvent} event */
  press(event) {
    if (event.ctrlKey || event.metaKey) return;
    const { view } = this;
    const at = view.cursor ?? view.middle;
    const next = step(event, at, view);
    if (next) {
      view.reveal(next);
      this.hover(next);
      this.extend(next);
    } else if (event.key === " " || event.key === "Enter") (this.stroke ? () => this.end() : () => this.begin(at))();
    else if (event.key === "Escape") {
      this.stroke = null;
      this.hover(null);
    } else if (event.key.toLowerCase() === "s") this.chooseSource(at);
    else if (event.key === "+" || event.key === "=") view.zoomBy(1, at.row, at.column);
    else if (event.key === "-") view.zoomBy(-1, at.row, at.column);
    else return;
    event.preventDefault();
    this.draw();
  }
}

/** Pointer events of the painted panel as strokes. @param {import("./canvas.js").Panel} panel @param {Sheet} sheet */
function listenToStrokes(panel, sheet) {
  const { stage } = panel;
  let down = false;
  stage.addEventListener("pointerdown", (/** @type {PointerEvent} */ event) => {
    if (event.button !== 0) return;
    const at = panel.pixelAt(event);
    if (event.altKey) return sheet.chooseSource(at);
    stage.setPointerCapture(event.pointerId);
    down = true;
    sheet.begin(at);
  });
  stage.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => {
    const at = panel.pixelAt(event);
    if (down) sheet.extend(at);
    sheet.hover(at);
  });
  const lift = () => {
    if (down) sheet.end();
    down = false;
  };
  stage.addEventListener("pointerup", lift);
  stage.addEventListener("pointercancel", lift);
  stage.addEventListener("pointerleave", () => sheet.hover(null));
}
