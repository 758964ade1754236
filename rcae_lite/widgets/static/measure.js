// @ts-check
// What the rounds leave and lose: arrays in, numbers out, as evaluation/restoration.py defines them.
// Pictures are planes (3, H, W) in [0, 1], trajectories (3, N, H, W), masks (H, W) of 1 and 0.

const STRUCTURED = 0.2; // share of the pixels that count as structured

/**
 * Halve n times and enlarge n times, n = 1..N; as `resize_trajectory` in baselines.py.
 * @param {Float32Array} images (3, H, W)
 * @param {number} height
 * @param {number} width
 * @param {number} depth N
 */
export function resizeTrajectory(images, height, width, depth) {
  const pixels = height * width;
  const all = new Float32Array(3 * depth * pixels);
  for (let channel = 0; channel < 3; channel += 1) {
    let small = images.subarray(channel * pixels, (channel + 1) * pixels);
    for (let n = 1; n <= depth; n += 1) {
      const [rows, columns] = [height >> n, width >> n];
      small = halved(small, rows, columns);
      let large = small;
      for (let i = 0; i < n; i += 1) large = doubled(large, rows << i, columns << i);
      all.set(large, (channel * depth + n - 1) * pixels);
    }
  }
  return all;
}

/** @param {Float32Array} plane @param {number} rows @param {number} columns of the result */
function halved(plane, rows, columns) {
  const small = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row += 1) {
    for (let column = 0; column < columns; column += 1) {
      const at = 4 * row * columns + 2 * column;
      const sum = plane[at] + plane[at + 1] + plane[at + 2 * columns] + plane[at + 2 * columns + 1];
      small[row * columns + column] = sum / 4;
    }
  }
  return small;
}

/** Bilinear, a quarter of a pixel beside the centres. @param {Float32Array} plane @param {number} rows @param {number} columns of it */
function doubled(plane, rows, columns) {
  const taps = (/** @type {number} */ to, /** @type {number} */ side) => {
    const from = Math.max(0, (to + 0.5) / 2 - 0.5);
    const low = Math.floor(from);
    return { low, high: Math.min(side - 1, low + 1), part: from - low };
  };
  const across = Array.from({ length: 2 * columns }, (_, column) => taps(column, columns));
  const large = new Float32Array(4 * rows * columns);
  for (let row = 0; row < 2 * rows; row += 1) {
    const { low, high, part } = taps(row, rows);
    const [upper, lower] = [low * columns, high * columns];
    across.forEach((x, column) => {
      const mix = (/** @type {number} */ line) => (1 - x.part) * plane[line + x.low] + x.part * plane[line + x.high];
      large[2 * row * columns + column] = (1 - part) * mix(upper) + part * mix(lower);
    });
  }
  return large;
}

/**
 * The fifth of the pixels with the most gradient, as `structured_pixels`.
 * @param {Float32Array} images (3, H, W)
 * @param {number} height
 * @param {number} width
 */
export function structuredPixels(images, height, width) {
  const pixels = height * width;
  const energy = new Float32Array(pixels);
  for (let i = 0; i < images.length; i += 1) {
    const pixel = i % pixels;
    if (pixel % width < width - 1) energy[pixel] += Math.abs(images[i + 1] - images[i]);
    if (pixel < pixels - width) energy[pixel] += Math.abs(images[i + width] - images[i]);
  }
  const order = Array.from(energy.keys()).sort((a, b) => energy[b] - energy[a]);
  const chosen = new Uint8Array(pixels);
  for (const pixel of order.slice(0, Math.max(1, Math.round(STRUCTURED * pixels)))) chosen[pixel] = 1;
  return chosen;
}

/**
 * Sum over a mask and the channels of what `term(i, j)` says, i in the trajectory, j in the picture.
 * @param {Uint8Array} mask
 * @param {number} n from 1
 * @param {number} depth
 * @param {(i: number, j: number) => number} term
 */
function sum(mask, n, depth, term) {
  const pixels = mask.length;
  let total = 0;
  for (let channel = 0; channel < 3; channel += 1) {
    const start = (channel * depth + n - 1) * pixels;
    for (let pixel = 0; pixel < pixels; pixel += 1) {
      if (mask[pixel]) total += term(start + pixel, channel * pixels + pixel);
    }
  }
  return total;
}

/**
 * The share of what was painted that passes, n = 0..N: `copied_share`, with 1 for n = 0.
 * @param {Float32Array} restored R_n(p)
 * @param {Float32Array} ofClean R_n(x)
 * @param {Float32Array} painted p
 * @param {Float32Array} clean x
 * @param {Uint8Array} mask
 */
export function copiedShare(restored, ofClean, painted, clean, mask) {
  const depth = restored.length / painted.length;
  const whole = sum(mask, 1, 1, (i) => Math.abs(painted[i] - clean[i]));
  const share = (/** @type {number} */ n) => sum(mask, n, depth, (i) => Math.abs(restored[i] - ofClean[i])) / whole;
  return [1, ...Array.from({ length: depth }, (_, n) => share(n + 1))];
}

/**
 * Mean |R_n(p) - y| over a mask in grey levels of 255, n = 0..N; R_0(p) is p.
 * @param {Float32Array} restored R_n(p)
 * @param {Float32Array} painted p
 * @param {Float32Array} y what it is compared with: p or x
 * @param {Uint8Array} where
 */
export function meanError(restored, painted, y, where) {
  const depth = restored.length / y.length;
  const count = 3 * where.reduce((total, value) => total + value, 0);
  const first = sum(where, 1, 1, (i) => Math.abs(painted[i] - y[i]));
  const at = (/** @type {number} */ n) => sum(where, n, depth, (i, j) => Math.abs(restored[i] - y[j]));
  return [first, ...Array.from({ length: depth }, (_, n) => at(n + 1))].map((total) => (255 * total) / count);
}

/**
 * The strokes of a mask: what hangs together, the largest four, in reading order.
 * @param {Uint8Array} mask
 * @param {number} height
 * @param {number} width
 * @returns {{mask: Uint8Array, count: number, row: number, column: number}[]} with their middles
 */
export function strokesOf(mask, height, width) {
  const seen = new Uint8Array(mask.length);
  const found = [];
  for (let start = 0; start < mask.length; start += 1) {
    if (!mask[start] || seen[start]) continue;
    const one = new Uint8Array(mask.length);
    const open = [start];
    seen[start] = 1;
    let [count, rows, columns] = [0, 0, 0];
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      const [row, column] = [Math.floor(at / width), at % width];
      one[at] = 1;
      [count, rows, columns] = [count + 1, rows + row, columns + column];
      for (let r = Math.max(0, row - 1); r <= Math.min(height - 1, row + 1); r += 1) {
        for (let c = Math.max(0, column - 1); c <= Math.min(width - 1, column + 1); c += 1) {
          const next = r * width + c;
          if (mask[next] && !seen[next]) open.push(next);
          if (mask[next]) seen[next] = 1;
        }
      }
    }
    found.push({ mask: one, count, row: Math.round(rows / count), column: Math.round(columns / count) });
  }
  const largest = found.sort((a, b) => b.count - a.count).slice(0, 4);
  const line = (/** @type {{row: number}} */ { row }) => Math.round((8 * row) / height);
  return largest.sort((a, b) => line(a) - line(b) || a.column - b.column);
}

/**
 * Where a window of the picture holds the most structure and nothing painted.
 * @param {Uint8Array} structured
 * @param {Uint8Array} mask
 * @param {{row: number, column: number} | null} away first pixel of a window that it may not touch
 * @param {number} height
 * @param {number} width
 * @param {number} side of the window
 * @returns {{row: number, column: number}} its first pixel
 */
export function edgeWindow(structured, mask, away, height, width, side) {
  let best = { row: 0, column: 0, value: -Infinity };
  for (let row = 0; row + side <= height; row += 2) {
    for (let column = 0; column + side <= width; column += 2) {
      const touches = away && Math.abs(away.row - row) < side && Math.abs(away.column - column) < side;
      let value = touches ? -1000 : 0;
      for (let r = row; r < row + side; r += 1) {
        for (let at = r * width + column; at < r * width + column + side; at += 1) value += structured[at] - 1000 * mask[at];
      }
      if (value > best.value) best = { row, column, value };
    }
  }
  return { row: best.row, column: best.column };
}
