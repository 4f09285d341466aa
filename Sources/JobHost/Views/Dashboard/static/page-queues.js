// What waits, how fast it is done, and what died.

import { h } from "./dom.js";
import { quietly, get, query } from "./api.js";
import { state, reader } from "./live.js";
import { ask, askMany } from "./actions.js";
import { instant, now, age } from "./time.js";
import { short } from "./words.js";
import { section, table, jobLink, runLink, runBadge, time, failure } from "./parts.js";

const PAGE = 100;

export class QueuesPage {
  constructor(context, parameters) {
    this.context = context;
    this.job = parameters.get("job") ?? "";
    this.counters = null;
    this.dead = null;
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
    try {
      const [counters, dead] = await Promise.all([quietly("/counters"), this.older ? null : quietly("/dead" + query({ job: this.job, limit: PAGE }))]);
      this.counters = counters.jobs;
      if (dead) this.dead = dead;
      const there = new Set(this.dead.runs.map((run) => run.id));
      for (const run of this.chosen) if (!there.has(run)) this.chosen.delete(run);
      this.error = null;
    } catch (error) {
      if (error.status > 0) this.error = error;
    }
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
      return h("tr", { key: job.job }, h("td", jobLink(job.job)), h("td.num", job.waiting.toLocaleString("en")),
        this.drains(job, isStuck), h("td.num", { class: isStuck ? "tone-bad" : "" }, oldest === null ? "–" : age(now() - oldest)),
        h("td.num", job.ended_last_minute.toLocaleString("en")), h("td.num", job.running.toLocaleString("en")),
        h("td.num", job.dead > 0 ? h("button.plain.tone-bad", { type: "button", onclick: () => this.choose(job.job) }, job.dead.toLocaleString("en")) : "0"));
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
    if (job.waiting === 0) return h("td.num", "–");
    if (job.ended_last_minute > 0) return h("td.num", `about ${age((job.waiting / job.ended_last_minute) * 60_000)}`);
    return h("td.num", { class: isStuck ? "tone-bad" : "" }, isStuck ? "stands still" : "–");
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
    this.older = false;
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
        h("button", { type: "button", onclick: () => askMany("discard", [run.id]) }, "Discard")))));
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
      aside: h("div.press", this.job && h("button.plain", { type: "button", onclick: () => this.choose("") }, "Of all jobs"), many("retry", "Retry", "first"), many("discard", "Discard", "")),
    },
    table("Dead letters", [{ text: check }, "Run", "Job", "Ended", "When", { text: "Attempt", class: "num" }, "Why", "Payload", { text: h("span.unseen", "What to do") }], rows, "None: nothing was given up."),
    this.dead.next_before !== null && h("button.plain", { type: "button", onclick: () => this.more() }, "Older"));
  }

  async more() {
    this.older = true;
    try {
      const page = await get("/dead" + query({ job: this.job, limit: PAGE, before: this.dead.next_before }));
      this.dead = { ...page, runs: [...this.dead.runs, ...page.runs] };
    } catch (error) { this.error = error; }
    this.context.draw();
  }
}
