// @ts-check
// Questions to whoever holds the detector, one at a time.

const WAIT = 40; // milliseconds without a new stroke before the detector is asked
const PATIENCE = 10_000; // milliseconds after which an answer is no longer waited for

/** Strokes made while the detector works are sent together when the answer is there. */
export class Asking {
  /** @param {any} model @param {(text: string) => void} say */
  constructor(model, say) {
    this.model = model;
    this.say = say;
    this.number = 0;
    /** @type {{number: number, since: number} | null} */
    this.open = null;
    /** @type {Uint8Array | null} */
    this.waiting = null;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
  }

  /** Ask about a painted picture. @param {Uint8Array} picture (H, W, 3) */
  ask(picture) {
    this.waiting = picture;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.next(), WAIT);
  }

  next() {
    if (!this.waiting) return;
    if (this.open && performance.now() - this.open.since < PATIENCE) return;
    this.send({ type: "paint" }, [this.waiting.slice().buffer]);
    this.waiting = null;
  }

  /** @param {{type: string}} content @param {ArrayBuffer[]} buffers */
  send(content, buffers = []) {
    this.number += 1;
    this.open = { number: this.number, since: performance.now() };
    this.say("working …");
    this.model.send({ ...content, number: this.number }, undefined, buffers);
  }

  /**
   * Take note of an answer; false if its picture is new here: a random defect, another view.
   * @param {{number: number, note: string, ours: boolean}} result
   */
  answered({ number, note, ours }) {
    const mine = this.open?.number === number ? this.open : null;
    if (mine) this.open = null;
    this.say(note || (mine ? `${Math.round(performance.now() - mine.since)} ms` : ""));
    if (this.open === null) this.next();
    return Boolean(mine && ours) || this.open !== null || this.waiting !== null;
  }
}
