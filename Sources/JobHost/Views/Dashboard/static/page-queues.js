// What waits, how fast it is done, and what died.

import { h } from "./dom.js";
import { quietly, get, query } from "./api.js";
import { state, reader, each } from "./live.js";
import { ask, askMany } from "./actions.js";
import { instant, now, age } from "./time.js";
import { short, grouped } from "./words.js";
import { section, table, jobLink, runLink, runBadge, time, failure, joined, MOST } from "./parts.js";

const PAGE = 100;

export class QueuesPage {
  constructor(context, parameters) {
    this.context = context;
    this.job = parameters.get("job") ?? "";
    this.counters = null;
    this.dead = null;
    /** As many as are shown. */
    this.limit = PAGE;
    this.chosen = new Set();
    this.showsAll = false;
    this.error = null;
    this.isClosed = false;
    this.load = reader(this, () => this.read());
    this.load();
  }

  get title() { return "Queues"; }
  close() { this.isClosed = true; }
  changed() { this.load(); }
  get needsTicks() { return true; }

  async read() {
    const { job, limit } = this;
    const { answers, errors } = await each({ counters: quietly("/counters"), dead: quietly("/dead" + query({ job, limit })) }, (name) => this[name] !== null);
    this.error = errors.counters ?? errors.dead ?? null;
    if (answers.counters) this.counters = answers.counters.jobs;
    // Others may have been chosen, or more asked for, meanwhile.
    if (!answers.dead || job !== this.job || limit !== this.limit) return;
    this.dead = joined(this.dead, answers.dead, limit);
    // What was retried meanwhile is not offered again.
    const there = new Set(this.dead.runs.map((run) => run.id));
    for (const run of this.chosen) if (!there.has(run)) this.chosen.delete(run);
  }

  view() {
    return [h("header.title", { key: "title" }, h("h1", "Queues and dead letters")), this.error && failure(this.error), this.waiting(), this.letters()];
  }

  waiting() {
    if (!this.counters) return h("p.empty", "…");
    const isQueue = (job) => job.waiting > 0 || job.dead > 0 || state.jobs.get(job.job)?.schedule.startsWith("enqueued");
    const queues = this.counters.filter((job) => isQueue(job) || (this.showsAll && (job.running > 0 || job.ended_last_minute > 0)))
      .sort((a, b) => b.waiting - a.waiting || b.dead - a.dead || a.job.localeCompare(b.job));
    const rows = queues.map((job) => {
      const oldest = instant(job.oldest_waiting);
      const isStuck = oldest !== null && now() - oldest > 60_000 && job.ended_last_minute === 0;
      return h("tr", { key: job.job }, h("td", jobLink(job.job)), h("td.num", grouped(job.waiting)),
        this.drains(job, isStuck), h("td.num", { class: isStuck ? "tone-bad" : "" }, oldest === null ? "–" : age(now() - oldest)),
        h("td.num", grouped(job.ended_last_minute)), h("td.num", grouped(job.running)),
        h("td.num", job.dead > 0 ? h("button.plain.tone-bad", { type: "button", onclick: () => this.choose(job.job) }, grouped(job.dead)) : "0"));
    });
    const right = (text) => ({ text, class: "num" });
    return section("Queues", {
      key: "queues", aside: h("label.inline", h("input", { type: "checkbox", checked: this.showsAll, onchange: (event) => { this.showsAll = event.target.checked; this.context.draw(); } }), "All jobs that ran lately"),
    }, table("Queues", ["Job", right("Waiting"), right("Empty in"), right("Oldest waits"), right("Done last minute"), right("Running"), right("Dead letters")],
      rows, "Nothing waits and nothing died."));
  }

  /** What holds it back comes first: what was done before that says nothing of what is to come. */
  drains(job, isStuck) {
    const held = this.held(job);
    if (held) return h("td.num.tone-bad", held);
    // What is to run later waits for its time, not for its turn.
    if (job.due === 0) return h("td.num", "–");
    if (isStuck) return h("td.num.tone-bad", "stands still");
    const shrinks = job.shrinks_per_minute;
    if (shrinks > 0) return h("td.num", `about ${age((job.due / shrinks) * 60_000)}`);
    if (shrinks < 0) return h("td.num.tone-warn", "grows");
    return shrinks === 0 && job.ended_last_minute > 0 ? h("td.num.tone-warn", "stays as long") : h("td.num", "–");
  }

  /** Why what waits is not begun; null: it is, or nothing waits. */
  held(job) {
    const line = state.jobs.get(job.job);
    if (!line || job.waiting === 0) return null;
    if (line.refused) return "refused";
    if (!line.enabled) return "off";
    if (line.control.paused || state.host?.control.paused) return "paused";
    return ["open", "forced_open"].includes(line.breaker.state) ? "breaker open" : null;
  }

  choose(job) {
    this.job = job;
    this.limit = PAGE;
    this.chosen.clear();
    history.replaceState(null, "", "#/queues" + query({ job }));
    this.load();
  }

  letters() {
    if (!this.dead) return null;
    const { runs } = this.dead;
    const all = runs.length > 0 && runs.every((run) => this.chosen.has(run.id));
    const rows = runs.map((run) => h("tr", { key: run.id, "aria-selected": this.chosen.has(run.id) ? "true" : "false" },
      h("td", h("input", {
        type: "checkbox", checked: this.chosen.has(run.id), "aria-label": `Choose run ${run.id}`,
        onchange: (event) => { if (event.target.checked) this.chosen.add(run.id); else this.chosen.delete(run.id); this.context.draw(); },
      })),
      h("td", runLink(run.id)), h("td", jobLink(run.job)), h("td", runBadge(run)), h("td", time(run.finished_at)), h("td.num", `${run.attempt} of ${run.max_attempts}`),
      h("td.why", { title: run.reason || false }, short(run.reason, 160)),
      h("td.why", run.payload === null ? "" : h("code", short(JSON.stringify(run.payload), 80))),
      h("td", h("div.press.tight", h("button", { type: "button", onclick: () => ask("retry", { run: run.id, job: run.job }) }, "Retry"),
        h("button", { type: "button", onclick: () => askMany("dismiss", [run.id]) }, "Dismiss")))));
    const check = h("input", {
      type: "checkbox", checked: all, indeterminate: !all && this.chosen.size > 0, "aria-label": "Choose all of the list",
      onchange: (event) => { this.chosen = new Set(event.target.checked ? runs.map((run) => run.id) : []); this.context.draw(); },
    });
    const many = (what, label, look) => h("button", {
      key: what, type: "button", class: look, disabled: this.chosen.size === 0,
      onclick: async () => { if ((await askMany(what, [...this.chosen].sort((a, b) => a - b))) !== null) { this.chosen.clear(); this.load(); } },
    }, `${label}${this.chosen.size > 0 ? ` ${this.chosen.size}` : ""}`);
    return section(this.job ? `Dead letters of ${this.job}` : "Dead letters", {
      key: "dead",
      aside: h("div.press", this.job && h("button.plain", { type: "button", onclick: () => this.choose("") }, "Of all jobs"), many("retry", "Retry", "first"), many("dismiss", "Dismiss", "")),
    },
    table("Dead letters", [{ text: check }, "Run", "Job", "Ended", "When", { text: "Attempt", class: "num" }, "Why", "Payload", { text: h("span.unseen", "What to do") }], rows, "None: nothing was given up."),
    this.dead.next_before !== null && h("button.plain", { type: "button", onclick: () => this.more() }, "Older"));
  }

  async more() {
    const { job, dead } = this;
    try {
      const page = await get("/dead" + query({ job, limit: PAGE, before: dead.next_before }));
      if (job !== this.job) return;
      this.dead = { ...page, runs: [...dead.runs, ...page.runs] };
      // What is shown is kept as it is now: all of it is asked for again.
      this.limit = Math.min(this.dead.runs.length, MOST);
      this.load();
    } catch (error) { this.error = error; }
    if (!this.isClosed) this.context.draw();
  }
}
