// Small drawings. What differs in colour differs in shape too.

import { h } from "./dom.js";
import { OUTCOMES, outcomeOf, counted } from "./words.js";
import { span } from "./time.js";

/** One letter-sized mark for a tone; `word` for those who do not see it, "" where it stands beside. */
export function toneMark(tone, word) {
  const shape = {
    ok: h("circle", { cx: 8, cy: 8, r: 4, class: "fill" }),
    idle: h("circle", { cx: 8, cy: 8, r: 3.5, class: "line" }),
    busy: h("path", { d: "M5 3.5 12.5 8 5 12.5Z", class: "fill" }),
    warn: h("path", { d: "M5 4h2v8H5zM9 4h2v8H9z", class: "fill" }),
    attention: h("path", { d: "M8 2.5 14 13H2Z", class: "line" }),
    bad: h("path", { d: "M4 4l8 8M12 4l-8 8", class: "stroke" }),
  }[tone];
  const look = tone === "attention" ? "warn" : tone;
  return h("svg.mark", { viewBox: "0 0 16 16", class: `tone-${look}`, ...(word ? { role: "img", "aria-label": word } : { "aria-hidden": "true" }) }, shape);
}

const CELL = 8;
const HEIGHT = 16;

function cell(outcome, x) {
  switch (outcome) {
    case "succeeded": return h("rect", { x: x + 1, y: 3, width: 5, height: 10, class: "fill tone-ok" });
    case "nothing_to_do": return h("rect", { x: x + 1, y: 9, width: 5, height: 4, class: "fill tone-ok dim" });
    case "failed": return h("path", { d: `M${x + 0.5} 4.5l6 7M${x + 6.5} 4.5l-6 7`, class: "stroke tone-bad" });
    case "crashed": return h("path", { d: `M${x + 3.5} 2l3.5 11h-7z`, class: "fill tone-bad" });
    case "timed_out": return h("path", { d: `M${x + 0.5} 3h6l-6 10h6z`, class: "fill tone-bad" });
    case "lost": return h("path", { d: `M${x + 3.5} 3l3 5-3 5-3-5z`, class: "line tone-bad" });
    case "retry": return h("path", { d: `M${x + 0.5} 10l3-5 3 5`, class: "stroke tone-warn" });
    case "snoozed": return h("circle", { cx: x + 3.5, cy: 10, r: 2.5, class: "line tone-idle" });
    default: return h("path", { d: `M${x + 1} 10h5`, class: "stroke tone-idle" });
  }
}

/** The last outcomes, oldest first, right-aligned in `places`. */
export function strip(recent, places = 20) {
  const shown = recent.slice(-places);
  // Of the first rows all are empty, and a drawing costs more than an element.
  if (shown.length === 0) return h("span.strip", { role: "img", "aria-label": stripWords(shown) });
  const left = (places - shown.length) * CELL;
  return h(
    "svg.strip",
    { viewBox: `0 0 ${places * CELL} ${HEIGHT}`, width: places * CELL, height: HEIGHT, role: "img", "aria-label": stripWords(shown) },
    shown.map((attempt, index) => cell(attempt.outcome, left + index * CELL)));
}

function stripWords(recent) {
  if (recent.length === 0) return "no attempt yet";
  const counts = new Map();
  for (const { outcome } of recent) counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
  const parts = [...counts].map(([outcome, count]) => `${count} ${outcomeOf(outcome).word}`);
  return `last ${counted(recent.length, "attempt")}: ${parts.join(", ")}`;
}

/** For the legend. */
export function outcomeCell(outcome) {
  return h("svg.strip", { viewBox: `0 0 ${CELL} ${HEIGHT}`, width: CELL, height: HEIGHT, "aria-hidden": "true" }, cell(outcome, 0));
}
export const OUTCOME_NAMES = Object.keys(OUTCOMES);

/**
 * Lengths in microseconds (null: a hole), oldest first, as a line from zero to the longest,
 * right-aligned as the strip is.
 */
export function spark(values, name, width = 80, height = 18, places = 20) {
  const known = values.filter((value) => value !== null && value !== undefined);
  if (known.length === 0) return h("i.spark", { style: { width: `${width}px`, height: `${height}px` }, "aria-hidden": "true" });
  const top = Math.max(...known, 1);
  const step = (width - 4) / (places - 1);
  const left = 2 + (places - values.length) * step;
  const y = (value) => height - 2 - (value / top) * (height - 4);
  let path = "";
  let pen = false;
  values.forEach((value, index) => {
    if (value === null || value === undefined) { pen = false; return; }
    path += `${pen ? "L" : "M"}${(left + index * step).toFixed(1)} ${y(value).toFixed(1)}`;
    pen = true;
  });
  const last = values.length - 1;
  const end = values[last];
  return h(
    "svg.spark",
    {
      viewBox: `0 0 ${width} ${height}`, width, height, role: "img",
      "aria-label": `${name}: last ${span(known[known.length - 1])}, longest ${span(Math.max(...known))}`,
    },
    h("path", { d: path, class: "stroke" }),
    end !== null && end !== undefined && h("circle", { cx: left + last * step, cy: y(end), r: 1.8, class: "fill" }));
}
