// @ts-check
// Pictures of test images: small ones in a row, each of which opens large.
import { fill, frame } from "./canvas.js";
import { button, element, pen, short } from "./dom.js";

/** @typedef {import("./outcome.js").TestImage} TestImage */
/** @typedef {(images: TestImage[], index: number) => void} Open what shows one of a list */

const SHOWN = 12; // mistakes of each kind

/** An image on a canvas of its own size, or null where there are no pictures. @param {any} data @param {TestImage} image */
function picture({ pictures }, { index, name, defect }) {
  if (!pictures) return null;
  const [, height, width] = pictures.shape;
  const canvas = element("canvas", { width, height, role: "img", "aria-label": `${name}: ${defect}`, "data-image": index });
  fill(pen(canvas), frame(pictures, index), width);
  return canvas;
}

/** The mistakes of each kind, the worst first. @param {any} data @param {number} threshold @param {Open} open */
export function gallery(data, threshold, open) {
  /** @type {TestImage[]} */
  const images = data.images;
  const alarms = images.filter((image) => image.label === 0 && image.score > threshold).sort((a, b) => b.score - a.score);
  const missed = images.filter((image) => image.label === 1 && !(image.score > threshold)).sort((a, b) => a.score - b.score);
  return Object.entries({ "False alarms, the worst first": alarms, "Missed defects, the worst first": missed }).map(([title, wrong]) => {
    const more = wrong.length > SHOWN ? ` (${SHOWN} of ${wrong.length})` : "";
    const shown = wrong.slice(0, SHOWN).map((image, place) => thumbnail(data, image, () => open(wrong, place)));
    const none = element("span", { class: "rcae-hint" }, "none");
    return element("section", {}, element("h3", {}, title + more), element("div", { class: "rcae-gallery" }, ...(shown.length ? shown : [none])));
  });
}

/** @param {any} data @param {TestImage} image @param {() => void} open */
function thumbnail(data, image, open) {
  const caption = data.pictures ? image.defect : image.name;
  const words = `open ${image.name}: ${image.defect}, score ${short(image.score)}`;
  const inside = element("span", {}, picture(data, image), element("span", { class: "rcae-caption" }, `${caption} ${short(image.score)}`));
  return button(inside, words, open);
}

/** One image, large, over the page; arrows go through the list that it is in. */
export class Viewer {
  /** @param {any} data */
  constructor(data) {
    this.data = data;
    /** @type {TestImage[]} */
    this.images = [];
    this.index = 0; // among them
    this.threshold = 0;
    this.stage = element("div", { class: "rcae-large" });
    this.title = element("b");
    this.words = element("output");
    this.place = element("span", { class: "rcae-hint" });
    this.buttons = [button("←", "previous image", () => this.go(-1)), button("→", "next image", () => this.go(1))];
    const close = button("✕", "close", () => this.element.close());
    this.element = element(
      "dialog", { class: "rcae-viewer", onkeydown: (/** @type {KeyboardEvent} */ event) => this.key(event), onclick: (/** @type {Event} */ { target }) => target === this.element && this.element.close() },
      element("div", { class: "rcae-viewer-inside" },
        element("header", {}, this.title, close),
        this.stage,
        element("p", {}, this.words),
        element("footer", {}, ...this.buttons, this.place)),
    );
  }

  /** @param {TestImage[]} images @param {number} index @param {number} threshold */
  open(images, index, threshold) {
    Object.assign(this, { images, index, threshold });
    this.show();
    this.element.showModal();
  }

  /** @param {number} steps */
  go(steps) {
    this.index = Math.min(this.images.length - 1, Math.max(0, this.index + steps));
    this.show();
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.key === "ArrowLeft") this.go(-1);
    if (event.key === "ArrowRight") this.go(1);
  }

  show() {
    const { data, images, index, threshold } = this;
    const image = images[index];
    const called = image.score > threshold;
    const verdict = called === Boolean(image.label) ? "rightly" : "wrongly";
    this.element.setAttribute("aria-label", image.name);
    this.title.textContent = image.name;
    this.words.value = `${image.label ? `defective, ${image.defect}` : "normal"}; score ${short(image.score)}: ${verdict} called ${called ? "defective" : "normal"} at ${short(threshold)}`;
    this.stage.replaceChildren(picture(data, image) ?? element("span", { class: "rcae-hint" }, "No picture: ThresholdExplorer was given no test set."));
    this.place.textContent = `${index + 1} of ${images.length}`;
    this.buttons[0].disabled = index === 0;
    this.buttons[1].disabled = index === images.length - 1;
  }
}
