// @ts-check
// Painting in memory: arrays in, arrays out. Nothing here touches the page.

/**
 * @typedef {{row: number, column: number}} Pixel
 * @typedef {{size: number, hardness: number, opacity: number}} Brush size in pixels, the others 0 to 1
 * @typedef {(row: number, column: number, channel: number) => number} Ink the byte that is laid over
 */

/**
 * How much of the brush covers a pixel at `distance` from its centre line: 0 to 1.
 * @param {number} distance
 * @param {{size: number, hardness: number}} brush
 */
export function coverage(distance, { size, hardness }) {
  const radius = size / 2;
  const core = hardness * radius;
  if (distance <= core) return 1;
  return distance >= radius ? 0 : (radius - distance) / (radius - core);
}

/**
 * Distance of a pixel from a piece of a line.
 * @param {Pixel} from
 * @param {Pixel} to
 * @param {number} row
 * @param {number} column
 */
function distanceTo(from, to, row, column) {
  const [down, right] = [to.row - from.row, to.column - from.column];
  const length = down * down + right * right;
  const part = length ? ((row - from.row) * down + (column - from.column) * right) / length : 0;
  const at = Math.min(1, Math.max(0, part));
  return Math.hypot(row - from.row - at * down, column - from.column - at * right);
}

/**
 * One stroke over a picture, (H, W, 3) bytes.
 *
 * The brush covers a pixel once, however often the stroke crosses itself, so that opacity means the
 * same everywhere along it.
 */
export class Stroke {
  /**
   * @param {Uint8Array} base the picture before the stroke; it stays as it is
   * @param {number} height
   * @param {number} width
   * @param {Ink} ink
   * @param {Brush} brush
   */
  constructor(base, height, width, ink, brush) {
    this.base = base;
    this.height = height;
    this.width = width;
    this.ink = ink;
    this.brush = brush;
    this.covered = new Float32Array(height * width);
    this.picture = base.slice();
    /** @type {Pixel | null} */
    this.last = null;
  }

  /** Go on to a pixel. @param {Pixel} point */
  to(point) {
    this.segment(this.last ?? point, point);
    this.last = point;
  }

  /** Start again as a straight line between two pixels. @param {Pixel} from @param {Pixel} to */
  line(from, to) {
    this.covered.fill(0);
    this.picture.set(this.base);
    this.segment(from, to);
  }

  /** @param {Pixel} from @param {Pixel} to */
  segment(from, to) {
    const reach = Math.ceil(this.brush.size / 2);
    const start = (/** @type {number} */ a, /** @type {number} */ b) => Math.max(0, Math.min(a, b) - reach);
    const end = (/** @type {number} */ a, /** @type {number} */ b, /** @type {number} */ side) => Math.min(side - 1, Math.max(a, b) + reach);
    for (let row = start(from.row, to.row); row <= end(from.row, to.row, this.height); row += 1) {
      for (let column = start(from.column, to.column); column <= end(from.column, to.column, this.width); column += 1) {
        this.cover(row, column, coverage(distanceTo(from, to, row, column), this.brush));
      }
    }
  }

  /** @param {number} row @param {number} column @param {number} amount */
  cover(row, column, amount) {
    const pixel = row * this.width + column;
    if (amount <= this.covered[pixel]) return;
    this.covered[pixel] = amount;
    const opacity = amount * this.brush.opacity;
    for (let i = 3 * pixel, channel = 0; channel < 3; i += 1, channel += 1) {
      const ink = this.ink(row, column, channel);
      this.picture[i] = Math.floor(this.base[i] + opacity * (ink - this.base[i]) + 0.5);
    }
  }
}

/**
 * Ink of one colour, "#rrggbb".
 * @param {string} colour
 * @returns {Ink}
 */
export function flat(colour) {
  const channels = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  return (_row, _column, channel) => channels[channel];
}

/**
 * Ink that is another picture at the same place: the eraser.
 * @param {Uint8Array} picture
 * @param {number} width
 * @returns {Ink}
 */
export function same(picture, width) {
  return (row, column, channel) => picture[3 * (row * width + column) + channel];
}

/**
 * Ink that is the picture itself at an offset, mirrored at its border: the clone stamp.
 * @param {Uint8Array} picture
 * @param {number} height
 * @param {number} width
 * @param {number} down
 * @param {number} right
 * @returns {Ink}
 */
export function shifted(picture, height, width, down, right) {
  const fold = (/** @type {number} */ at, /** @type {number} */ side) => {
    const inside = ((at % (2 * side)) + 2 * side) % (2 * side);
    return inside < side ? inside : 2 * side - 1 - inside;
  };
  return (row, column, channel) =>
    picture[3 * (fold(row + down, height) * width + fold(column + right, width)) + channel];
}

/** The last pictures, to go back and forth; the oldest ones are forgotten. */
export class History {
  /** @param {Uint8Array} first @param {number} limit */
  constructor(first, limit = 50) {
    this.present = first;
    this.limit = limit;
    /** @type {Uint8Array[]} */
    this.past = [];
    /** @type {Uint8Array[]} */
    this.future = [];
  }

  /** @param {Uint8Array} picture */
  add(picture) {
    this.past = [...this.past, this.present].slice(-this.limit);
    this.present = picture;
    this.future = [];
  }

  /** False if there is nothing to go back to. */
  undo() {
    return this.move(this.past, this.future);
  }

  /** False if nothing was undone. */
  redo() {
    return this.move(this.future, this.past);
  }

  /** @param {Uint8Array[]} from @param {Uint8Array[]} to */
  move(from, to) {
    const next = from.pop();
    if (!next) return false;
    to.push(this.present);
    this.present = next;
    return true;
  }
}
