// Pieces that several pages show.

import { h } from "./dom.js";
import { instant, when, exact, relative, span } from "./time.js";
import { standing, stateOf, short, REASONS, TRIGGERS, grouped } from "./words.js";
import { toneMark } from "./marks.js";

export const jobLink = (job) => h("a", { href: `#/jobs/${encodeURIComponent(job)}` }, job);
export const runLink = (run) => h("a.num", { href: `#/runs/${run}` }, String(run));

/** An instant, with how long ago on the title. */
export function time(text) {
  const ms = instant(text);
  return h("time.num", { datetime: text ?? false, title: ms === null ? false : `${exact(ms)}, ${relative(ms)}` }, when(ms));
}

/** A word with its mark. */
export function badge(tone, word) { return h("span.badge", { class: `tone-${tone}` }, toneMark(tone, ""), word); }

export function runBadge(run) {
  const { word, tone } = standing(run);
  return badge(tone, word);
}

/** Pairs as a list of definitions; null values are left out. */
export function facts(pairs) {
  return h("dl.facts", pairs.filter(([, value]) => value !== null && value !== undefined && value !== "" && value !== false).map(([name, value]) =>
    h("div", { key: name }, h("dt", name), h("dd", value))));
}

export function section(title, options, ...children) {
  const { id, aside, key, wide } = options;
  return h("section.panel", { key: key ?? title, id: id ?? false, class: wide ? "wide" : "", "aria-label": title },
    h("div.head", h("h2", title), aside && h("div.aside", aside)), children);
}

/** `columns`: text, or { text, class }; `rows`: nodes (tr). Scrolls sideways rather than the page. */
export function table(name, columns, rows, empty) {
  if (rows.length === 0) return h("p.empty", empty);
  return h("div.scroll", { tabindex: 0, role: "region", "aria-label": `${name}, the rows` },
    h("table", h("thead", h("tr", columns.map((column) =>
      h("th", { scope: "col", class: column.class ?? "" }, column.text ?? column)))), h("tbody", rows)));
}

/** One run of a list. `withJob` false: the list is of one job. */
export function runRow(run, withJob) {
  return h("tr", { key: `run ${run.id}` },
    h("td", runLink(run.id)),
    withJob && h("td", jobLink(run.job)),
    h("td", runBadge(run)),
    h("td", time(run.fire_time)),
    h("td.num", span(run.duration_us)),
    h("td.num", span(run.lateness_us)),
    h("td.num", run.attempt > 1 ? `${run.attempt} of ${run.max_attempts}` : String(run.attempt)),
    h("td", TRIGGERS[run.trigger] ?? run.trigger),
    h("td.why", { title: run.reason || false }, short(run.reason, 160)));
}

export function runColumns(withJob) {
  return ["Run", ...(withJob ? ["Job"] : []), "Ended", "Fire time", { text: "Took", class: "num" }, { text: "Late", class: "num" },
    { text: "Attempt", class: "num" }, "Trigger", "Why"];
}

/** A stretch of fires that did not run, as a row of the same list. */
export function rangeRow(range, withJob) {
  return h("tr.range", { key: `range ${range.job} ${range.reason} ${range.first}` },
    h("td"), withJob && h("td", jobLink(range.job)),
    h("td", { colspan: 6 }, badge(stateOf(range.state).tone, `${grouped(range.count)} ${range.state}`), ": ", REASONS[range.reason] ?? range.reason),
    h("td", time(range.first), range.count > 1 && [" … ", time(range.last)]));
}

/** Runs and ranges by time, the newest first. */
export function ledgerRows({ runs, ranges }, withJob) {
  const rows = [
    ...runs.map((run) => ({ at: instant(run.created_at), node: runRow(run, withJob) })),
    ...ranges.map((range) => ({ at: instant(range.last), node: rangeRow(range, withJob) })),
  ];
  return rows.sort((a, b) => b.at - a.at).map((row) => row.node);
}

export function auditRows(entries, withJob) {
  return entries.map((entry, index) =>
    h("tr", { key: `${entry.at} ${index}` }, h("td", time(entry.at)), h("td", entry.actor), h("td", entry.via), h("td", entry.action),
      withJob && h("td", entry.job ? jobLink(entry.job) : "–"), h("td.why", entry.detail), h("td.why", entry.reason)));
}
export function auditColumns(withJob) { return ["When", "Who", "By", "What", ...(withJob ? ["Job"] : []), "Detail", "Why"]; }

/** What could not be had, and why. */
export function failure(error) {
  return h("p.problem", { role: "alert" }, error.message, error.hint && h("span.hint", ` ${error.hint}`));
}

/** The most that one answer has. */
export const MOST = 1_000;

/** A list as it is now, newest first. What lies below the most that one answer has stays as it was shown. */
export function joined(shown, fresh, limit) {
  const last = fresh.runs.at(-1);
  if (limit < MOST || !shown || !last || shown.runs.length <= fresh.runs.length) return fresh;
  const isNew = (range) => !fresh.ranges.some((other) => other.job === range.job && other.first === range.first);
  return {
    ...fresh, runs: [...fresh.runs, ...shown.runs.filter((run) => run.id < last.id)], next_before: shown.next_before,
    ranges: fresh.ranges && [...fresh.ranges, ...shown.ranges.filter(isNew)],
  };
}
