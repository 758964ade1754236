// @ts-check
// The challenge: the largest defect that goes unnoticed.
import { fill } from "./canvas.js";
import { button, element, pen } from "./dom.js";
import { distinct } from "./score.js";

/** @typedef {{pixels: number, score: number, picture: {values: Uint8Array}}} Unnoticed */

/**
 * What is painted beside the record, and the record as a picture.
 * @param {{height: number, width: number, threshold: number | null, unpainted: number, contrast: number}} data
 * @param {{show: (picture: Uint8Array) => void, forget: () => void}} act
 */
export function challenge({ height, width, threshold, unpainted, contrast }, act) {
  const hopeless = threshold === null || unpainted > threshold;
  const canvas = element("canvas", { height, width, role: "img", "data-panel": "record", "aria-label": "the record" });
  const context = pen(canvas);
  const now = element("span");
  const best = element("output", { "aria-live": "polite", "data-part": "record" });
  /** @type {Unnoticed | null} */
  let record = null;
  const show = button("Show", "show the record again", () => record && act.show(record.picture.values));
  const forget = button("Reset", "reset the record", act.forget);
  const pixels = (/** @type {number} */ count) => `${count} ${count === 1 ? "pixel" : "pixels"}`;
  const share = (/** @type {number} */ count) => `${((100 * count) / (height * width)).toFixed(1)}%`;

  function nothing() {
    if (threshold === null) return "This detector has no threshold, so it notices nothing.";
    if (hopeless) return "The unpainted image is called defective already: take another one.";
    return "No record yet.";
  }

  /** @param {number} painted @param {Unnoticed | null} found */
  function update(painted, found) {
    record = found;
    now.textContent = painted && !hopeless ? `This painting: ${pixels(painted)}.` : "";
    best.value = nothing();
    if (found) {
      const [score, limit] = distinct(found.score, Number(threshold));
      best.value = `Your record: ${pixels(found.pixels)} (${share(found.pixels)}), score ${score} of ${limit}.`;
      fill(context, found.picture.values, width);
      canvas.setAttribute("aria-label", `the record: ${pixels(found.pixels)}`);
    }
    for (const node of [canvas, show, forget]) node.hidden = !found;
  }

  const rule = `Paint the largest defect that goes unnoticed. A pixel counts if its colour changed by ${100 * contrast}% of the range or more.`;
  const place = element(
    "section",
    { class: "rcae-challenge", "aria-label": "challenge" },
    canvas,
    element("div", {}, element("div", {}, element("strong", {}, "Challenge "), best, " ", now), element("div", { class: "rcae-hint" }, rule)),
    element("span", { class: "rcae-buttons" }, show, forget),
  );
  return { element: place, update };
}
