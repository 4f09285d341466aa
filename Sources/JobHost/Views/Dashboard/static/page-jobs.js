// All jobs: what is wrong on top, then one row each. Only the rows in sight are in the document.

import { h } from "./dom.js";
import { state, wantRecent } from "./live.js";
import { problems, condition, lately, nextWords } from "./problems.js";
import { toneMark, strip, spark } from "./marks.js";
import { button } from "./actions.js";
import { instant, when, exact, age, now, span, relative } from "./time.js";
import { failure } from "./parts.js";
import { counted, breakerOf, size, outcomeOf, grouped } from "./words.js";

/** Problems shown before "… more". */
const PROBLEMS = 6;
const FILTERS = [
  ["all", "All", () => true],
  ["bad", "Failing", (job, condition) => condition.tone === "bad" || job.dead > 0],
  ["busy", "Running", (job) => job.running.length > 0],
  ["waiting", "Waiting", (job) => job.waiting > 0],
  ["paused", "Paused", (job) => job.control.paused],
  ["off", "Off", (job) => !job.enabled],
];

/** What outlives a visit of the page. */
const kept = { search: "", filter: "all", selected: null, allProblems: false };

export class JobsPage {
  constructor(context, parameters) {
    this.context = context;
    this.first = 0;
    this.last = Math.ceil(innerHeight / this.rowHeight) + 10;
    this.onscroll = () => this.look();
    if (parameters.get("q") !== null) kept.search = parameters.get("q");
    addEventListener("scroll", this.onscroll, { passive: true });
    addEventListener("resize", this.onscroll, { passive: true });
  }

  close() {
    removeEventListener("scroll", this.onscroll);
    removeEventListener("resize", this.onscroll);
  }

  get title() { return "Jobs"; }

  /** Of all jobs, once for each drawing: with a thousand of them it counts. */
  judge(jobs) { this.conditions = new Map(jobs.map((job) => [job, condition(job, state.host)])); }

  /** Jobs in the order of the table. */
  rows() {
    const test = FILTERS.find(([name]) => name === kept.filter)[2];
    const needles = kept.search.toLowerCase().split(/\s+/).filter((word) => word !== "");
    const rows = [];
    // While the rest is on its way: those of the beginning, whose places are known.
    const isBeginning = state.first !== null && needles.length === 0 && kept.filter === "all";
    for (const job of state.jobs.values()) {
      if (isBeginning && rows.length === state.first) break;
      if (needles.length > 0) {
        const text = `${job.name} ${job.plugin} ${job.entry} ${job.schedule} ${job.labels.join(" ")}`.toLowerCase();
        if (!needles.every((needle) => text.includes(needle))) continue;
      }
      if (test(job, this.conditions.get(job))) rows.push(job);
    }
    return rows;
  }

  view() {
    if (!state.host) return state.error ? failure(state.error) : h("p.empty", "…");
    const jobs = [...state.jobs.values()];
    this.judge(jobs);
    const rows = (this.shown = this.rows());
    // Of those that are not here yet none asks for attention.
    const missing = state.first === null ? 0 : state.total - jobs.length;
    const places = rows.length === state.first ? state.total : rows.length;
    return [h("h1.unseen", { key: "title" }, "Jobs"), this.problems(jobs, missing), this.tools(jobs, rows.length, missing), this.table(rows, places)];
  }

  problems(jobs, missing) {
    const found = problems(state, jobs);
    const shown = kept.allProblems ? found : found.slice(0, PROBLEMS);
    if (found.length === 0) {
      const on = jobs.filter((job) => job.enabled).length + missing;
      return h("section.problems", { key: "problems", "aria-label": "Problems" },
        h("p.fine", toneMark("ok", ""), jobs.length === 0
          ? "No jobs yet: add a table [jobs.NAME] to the config, then reload."
          : `Nothing is wrong: ${counted(on, "job")} on, none fails, nothing is paused.`));
    }
    return h("section.problems", { key: "problems", "aria-label": "Problems" },
      h("ul", shown.map((problem) =>
        h("li", { key: problem.key, class: `tone-${problem.tone}` },
          toneMark(problem.tone === "bad" ? "bad" : "attention", problem.tone === "bad" ? "problem" : "look"),
          h("div.what",
            problem.job ? h("a.name", { href: `#/jobs/${encodeURIComponent(problem.job)}` }, problem.job) : h("b.name", "host"),
            h("span.why", problem.why),
            problem.more.length > 0 && h("span.more", problem.more.join("; "))),
          h("span.since", problem.since !== null && h("time.num", { datetime: new Date(problem.since).toISOString(), title: exact(problem.since) },
            `since ${when(problem.since)}`, h("span.ago", ` (${age(now() - problem.since)})`))),
          h("div.press", problem.actions.map((entry, index) =>
            button(entry.action, { job: problem.job, ...entry }, index === 0 ? "first" : "")))))),
      found.length > PROBLEMS && h("button.plain", { type: "button", onclick: () => { kept.allProblems = !kept.allProblems; this.context.draw(); } },
        kept.allProblems ? "Fewer" : `${found.length - PROBLEMS} more`));
  }

  tools(jobs, shown, missing) {
    return h("div.tools", { key: "tools" },
      h("input.search", {
        type: "search", id: "search", placeholder: "Find a job  ( / )", "aria-label": "Find a job by name, plugin, label or schedule",
        value: kept.search, spellcheck: "false", autocomplete: "off",
        oninput: (event) => { kept.search = event.target.value; kept.selected = null; this.context.draw(); },
      }),
      h("div.chips", { role: "group", "aria-label": "Which jobs" }, FILTERS.map(([name, label, test]) => {
        const count = name === "all" ? jobs.length + missing : jobs.filter((job) => test(job, this.conditions.get(job))).length;
        if (count === 0 && name !== "all" && kept.filter !== name) return null;
        return h("button.chip", {
          key: name, type: "button", "aria-pressed": kept.filter === name ? "true" : "false",
          onclick: () => { kept.filter = name; this.context.draw(); },
        }, label, h("span.num", ` ${grouped(count)}`));
      })),
      h("span.hint", shown < jobs.length && shown !== state.first ? `${counted(shown, "job")} shown` : ""));
  }

  get rowHeight() { return matchMedia("(max-width: 760px)").matches ? 64 : 34; }

  /** `places`: rows that there are, with those on their way. */
  table(rows, places) {
    if (rows.length === 0) return h("p.empty", { key: "table" }, state.jobs.size === 0 ? "" : "No such job.");
    const height = this.rowHeight;
    const first = Math.max(0, Math.min(this.first, rows.length - 1));
    const last = Math.min(rows.length, Math.max(this.last, first + 1));
    const seen = rows.slice(first, last);
    queueMicrotask(() => wantRecent(seen.map((job) => job.name)));
    return h("table.jobs", { key: "table", "aria-rowcount": places + 1, "aria-label": "Jobs" },
      h("thead", h("tr", { "aria-rowindex": 1 },
        h("th.c-mark", { scope: "col" }, h("span.unseen", "State")), h("th.c-name", { scope: "col" }, "Job"),
        h("th.c-last", { scope: "col" }, "Lately"), h("th.c-next", { scope: "col" }, "Next"),
        h("th.c-strip", { scope: "col" }, "Last attempts"), h("th.c-took", { scope: "col" }, "Took"),
        h("th.c-late", { scope: "col" }, "Late"), h("th.c-breaker", { scope: "col" }, "Breaker"),
        h("th.c-queue", { scope: "col" }, "Queue"), h("th.c-memory", { scope: "col" }, "Memory"))),
      h("tbody",
        h("tr.space", { key: "above", "aria-hidden": "true", style: { height: `${first * height}px` } }),
        seen.map((job, index) => this.row(job, first + index)),
        h("tr.space", { key: "below", "aria-hidden": "true", style: { height: `${(places - last) * height}px` } })));
  }

  row(job, index) {
    const { tone, word } = this.conditions.get(job);
    const next = nextWords(job, state.host);
    const breaker = breakerOf(job.breaker.state);
    const quiet = ["closed", "off"].includes(job.breaker.state);
    const late = job.last && outcomeOf(job.last.outcome).tone === "bad" && job.running.length === 0 ? "tone-bad" : "";
    return h("tr", {
      key: job.name, "aria-rowindex": index + 2, "aria-selected": kept.selected === job.name ? "true" : "false",
      onclick: (event) => { if (!event.target.closest("a, button") && getSelection().isCollapsed) location.hash = `#/jobs/${encodeURIComponent(job.name)}`; },
    },
    h("td.c-mark", toneMark(tone, word)),
    h("td.c-name", h("a", { href: `#/jobs/${encodeURIComponent(job.name)}`, title: `${job.plugin} · ${job.entry}` }, job.name),
      h("span.schedule", job.schedule)),
    h("td.c-last.num", { class: late, title: job.last?.finished_at ? exact(instant(job.last.finished_at)) : false }, lately(job)),
    h("td.c-next.num", { class: next.tone ? `tone-${next.tone}` : "", title: next.at ? `${exact(next.at)}, ${relative(next.at)}` : false }, next.text),
    h("td.c-strip", strip(job.recent)),
    h("td.c-took", this.line(job, "duration_us", "took")),
    h("td.c-late", this.line(job, "lateness_us", "late")),
    h("td.c-breaker", { class: `tone-${breaker.tone}` }, quiet ? h("span.dim", job.breaker.state === "off" ? "–" : "closed") : breaker.word),
    h("td.c-queue.num", job.waiting > 0 && h("span", `${grouped(job.waiting)} waiting`),
      job.waiting > 0 && job.dead > 0 && ", ",
      job.dead > 0 && h("a.tone-bad", { href: `#/queues?job=${encodeURIComponent(job.name)}` }, `${grouped(job.dead)} dead`)),
    h("td.c-memory.num", size(job.resident_bytes)));
  }

  line(job, member, name) {
    const values = job.recent.map((attempt) => attempt[member]);
    return [spark(values, `${job.name} ${name}`, 64, 18), h("span.num", span(job.last?.[member] ?? null))];
  }

  /** Which rows are in sight, and a screenful around them. */
  look() {
    const body = document.querySelector("table.jobs tbody");
    if (!body) return;
    const height = this.rowHeight;
    const top = -body.getBoundingClientRect().top;
    const room = Math.ceil(innerHeight / height);
    const first = Math.max(0, Math.floor(top / height) - 10);
    const last = Math.ceil(top / height) + room + 10;
    // Drawn again only when what is drawn would soon run out.
    if (Math.abs(first - this.first) < 6 && Math.abs(last - this.last) < 6) return;
    this.first = first;
    this.last = Math.max(last, 20);
    this.context.draw();
  }

  drawn() {
    this.look();
    if (!this.isMoving) return;
    // Where the keys have gone: it is read out, and Tab goes on from there. Its row may be on its way.
    const link = document.querySelector("table.jobs tr[aria-selected=true] .c-name a");
    if (!link) return;
    this.isMoving = false;
    link.focus({ preventScroll: true });
  }

  key(name) {
    const rows = this.shown ?? [];
    const at = rows.findIndex((job) => job.name === kept.selected);
    if (name === "j" || name === "k") {
      const index = Math.max(0, Math.min(rows.length - 1, at < 0 ? 0 : at + (name === "j" ? 1 : -1)));
      kept.selected = rows[index]?.name ?? null;
      this.isMoving = true;
      this.reveal(index);
      this.context.draw();
      return true;
    }
    if (name === "Enter" && at >= 0) {
      location.hash = `#/jobs/${encodeURIComponent(kept.selected)}`;
      return true;
    }
    if (name === "Escape" && (kept.search || kept.selected)) {
      kept.search = "";
      kept.selected = null;
      this.context.draw();
      return true;
    }
    return false;
  }

  reveal(index) {
    const body = document.querySelector("table.jobs tbody");
    if (!body) return;
    const top = body.getBoundingClientRect().top + scrollY + index * this.rowHeight;
    if (top < scrollY + 120) scrollTo({ top: Math.max(0, top - 160) });
    else if (top + this.rowHeight > scrollY + innerHeight) scrollTo({ top: top + 2 * this.rowHeight - innerHeight });
  }
}
