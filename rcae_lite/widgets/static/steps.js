// @ts-check
// The text beside the stage: which step is read, and the sentences and tables whose figures are measured.
import { element, short } from "./dom.js";
import { grey, NETWORKS, percent } from "./stage.js";

/**
 * @typedef {import("./machine.js").Found} Found
 * @typedef {Record<string, {strokes: number[][], error: number[]}>} Test
 * @typedef {{network: string, t: number, view: string, preset: string}} Setting
 */

/** What each step puts on the stage; `t` is a share of the rounds. @type {Record<string, Setting>} */
export const SETTINGS = {
  start: { network: "rcae", t: Infinity, view: "picture", preset: "scratch" },
  round: { network: "rcae", t: 1, view: "picture", preset: "scratch" },
  stroke: { network: "rcae", t: 1, view: "picture", preset: "scratch" },
  rounds: { network: "rcae", t: Infinity, view: "picture", preset: "scratch" },
  first: { network: "rcae", t: 1, view: "picture", preset: "four" },
  blur: { network: "resize", t: Infinity, view: "picture", preset: "four" },
  alarm: { network: "dpn", t: Infinity, view: "difference", preset: "scratch" },
};

const TESTED = ["thin, strange colour", "thick, strange colour", "thin, own colour", "thick, own colour"];

/** Call back with the step that is being read. @param {HTMLElement} el @param {(step: string) => void} entered */
export function watchSteps(el, entered) {
  const stage = /** @type {HTMLElement} */ (el.querySelector(".story-stage"));
  const above = stage.offsetWidth > 0.9 * innerWidth && getComputedStyle(stage).position === "sticky";
  const line = Math.round(above ? stage.offsetHeight + 0.2 * (innerHeight - stage.offsetHeight) : 0.45 * innerHeight);
  const observer = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) {
        if (!isIntersecting || target.classList.contains("story-now")) continue;
        el.querySelectorAll(".story-now").forEach((step) => step.classList.remove("story-now"));
        target.classList.add("story-now");
        entered(/** @type {HTMLElement} */ (target).dataset.step ?? "");
      }
    },
    { rootMargin: `-${line}px 0px -${innerHeight - line - 1}px 0px` },
  );
  el.querySelectorAll("[data-step]").forEach((step) => observer.observe(step));
  addEventListener("resize", () => (observer.disconnect(), watchSteps(el, entered)), { once: true });
}

const last = (/** @type {number[]} */ values) => values[values.length - 1];
const mean = (/** @type {number[]} */ values) => values.reduce((a, b) => a + b, 0) / values.length;
const both = (/** @type {number[]} */ shares) => shares.map(percent).join(" and ");

/**
 * The sentences by name; an empty one is not shown.
 * @param {Found} found what is on the stage
 * @param {Test | null} test what the test strokes came to
 * @param {any} data
 * @returns {Record<string, string>}
 */
export function sentences(found, test, data) {
  const { rcae, dpn } = found.networks;
  const [stroke, is] = found.strokes.length > 1 ? ["strokes", "are"] : ["stroke", "is"];
  const nothing = "Nothing is painted now. Paint on the picture.";
  return {
    round: `After one round the copy is off by ${grey(rcae.error[1])} grey levels where the part has edges and texture (black to white is 255).`,
    stroke: rcae.copied ? `After one round ${percent(rcae.copied[1])} of the ${stroke} ${is} left.` : nothing,
    rounds: rcae.copied
      ? `From 1 round to ${data.depth}, what is left of the ${stroke} goes from ${percent(rcae.copied[1])} to ${percent(last(rcae.copied))}; the part's error from ${grey(rcae.error[1])} to ${grey(last(rcae.error))} grey levels.`
      : nothing,
    dpn: dpn.copied && rcae.copied
      ? `With DPN, ${data.depth} rounds are off by ${grey(last(dpn.error))} instead of ${grey(last(rcae.error))} grey levels. ${returned(last(rcae.copied), last(dpn.copied), stroke)}`
      : nothing,
    first: test ? order(test) : "",
    yours: found.strokes.length > 1 ? extremes(found) : "",
    blur: test ? blind(test) : "",
    single: test?.single ? hard(test) : "",
    alarm: dpn.seen
      ? `At n = ${data.depth}, copy and picture differ by ${grey(last(dpn.seen))} grey levels inside the ${stroke}, and by ${grey(last(dpn.background))} where the part has edges and texture.`
      : nothing,
    verdict: judged(found),
    short: test ? shortly(test) : "",
  };
}

/** @param {number} before @param {number} after @param {string} stroke */
function returned(before, after, stroke) {
  const [a, b] = [percent(before), percent(after)];
  if (a === b) return `Of the ${stroke}, ${b} is left, as before.`;
  return after > before ? `But some of the ${stroke} comes back with the detail: ${b} instead of ${a}.` : `Of the ${stroke} less is left, too: ${b} instead of ${a}.`;
}

/** Of the test strokes: which go first? @param {Test} test */
function order(test) {
  const [a, b, c, d] = test.rcae.strokes.map((values) => values[1]); // thin, thick strange; thin, thick own
  const colour = mean([a, b]) < mean([c, d])
    ? `What looks strange goes first: one round leaves ${both([a, b])} of the strokes in a colour that the picture never has, but ${both([c, d])} of those in its own.`
    : `Here the strange colour does not go first: one round leaves ${both([a, b])} of it, and ${both([c, d])} of the picture's own.`;
  const size = ["Thin does not go before thick.", "Thin goes before thick in one colour only.", "In both colours, thin goes before thick."];
  return `${colour} ${size[Number(a < b) + Number(c < d)]}`;
}

/** The same in a few words. @param {Test} test */
function shortly(test) {
  const [a, b, c, d] = test.rcae.strokes.map((values) => values[1]);
  const strange = mean([a, b]) < mean([c, d]) ? "what looks strange, before what looks like the part" : "here, what looks like the part, before what looks strange";
  return strange + (a < b && c < d ? "; and what is thin, before what is thick." : ".");
}

/** Of the strokes on the stage: the first and the last to go. @param {Found} found */
function extremes(found) {
  const left = found.networks.rcae.strokes.map((values) => values[1]);
  const [low, high] = [Math.min(...left), Math.max(...left)];
  return `On the picture in front of you the place counts, too: stroke ${left.indexOf(low) + 1} goes first (${percent(low)} left after one round), stroke ${left.indexOf(high) + 1} last (${percent(high)}).`;
}

/** What resizing makes of colour. @param {Test} test */
function blind(test) {
  const thin = (/** @type {string} */ name) => [0, 2].map((kind) => test[name].strokes[kind][1]);
  const [strange, own] = thin("resize");
  const same = Math.abs(strange - own) < 0.05 ? "Resizing cannot tell them apart. " : "";
  return `Take the thin test strokes, one in a strange colour, one in the picture's own. Halving once and enlarging leaves ${both([strange, own])} of them. ${same}One round of RcAE leaves ${both(thin("rcae"))}.`;
}

/** What the single pass makes of stroke and part. @param {Test} test */
function hard(test) {
  const { single, dpn } = test;
  const left = percent(mean(single.strokes.map(last)));
  const [off, other] = [grey(last(single.error)), grey(last(dpn.error))];
  return `On average the single pass leaves ${left} of the test strokes, and its copy is off by ${off} grey levels where the part has edges and texture. After all rounds of RcAE + DPN, ${percent(mean(dpn.strokes.map(last)))} are left, and the copy is off by ${other} grey levels.`;
}

/** @param {Found} found */
function judged({ verdicts: { detector, single }, strokes }) {
  const alarm = detector.score > detector.threshold;
  const text = `Score ${short(detector.score)}, threshold ${short(detector.threshold)}: ${alarm ? "alarm" : "no alarm"}.`;
  const fooled = !alarm && strokes.length ? " You have painted something it does not notice." : "";
  const other = single ? ` The single pass, judging by its own difference, says ${single.score > single.threshold ? "alarm" : "no alarm"}.` : "";
  return text + fooled + other;
}

/** The tables by name: head and rows. @param {Found} found @param {Test | null} test @param {any} data */
export function tables(found, test, data) {
  const rounds = Array.from({ length: data.depth }, (_, n) => n + 1);
  const all = Object.keys(NETWORKS).filter((name) => found.networks[name]);
  return {
    first: test && {
      head: ["left after", ...rounds.map((n) => `n = ${n}`)],
      rows: TESTED.map((name, kind) => [name, ...rounds.map((n) => percent(test.rcae.strokes[kind][n]))]),
    },
    blur: {
      head: ["after the last round", "stroke left", "part off by"],
      rows: all.map((name) => {
        const { copied, error } = found.networks[name];
        return [NETWORKS[name], copied ? percent(last(copied)) : "–", grey(last(error))];
      }),
    },
  };
}

/** Fill in all sentences and tables. @param {HTMLElement} el @param {Record<string, string>} said @param {Record<string, any>} shown */
export function fill(el, said, shown) {
  /** @type {NodeListOf<HTMLElement>} */
  const places = el.querySelectorAll("[data-live]");
  for (const place of places) {
    const text = said[place.dataset.live ?? ""];
    place.hidden = !text;
    if (place.textContent !== text) place.textContent = text;
  }
  /** @type {NodeListOf<HTMLElement>} */
  const bodies = el.querySelectorAll("[data-table]");
  for (const body of bodies) {
    const table = shown[body.dataset.table ?? ""];
    if (!table) continue;
    const head = table.head.map((/** @type {string} */ text) => element("th", { scope: "col" }, text));
    const rows = table.rows.map((/** @type {string[]} */ [name, ...cells]) =>
      element("tr", {}, element("th", { scope: "row" }, name), ...cells.map((cell) => element("td", {}, cell))));
    body.querySelectorAll("thead, tbody").forEach((part) => part.remove()); // the caption stays
    body.append(element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows));
  }
}
