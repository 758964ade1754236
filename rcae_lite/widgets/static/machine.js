// @ts-check
// The machine under the stage: it sends a painted picture through the networks and measures.
import { changed, toFrames, toPlanes } from "./engine.js";
import { copiedShare, edgeWindow, meanError, resizeTrajectory, strokesOf, structuredPixels } from "./measure.js";

/**
 * What one network made of the painted picture, n = 0..N with n = 0 the picture itself.
 * @typedef {object} Rounds
 * @property {Uint8Array[]} frames (H, W, 3) each
 * @property {number[] | null} copied share of the strokes that is left; null where none is
 * @property {number[][]} strokes the same for each stroke
 * @property {number[]} error of the part's structured pixels, in grey levels
 * @property {number[] | null} seen difference from the painted picture inside the strokes
 * @property {number[]} background the same where the part has structure
 *
 * @typedef {{map: Float32Array, score: number, threshold: number}} Verdict
 *
 * @typedef {object} Found
 * @property {Uint8Array} painted (H, W, 3)
 * @property {Uint8Array} mask (H, W)
 * @property {ReturnType<typeof strokesOf>} strokes
 * @property {{row: number, column: number} | null} defect first pixel of the window on the largest stroke
 * @property {{row: number, column: number}} edge first pixel of the window on the part
 * @property {Record<string, Rounds>} networks
 * @property {Record<string, Verdict>} verdicts of the detector and of the single pass
 */

export class Machine {
  /**
   * @param {import("./engine.js").Engine} engine started
   * @param {{height: number, width: number, depth: number, threshold: number, single: number | null}} data
   */
  constructor(engine, data) {
    this.engine = engine;
    this.data = data;
    this.lens = 2 * Math.round(data.height / 10); // side of the windows under the magnifiers
    // Of the picture without paint, see `begin`:
    /** @type {Uint8Array} */
    this.original = new Uint8Array();
    this.clean = new Float32Array();
    this.structured = new Uint8Array();
    /** @type {Record<string, Float32Array>} */
    this.ofClean = {};
  }

  /** Take a picture without paint. @param {Uint8Array} original (H, W, 3) */
  async begin(original) {
    const { height, width } = this.data;
    this.original = original;
    this.clean = toPlanes(original);
    this.structured = structuredPixels(this.clean, height, width);
    const { trajectories, error } = await this.ask("detector", this.clean);
    const single = await this.askSingle(this.clean);
    this.ofClean = { ...this.resized(this.clean), ...trajectories, ...single?.trajectories };
    return error;
  }

  /** Send planes through a detector. @param {string} model @param {Float32Array} planes */
  async ask(model, planes) {
    const { height, width, threshold, single } = this.data;
    const answer = await this.engine.ask(model, planes, height, width);
    if (answer.error) return { trajectories: {}, error: answer.error };
    const verdict = { map: answer.map, score: answer.score, threshold: model === "single" ? Number(single) : threshold };
    /** @type {Record<string, Float32Array>} */
    const trajectories =
      model === "single"
        ? { single: answer.reconstructions }
        : { rcae: answer.reconstructions, dpn: /** @type {Float32Array} */ (answer.enhanced) };
    return { trajectories, verdict };
  }

  /** @param {Float32Array} planes @returns {Record<string, Float32Array>} */
  resized(planes) {
    const { height, width, depth } = this.data;
    return { resize: resizeTrajectory(planes, height, width, depth) };
  }

  /** @param {Float32Array} planes */
  async askSingle(planes) {
    return this.data.single === null ? null : this.ask("single", planes);
  }

  /**
   * Look at a painted picture. `show` gets what is found twice: when the detector has answered, and
   * with the single pass, unless there is already another picture to look at.
   * @param {Uint8Array} painted (H, W, 3)
   * @param {(found: Found) => void} show
   * @param {() => boolean} hurry
   */
  async look(painted, show, hurry) {
    const planes = toPlanes(painted);
    const asked = this.ask("detector", planes); // in the worker; meanwhile:
    const found = this.found(painted);
    this.measure(found, planes, this.resized(planes));
    const first = await asked;
    if (!first.verdict) throw new Error(first.error);
    this.measure(found, planes, first.trajectories);
    found.verdicts.detector = first.verdict;
    show(found);
    const single = hurry() ? null : await this.askSingle(planes);
    if (!single?.verdict) return;
    this.measure(found, planes, single.trajectories);
    found.verdicts.single = single.verdict;
    show(found);
  }

  /** @param {Uint8Array} painted @returns {Found} */
  found(painted) {
    const { height, width } = this.data;
    const mask = changed(painted, this.original, this.engine.packed.visible);
    const strokes = strokesOf(mask, height, width);
    const largest = strokes.reduce((a, b) => (a && a.count >= b.count ? a : b), strokes[0]);
    const inside = (/** @type {number} */ middle, /** @type {number} */ side) =>
      Math.min(side - this.lens, Math.max(0, middle - this.lens / 2));
    const defect = largest ? { row: inside(largest.row, height), column: inside(largest.column, width) } : null;
    const edge = edgeWindow(this.structured, mask, defect, height, width, this.lens);
    return { painted, mask, strokes, defect, edge, networks: {}, verdicts: {} };
  }

  /**
   * An experiment: strokes of some kinds, each at each of as many places, so that the place counts
   * for nothing. What is found is the mean over the places; null where a stroke cannot be seen.
   * @param {(turn: number) => Uint8Array} painted the picture with kind k at place (k + turn) % kinds
   * @param {number} kinds
   * @returns {Promise<Record<string, {strokes: number[][], error: number[]}> | null>}
   */
  async experiment(painted, kinds) {
    /** @type {Found[]} */
    const all = [];
    for (let turn = 0; turn < kinds; turn += 1) await this.look(painted(turn), (found) => (all[turn] = found), () => false);
    if (all.some((found) => found.strokes.length !== kinds)) return null;
    const mean = (/** @type {number[][]} */ rows) => rows[0].map((_, n) => rows.reduce((sum, row) => sum + row[n], 0) / rows.length);
    const ofKind = (/** @type {string} */ name, /** @type {number} */ kind) =>
      mean(all.map((found, turn) => found.networks[name].strokes[(kind + turn) % kinds]));
    const entries = Object.keys(all[0].networks).map((name) => [
      name,
      { strokes: Array.from({ length: kinds }, (_, kind) => ofKind(name, kind)), error: mean(all.map((found) => found.networks[name].error)) },
    ]);
    return Object.fromEntries(entries);
  }

  /** @param {Found} found @param {Float32Array} planes @param {Record<string, Float32Array>} trajectories */
  measure(found, planes, trajectories) {
    const part = this.structured.map((value, i) => value & (1 - found.mask[i]));
    const some = found.strokes.length > 0;
    for (const [name, restored] of Object.entries(trajectories)) {
      const copied = (/** @type {Uint8Array} */ mask) => copiedShare(restored, this.ofClean[name], planes, this.clean, mask);
      const count = restored.length / planes.length;
      const frames = toFrames(restored, count, found.mask.length);
      found.networks[name] = {
        frames: [found.painted, ...Array.from({ length: count }, (_, n) => new Uint8Array(frames.buffer, n * found.painted.length, found.painted.length))],
        copied: some ? copied(found.mask) : null,
        strokes: found.strokes.map((stroke) => copied(stroke.mask)),
        error: meanError(restored, planes, this.clean, part),
        seen: some ? meanError(restored, planes, planes, found.mask) : null,
        background: meanError(restored, planes, planes, part),
      };
    }
  }
}
