// Runs of all jobs: "which job failed last night?".

import { h } from "./dom.js";
import { get, query } from "./api.js";
import { state } from "./live.js";
import { now, parseTime, zoneName } from "./time.js";
import { section, table, ledgerRows, runColumns, failure, joined, MOST } from "./parts.js";

const PAGE = 100;
const ENDED = { "": {}, bad: { outcome: "failed,timed_out,crashed,lost,retry" }, dead: { state: "discarded" },
  none: { state: "skipped,missed" }, good: { outcome: "succeeded,nothing_to_do" }, live: { state: "scheduled,available,running,retryable" } };
const CHOICES = [["", "However they ended"], ["bad", "Failed"], ["dead", "Dead letters"], ["none", "Did not run"], ["good", "Succeeded"], ["live", "Not ended"]];
const TIMES = [["1", "1 h"], ["12", "12 h"], ["24", "24 h"], ["168", "7 d"], ["", "All"]];

export class RunsPage {
  constructor(context, parameters) {
    this.context = context;
    this.job = parameters.get("job") ?? "";
    this.ended = parameters.get("ended") ?? "bad";
    this.hours = parameters.get("hours") ?? "12";
    this.from = parameters.get("from") ?? "";
    this.to = parameters.get("to") ?? "";
    this.page = null;
    /** As many as are shown. */
    this.limit = PAGE;
    this.error = null;
    this.isClosed = false;
    this.load();
  }

  get title() { return "Runs"; }
  close() { this.isClosed = true; }
  changed(change) { if (change.all) this.load(); }

  filter() {
    const from = this.from ? parseTime(this.from) : this.hours ? now() - Number(this.hours) * 3_600_000 : null;
    const to = this.to ? parseTime(this.to) : null;
    const text = (ms) => (ms === null ? null : new Date(ms).toISOString());
    return { job: this.job.trim(), from: text(from), to: text(to), limit: this.limit, ...ENDED[this.ended] };
  }

  choose(changes) {
    Object.assign(this, changes);
    this.limit = PAGE;
    // So that the address can be handed on.
    history.replaceState(null, "", "#/runs" + query({ job: this.job, ended: this.ended || "", hours: this.hours, from: this.from, to: this.to }));
    this.load();
  }

  async load() {
    const mine = (this.asked = (this.asked ?? 0) + 1);
    try {
      const page = await get("/runs" + query(this.filter()));
      if (mine !== this.asked) return;
      this.page = joined(this.page, page, this.limit);
      this.error = null;
    } catch (error) {
      if (mine !== this.asked) return;
      this.error = error;
    }
    if (!this.isClosed) this.context.draw();
  }

  async more() {
    // An answer that is on its way holds less than will be shown.
    const mine = (this.asked += 1);
    const before = this.page;
    const page = await get("/runs" + query({ ...this.filter(), limit: PAGE, before: before.next_before })).catch((error) => { this.error = error; });
    if (mine !== this.asked) return;
    if (page) {
      this.page = { runs: [...before.runs, ...page.runs], ranges: [...before.ranges, ...page.ranges], next_before: page.next_before };
      // What is shown is kept as it is now: all of it is asked for again.
      this.limit = Math.min(this.page.runs.length, MOST);
    }
    if (!this.isClosed) this.context.draw();
  }

  view() {
    return [
      h("header.title", { key: "title" }, h("h1", "Runs")),
      h("form.tools", { key: "tools", onsubmit: (event) => event.preventDefault() },
        h("label", "Job", h("input.search", {
          id: "search", list: "job-names", value: this.job, placeholder: "any", autocomplete: "off", spellcheck: "false",
          onchange: (event) => this.choose({ job: event.target.value }),
        }), h("datalist", { id: "job-names" }, [...state.jobs.keys()].map((name) => h("option", { key: name, value: name })))),
        h("label", "Ended", h("select", { value: this.ended, onchange: (event) => this.choose({ ended: event.target.value }) },
          CHOICES.map(([value, label]) => h("option", { key: value, value }, label)))),
        h("div.chips", { role: "group", "aria-label": "Due within" }, TIMES.map(([value, label]) => h("button.chip", {
          key: value, type: "button", "aria-pressed": !this.from && this.hours === value ? "true" : "false",
          onclick: () => this.choose({ hours: value, from: "", to: "" }),
        }, label))),
        h("label", `From (${zoneName()})`, h("input.when", { type: "text", value: this.from, placeholder: "22:00, 2h ago …", autocomplete: "off", onchange: (event) => this.choose({ from: event.target.value }) })),
        h("label", "To", h("input.when", { type: "text", value: this.to, placeholder: "now", autocomplete: "off", onchange: (event) => this.choose({ to: event.target.value }) }))),
      this.error && failure(this.error),
      section("Runs, the newest first", { key: "runs" },
        this.page ? table("Runs", runColumns(true), ledgerRows(this.page, true), "None.") : h("p.empty", "…"),
        this.page?.next_before != null && h("button.plain", { type: "button", onclick: () => this.more() }, "Older")),
    ];
  }
}
