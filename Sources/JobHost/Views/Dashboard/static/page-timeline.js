// Who ran when: a lane for each job, over the last hours. What fails, what did not run and what
// ran at once is drawn differently from what went well.

import { h } from "./dom.js";
import { quietly, query } from "./api.js";
import { state } from "./live.js";
import { instant, now, clock, shortClock, when, span, age, zoneName, usesLocalZone } from "./time.js";
import { outcomeOf, counted, REASONS } from "./words.js";
import { failure, runLink } from "./parts.js";

const WINDOWS = [["0.1", "6 m"], ["0.25", "15 m"], ["1", "1 h"], ["6", "6 h"], ["24", "24 h"], ["today", "Today"]];
/** Steps across the width, and how wide one is drawn at the least (in the drawing's units). */
const STEPS = 480;
const WIDTH = 1000;
const LANE = 20;
const LANES = 200;
/** With how many of the bars that follow it one is compared. */
const NEIGHBOURS = 8;

export class TimelinePage {
  constructor(context, parameters) {
    this.context = context;
    this.window = parameters.get("window") ?? "1";
    this.search = "";
    this.onlyTrouble = false;
    this.data = null;
    this.error = null;
    this.pointed = null;
    /** What the keys have reached: { job, key } of one of its stops. */
    this.reached = null;
    this.isClosed = false;
    this.asked = 0;
    this.load();
  }

  get title() { return "Timeline"; }
  close() { this.isClosed = true; clearTimeout(this.timer); }
  changed() {
    // A whole look at the ledger: not with every run.
    if (this.timer) return;
    this.timer = setTimeout(() => { this.timer = null; this.load(); }, 5_000);
  }

  limits() {
    const end = now();
    if (this.window !== "today") return [end - Number(this.window) * 3_600_000, end];
    const midnight = new Date(end);
    if (usesLocalZone()) midnight.setHours(0, 0, 0, 0);
    else midnight.setUTCHours(0, 0, 0, 0);
    return [midnight.getTime(), Math.max(end, midnight.getTime() + 60_000)];
  }

  async load() {
    const mine = (this.asked += 1);
    const [from, to] = this.limits();
    const step = Math.max(1, Math.ceil((to - from) / STEPS));
    try {
      const data = await quietly("/timeline" + query({ from: new Date(from).toISOString(), to: new Date(to).toISOString(), step_ms: step }));
      if (mine !== this.asked) return;
      this.data = { ...data, start: from, end: to };
      this.lanes = lanes(data);
      this.error = null;
    } catch (error) {
      if (mine !== this.asked) return;
      this.error = error;
    }
    if (!this.isClosed) this.context.draw();
  }

  view() {
    const known = new Set((this.lanes ?? []).map((lane) => lane.job));
    const begun = [...state.jobs.values()].filter((job) => !known.has(job.name) && job.running.some((run) => run.started_at));
    const all = [...(this.lanes ?? []), ...begun.map((job) => ({ job: job.name, spans: [], ranges: [], runs: 0, bad: 0 }))];
    const shown = all.filter((lane) => lane.job.includes(this.search.toLowerCase()) && (!this.onlyTrouble || lane.bad > 0 || lane.ranges.length > 0));
    return [
      h("header.title", { key: "title" }, h("h1", "Timeline")),
      h("div.tools", { key: "tools" },
        h("input.search", { type: "search", id: "search", value: this.search, placeholder: "Find a job  ( / )", "aria-label": "Find a job", oninput: (event) => { this.search = event.target.value; this.context.draw(); } }),
        h("div.chips", { role: "group", "aria-label": "How long" }, WINDOWS.map(([value, label]) => h("button.chip", {
          key: value, type: "button", "aria-pressed": this.window === value ? "true" : "false",
          onclick: () => { this.window = value; history.replaceState(null, "", `#/timeline?window=${value}`); this.load(); },
        }, label))),
        h("label.inline", h("input", { type: "checkbox", checked: this.onlyTrouble, onchange: (event) => { this.onlyTrouble = event.target.checked; this.context.draw(); } }), "Only with trouble"),
        h("span.legend", legend("ok", "ran"), legend("bad", "failed"), legend("warn", "retry"), legend("busy", "running"), legend("none", "did not run"), legend("thick", "several at once"))),
      this.error && failure(this.error),
      this.data && h("section.panel.timeline", { key: "lanes", "aria-label": `Runs from ${when(this.data.start)} to ${when(this.data.end)} ${zoneName()}` },
        // Read out as the keys go from bar to bar, not wherever the mouse passes.
        h("p.pointed", { "aria-live": this.reached ? "polite" : "off" }, this.pointed ?? (this.data.truncated ? "There is more than can be drawn: choose less time." : `${counted(shown.length, "job")} with something to show. Point at a bar, or reach it by Tab and ← →.`)),
        this.axis(), shown.slice(0, LANES).map((lane) => this.lane(lane)),
        shown.length === 0 && h("p.empty", "Nothing ran."),
        shown.length > LANES && h("p.hint", `${shown.length - LANES} more: search, or look at those with trouble.`)),
    ];
  }

  x(ms) { return ((ms - this.data.start) / (this.data.end - this.data.start)) * WIDTH; }

  axis() {
    const length = this.data.end - this.data.start;
    const pace = [60_000, 300_000, 900_000, 3_600_000, 7_200_000, 10_800_000].find((step) => length / step <= (innerWidth < 760 ? 5 : 13)) ?? 14_400_000;
    const marks = [];
    const shift = usesLocalZone() ? new Date(this.data.start).getTimezoneOffset() * 60_000 : 0;
    for (let at = Math.ceil((this.data.start - shift) / pace) * pace + shift; at < this.data.end; at += pace) marks.push(at);
    return h("div.lane.axis", { key: "axis", "aria-hidden": "true" }, h("span.name"), h("div.track",
      marks.map((at) => h("span.tick.num", { key: at, style: { left: `${(this.x(at) / WIDTH) * 100}%` } }, shortClock(at)))));
  }

  lane(lane) {
    return h("div.lane", { key: lane.job },
      h("a.name", { href: `#/jobs/${encodeURIComponent(lane.job)}`, title: lane.job }, lane.job),
      h("svg.track", {
        viewBox: `0 0 ${WIDTH} ${LANE}`, preserveAspectRatio: "none", role: "button", tabindex: 0,
        "aria-label": laneWords(lane),
        onpointermove: (event) => this.point(lane, event), onclick: (event) => this.open(lane, event),
        onpointerleave: () => { this.leave(); }, onkeydown: (event) => this.step(lane, event), onblur: () => { this.leave(); },
      },
      h("path", { d: `M0 ${LANE - 1}H${WIDTH}`, class: "base" }),
      lane.ranges.map((range) => h("rect", { key: `${range.first}${range.reason}`, class: "range", ...this.extent(instant(range.first), instant(range.last), 2), y: 13, height: 5 })),
      ["ok", "idle", "warn", "bad"].map((tone) => {
        const d = lane.spans.filter((entry) => outcomeOf(entry.outcome).tone === tone).map((entry) => this.bar(entry, tone)).join("");
        return d && h("path", { key: tone, d, class: `fill tone-${tone}` });
      }),
      underWay(lane).map((run) => h("rect", { key: run.run, class: "line tone-busy", ...this.extent(instant(run.started_at), now(), 3), y: 4, height: 13 })),
      [this.reachedOf(lane)].filter(Boolean).map((stop) => h("rect", { key: "reached", class: "reached", ...this.extent(stop.first, stop.last, 6), y: 0.5, height: LANE - 1 }))));
  }

  /** What the keys go through, in the order of time: bars, runs under way, and what did not run. */
  stops(lane) {
    return [
      ...lane.spans.map((entry) => ({ key: `run ${entry.run}`, first: instant(entry.first), last: instant(entry.last), run: entry.run, entry })),
      ...underWay(lane).map((running) => ({ key: `run ${running.run}`, first: instant(running.started_at), last: now(), run: running.run, running })),
      ...lane.ranges.map((range) => ({ key: `${range.reason} ${range.first}`, first: instant(range.first), last: instant(range.last), range })),
    ].sort((a, b) => a.first - b.first);
  }

  reachedOf(lane) { return this.reached?.job === lane.job ? this.stops(lane).find((stop) => stop.key === this.reached.key) : undefined; }

  leave() {
    this.pointed = null;
    this.reached = null;
    this.context.draw();
  }

  /** From bar to bar, in the order of time. */
  step(lane, event) {
    const stops = this.stops(lane);
    const at = stops.findIndex((stop) => this.reached?.job === lane.job && stop.key === this.reached.key);
    if (event.key === "Enter" && stops[at]?.run) location.hash = `#/runs/${stops[at].run}`;
    else {
      const next = { ArrowRight: at + 1, ArrowLeft: at < 0 ? stops.length - 1 : at - 1, Home: 0, End: stops.length - 1 }[event.key];
      if (next === undefined) return;
      const stop = stops[Math.max(0, Math.min(stops.length - 1, next))];
      if (stop) {
        this.reached = { job: lane.job, key: stop.key };
        this.pointed = this.words(lane, stop.first, stop);
        this.context.draw();
      }
    }
    event.preventDefault();
  }

  extent(first, last, least) {
    const x = Math.max(0, this.x(first));
    const width = Math.max(least, Math.min(WIDTH, this.x(last)) - x);
    return { x: x.toFixed(1), width: width.toFixed(1) };
  }

  /** Failures stand taller; what overlapped itself begins higher. */
  bar(entry, tone) {
    const { x, width } = this.extent(instant(entry.first), instant(entry.last), 2);
    const top = tone === "bad" ? 1 : entry.isSeveral ? 4 : 8;
    return `M${x} ${top}h${width}V18h-${width}z`;
  }

  at(lane, event) {
    const box = event.currentTarget.getBoundingClientRect();
    const ms = this.data.start + ((event.clientX - box.left) / box.width) * (this.data.end - this.data.start);
    const slack = ((this.data.end - this.data.start) / box.width) * 4;
    const near = (first, last) => instant(first) - slack <= ms && ms <= instant(last) + slack;
    const spans = lane.spans.filter((entry) => near(entry.first, entry.last));
    spans.sort((a, b) => (outcomeOf(b.outcome).tone === "bad") - (outcomeOf(a.outcome).tone === "bad") || Math.abs(instant(a.first) - ms) - Math.abs(instant(b.first) - ms));
    const running = underWay(lane).find((run) => instant(run.started_at) - slack <= ms && ms <= now() + slack);
    return { ms, entry: spans[0], running, range: lane.ranges.find((range) => near(range.first, range.last)) };
  }

  point(lane, event) {
    const { ms, ...what } = this.at(lane, event);
    this.reached = null;
    this.pointed = this.words(lane, ms, what);
    this.context.draw();
  }

  words(lane, ms, { entry, running, range }) {
    const parts = [h("b", lane.job), ` ${clock(ms)}: `];
    if (entry) {
      const until = instant(entry.last) - instant(entry.first) > 1000 ? ` … ${clock(instant(entry.last))}` : "";
      parts.push(`${entry.runs} ${outcomeOf(entry.outcome).word}, ${clock(instant(entry.first))}${until}, took ${span(Math.round(entry.busy_us / entry.runs))}${entry.runs > 1 ? " each" : ""}; run `, runLink(entry.run));
    }
    if (running) parts.push(`${entry ? "; " : ""}running since ${clock(instant(running.started_at))}, for ${age(now() - instant(running.started_at))}; run `, runLink(running.run));
    if (range) parts.push(`${entry || running ? "; " : ""}${range.count} ${range.state}: ${REASONS[range.reason] ?? range.reason}`);
    if (!entry && !running && !range) parts.push("nothing ran");
    return parts;
  }

  open(lane, event) {
    const { entry, running } = this.at(lane, event);
    const run = entry?.run ?? running?.run;
    if (run) location.hash = `#/runs/${run}`;
  }
}

function underWay(lane) { return (state.jobs.get(lane.job)?.running ?? []).filter((run) => run.started_at); }

/**
 * Marks those of a job's bars of which some ran at once: they took together longer than the time that they took place in.
 * Runs that began in different steps, or ended differently, are in different bars, so each is looked at with those that
 * begin before it ends too.
 */
function markSeveral(spans) {
  const isMore = (busy, first, last) => busy > (last - first) * 1000 * 1.05 + 1000;
  const bars = spans.map((entry) => ({ entry, first: instant(entry.first), last: instant(entry.last) })).sort((a, b) => a.first - b.first);
  bars.forEach((bar, index) => {
    bar.entry.isSeveral ||= isMore(bar.entry.busy_us, bar.first, bar.last);
    for (const other of bars.slice(index + 1, index + 1 + NEIGHBOURS)) {
      if (other.first >= bar.last) break;
      if (isMore(bar.entry.busy_us + other.entry.busy_us, bar.first, Math.max(bar.last, other.last))) bar.entry.isSeveral = other.entry.isSeveral = true;
    }
  });
}

function legend(kind, word) { return h("span.key", { key: kind }, h("i", { class: `key-${kind}` }), word); }

/** Jobs with trouble first, then by name. */
function lanes(data) {
  const lanes = new Map();
  const lane = (job) => {
    if (!lanes.has(job)) lanes.set(job, { job, spans: [], ranges: [], runs: 0, bad: 0 });
    return lanes.get(job);
  };
  for (const entry of data.spans) {
    const mine = lane(entry.job);
    mine.spans.push(entry);
    mine.runs += entry.runs;
    if (outcomeOf(entry.outcome).tone === "bad") mine.bad += entry.runs;
  }
  for (const range of data.ranges) lane(range.job).ranges.push(range);
  for (const mine of lanes.values()) markSeveral(mine.spans);
  return [...lanes.values()].sort((a, b) => (b.bad > 0) - (a.bad > 0) || a.job.localeCompare(b.job));
}

function laneWords(lane) {
  const skipped = lane.ranges.reduce((sum, range) => sum + range.count, 0);
  return `${lane.job}: ${counted(lane.runs, "run")}, ${lane.bad} failed${skipped > 0 ? `, ${skipped} did not run` : ""}`;
}
