// @ts-check
// From one picture to another without a cut.

const MILLISECONDS = 250; // from one depth to another

/** Whoever does not want to see things move gets the last picture at once. */
export const calm = matchMedia("(prefers-reduced-motion: reduce)");

/** Start slowly and arrive slowly. @param {number} part from 0 to 1 */
export const smooth = (part) => part * part * (3 - 2 * part);

/** Between two frames. @param {Uint8Array} a @param {Uint8Array} b @param {number} part of b */
export function fade(a, b, part) {
  if (!part) return a;
  return a.map((value, i) => Math.round(value + part * (b[i] - value)));
}

/** A number that follows another one; `data-settled` of a node says whether it has arrived. */
export class Glide {
  /** @param {HTMLElement} node @param {(value: number) => void} draw shows the number */
  constructor(node, draw) {
    this.node = node;
    this.draw = draw;
    this.timer = 0;
    this.value = 0;
  }

  /** Be there at once. @param {number} value */
  jump(value) {
    cancelAnimationFrame(this.timer);
    this.show(value, true);
  }

  /** Go there from wherever it is. @param {number} target */
  to(target) {
    cancelAnimationFrame(this.timer);
    const [from, start] = [this.value, performance.now()];
    const turn = () => {
      const passed = (performance.now() - start) / MILLISECONDS;
      if (passed >= 1 || calm.matches) return this.show(target, true);
      this.timer = requestAnimationFrame(turn);
      this.show(from + smooth(passed) * (target - from), false);
    };
    turn();
  }

  /** @param {number} value @param {boolean} settled */
  show(value, settled) {
    this.value = value;
    this.draw(value);
    this.node.dataset.settled = String(settled);
  }
}
