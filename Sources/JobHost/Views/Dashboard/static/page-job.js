// One job: what it does now, what it did, its log, its rule, its settings, and what to press.

import { h } from "./dom.js";
import { get, quietly, path, query } from "./api.js";
import { state, wantRecent, reader, each } from "./live.js";
import { jobProblem, condition, lately, nextWords } from "./problems.js";
import { toneMark, strip, spark } from "./marks.js";
import { button, askBackfill } from "./actions.js";
import { Log } from "./log.js";
import { instant, when, exact, relative, now, parseTime, timeText, zoneName } from "./time.js";
import { breakerOf, counted, pretty, OUTCOMES, grouped } from "./words.js";
import { section, table, ledgerRows, runColumns, facts, time, runLink, auditRows, auditColumns, failure, badge, joined, MOST } from "./parts.js";

const PAGE = 25;
const HISTORIES = [["", "All"], ["bad", "Failed"], ["good", "Succeeded"], ["waiting", "Waiting, running"]];
const STATES = { waiting: { state: "scheduled,available,retryable,running" }, bad: { outcome: "failed,timed_out,crashed,lost,retry" }, good: { outcome: "succeeded,nothing_to_do" } };

export class JobPage {
  constructor(context, parameters, name, place) {
    this.context = context;
    this.name = name;
    this.job = null;
    /** Of what could not be had, by name: job, history, fires, audit. */
    this.errors = {};
    this.fires = null;
    this.audit = null;
    this.history = null;
    /** As many of them as are shown. */
    this.limit = PAGE;
    this.which = "";
    this.explained = null;
    this.explainText = timeText(now() - 60_000);
    this.log = null;
    this.isClosed = false;
    this.load = reader(this, () => this.read());
    this.load();
    if (place === "explain") this.explain();
  }

  get title() { return this.name; }

  close() {
    this.isClosed = true;
    this.log?.close();
  }

  changed(change) { if (change.all || change.jobs.has(this.name)) this.load(); }

  async read() {
    const where = path("jobs", this.name);
    const { which, limit } = this;
    // Without its store the host still knows how the job does: what fails takes nothing else along.
    const { answers, errors } = await each({
      job: quietly(where), history: quietly("/runs" + query({ job: this.name, limit, ...STATES[which] })),
      fires: quietly(where + "/next" + query({ count: 6 })), audit: quietly("/audit" + query({ job: this.name, limit: 10 })),
    }, (name) => this[name] !== null);
    if (this.isClosed) return;
    const { job, fires, audit, history } = answers;
    this.errors = errors;
    if (job) this.job = job;
    if (fires) this.fires = fires;
    if (audit) this.audit = audit.audit;
    // Others may have been chosen, or more asked for, meanwhile.
    if (!history || which !== this.which || limit !== this.limit) return;
    const { runs, ranges, next_before: next } = joined(this.history && { ...this.history, next_before: this.history.next }, history, limit);
    this.history = { runs, ranges, next };
    this.follow(history.runs);
  }

  /** The log of the newest run that has started, unless somebody is reading another one. */
  follow(runs) {
    const newest = runs.find((run) => run.started_at);
    if (!newest || this.which || newest.id === this.log?.run || (this.log && !this.log.isFollowing)) return;
    this.log?.close();
    this.log = new Log(newest.id, () => this.context.draw());
  }

  view() {
    const { job: error } = this.errors;
    if (error && (!this.job || error.status === 404)) return [h("h1", this.name), failure(error), h("p", h("a", { href: "#/runs?job=" + encodeURIComponent(this.name) }, "Its runs in the ledger"))];
    if (!this.job) return h("p.empty", "…");
    const line = state.jobs.get(this.name);
    queueMicrotask(() => wantRecent([this.name]));
    return [this.head(line), error && failure(error), h("div.columns", { key: "columns" }, this.nowPart(line), this.steering(), h("div.stack", { key: "when" }, this.schedule(), this.explainPart())),
      this.logPart(), this.historyPart(), h("div.columns", { key: "more" }, this.settings(), this.limits(), this.auditPart())];
  }

  head(line) {
    const { tone, word } = line ? condition(line, state.host) : { tone: "idle", word: "" };
    return h("header.title", { key: "title" },
      h("h1", toneMark(tone, word), this.name), h("span.badge", { class: `tone-${tone}` }, word),
      h("span.hint", `${this.job.plugin} · ${this.job.entry}`, this.job.labels.length > 0 && ` · ${this.job.labels.join(", ")}`),
      this.job.description && h("p.note", this.job.description));
  }

  nowPart(line) {
    if (!line) return null;
    const problem = jobProblem(line, state.host);
    const next = nextWords(line, state.host);
    const run = line.running[0];
    return section("Now", {},
      problem && h("div.callout", { class: `tone-${problem.tone}` },
        h("p", toneMark(problem.tone === "bad" ? "bad" : "attention", "problem"), h("span", problem.why,
          problem.since !== null && h("span.hint", ` since ${when(problem.since)}, ${relative(problem.since)}`))),
        problem.more.map((text) => h("p.hint", text)),
        h("div.press", problem.actions.map((entry, index) => button(entry.action, { job: this.name, ...entry }, index === 0 ? "first" : "")))),
      facts([
        ["Lately", h("span.num", lately(line))],
        ["Next fire", h("span.num", { class: next.tone ? `tone-${next.tone}` : "", title: next.at ? exact(next.at) : false },
          next.text, next.at && h("span.hint", ` at ${when(next.at)}`))],
        ["Running", run && [runLink(run.run), run.text && ` ${run.text}`, run.total > 0 && ` ${run.done} of ${run.total}`, run.pid > 0 && h("span.hint", ` pid ${run.pid}`)]],
        ["Waiting", line.waiting > 0 && counted(line.waiting, "run")],
        ["Last success", line.last_success ? [time(line.last_success), h("span.hint", ` ${relative(instant(line.last_success))}`)] : "not within its last attempts"],
        ["Attempts", strip(line.recent)],
        ["Took", spark(line.recent.map((attempt) => attempt.duration_us), "took", 220, 34)],
        ["Late", spark(line.recent.map((attempt) => attempt.lateness_us), "late", 220, 34)],
      ]));
  }

  steering() {
    const job = this.job;
    const about = { job: this.name };
    const breaker = breakerOf(job.breaker.state);
    const isOpen = ["open", "forced_open", "half_open"].includes(job.breaker.state);
    return section("Steer", {},
      h("div.press",
        button("trigger", about, "first"),
        button(job.control.paused ? "resume" : "pause", about),
        button(job.enabled ? "disable" : "enable", about),
        job.control.enabled !== null && button("asConfigured", about),
        h("button", { type: "button", onclick: () => askBackfill(this.name) }, "Backfill"),
        job.dead > 0 && button("dead", about)),
      facts([
        ["Breaker", [badge(breaker.tone, breaker.word), job.breaker.reason && ` ${job.breaker.reason}`,
          job.breaker.failures > 0 && h("span.hint", ` ${counted(job.breaker.failures, "failure")} counted`),
          job.breaker.since && h("span.hint", ` since ${when(instant(job.breaker.since))}`),
          job.breaker.until && h("span.hint", `, until ${when(instant(job.breaker.until))} (${relative(instant(job.breaker.until))})`)]],
        ["On", job.enabled ? (job.control.enabled === true ? "yes, switched on by an operator" : "yes") : job.disabled_reason],
        ["Decided", job.control.since && [time(job.control.since), job.control.reason && `: ${job.control.reason}`]],
      ]),
      job.breaker.state !== "off" && h("div.press",
        isOpen ? button("breakerReset", about) : button("breakerOpen", about),
        ["open", "half_open"].includes(job.breaker.state) && button("breakerHold", about),
        (isOpen || job.breaker.state === "disabled") && button("breakerClose", about),
        job.breaker.state !== "disabled" && button("breakerDisable", about)));
  }

  schedule() {
    const fires = (this.fires?.fires ?? []).filter((fire) => instant(fire) > now());
    return section("Schedule", {},
      h("p.rule", this.job.schedule, this.job.timezone !== "UTC" && h("span.hint", ` ${this.job.timezone}`)),
      this.errors.fires && failure(this.errors.fires),
      !this.fires ? null : fires.length === 0 ? h("p.empty", "No fire time of its own.") : h("ol.fires", fires.map((fire) => {
        const ms = instant(fire);
        return h("li", { key: fire }, time(fire), this.job.timezone !== "UTC" && h("span.hint.num", ` ${inZone(ms, this.job.timezone)}`), h("span.hint.num", ` ${relative(ms)}`));
      })));
  }

  explainPart() {
    return section("Why did it run, or not?", { id: "explain" },
      h("form.row", { onsubmit: (event) => { event.preventDefault(); this.explain(); } },
        h("label", `At (${zoneName()})`, h("input", {
          type: "text", value: this.explainText, name: "at", autocomplete: "off", spellcheck: "false", title: "02:13, 2h ago, 2026-11-21 02:13:05",
          oninput: (event) => { this.explainText = event.target.value; },
        })), h("button", { type: "submit" }, "Explain")),
      this.explained?.error && failure(this.explained.error),
      this.explained?.sentences && h("div.explained",
        h("p.rule", this.explained.verdict.replaceAll("_", " "), this.explained.run && [": run ", runLink(this.explained.run.id)]),
        this.explained.sentences.map((sentence, index) => h("p", { key: index }, sentence))));
  }

  async explain() {
    const at = parseTime(this.explainText);
    try {
      if (at === null) throw new Error("no time that can be read: write 02:13, 2h ago, or 2026-11-21 02:13:05");
      this.explained = await get(path("jobs", this.name, "explain") + query({ at: new Date(at).toISOString() }));
    } catch (error) {
      this.explained = { error };
    }
    if (!this.isClosed) this.context.draw();
  }

  historyPart() {
    return section("History", {
      aside: h("div.chips", HISTORIES.map(([key, label]) => h("button.chip", {
        key, type: "button", "aria-pressed": this.which === key ? "true" : "false",
        onclick: () => { this.which = key; this.limit = PAGE; this.load(); },
      }, label))),
    },
    this.errors.history && failure(this.errors.history),
    this.history && table("History", runColumns(false), ledgerRows(this.history, false), "No run yet."),
    this.history && this.history.next !== null && h("button.plain", { type: "button", onclick: () => this.more() }, "Older"));
  }

  async more() {
    const { which, history } = this;
    try {
      const page = await get("/runs" + query({ job: this.name, limit: PAGE, before: history.next, ...STATES[which] }));
      if (which !== this.which) return;
      this.history = { runs: [...history.runs, ...page.runs], ranges: [...history.ranges, ...page.ranges], next: page.next_before };
      // What is shown is kept as it is now: all of it is asked for again.
      this.limit = Math.min(this.history.runs.length, MOST);
    } catch (error) { this.errors = { ...this.errors, history: error }; }
    if (!this.isClosed) this.context.draw();
  }

  logPart() {
    if (!this.log) return null;
    return section("Log", { aside: ["run ", runLink(this.log.run)] }, this.log.view());
  }

  settings() { return section("Settings", {}, h("pre", pretty(this.job.settings))); }

  limits() {
    const counters = Object.entries(this.job.counters).sort(([a], [b]) => a.localeCompare(b));
    return section("Limits and counts", {},
      facts(this.job.limits.map(({ name, value }) => [name.replaceAll("_", " "), value])),
      h("h3", "Since ever"),
      facts(counters.map(([name, value]) => [OUTCOMES[name]?.word ?? name.replaceAll("_", " "), h("span.num", grouped(value))])),
      facts([["library", h("code", { title: this.job.library_hash }, this.job.library_hash.slice(0, 12))]]));
  }

  auditPart() {
    return section("Operators' actions", { wide: true, aside: h("a", { href: "#/audit?job=" + encodeURIComponent(this.name) }, "All") },
      this.errors.audit && failure(this.errors.audit),
      this.audit && table("Audit", auditColumns(false), auditRows(this.audit, false), "Nothing."));
  }

  drawn(root) { this.log?.settle(root); }

  get needsTicks() { return true; }
}

function inZone(ms, zone) {
  try {
    return new Intl.DateTimeFormat("en-GB", { timeZone: zone, weekday: "short", hour: "2-digit", minute: "2-digit", second: "2-digit" }).format(ms) + ` ${zone}`;
  } catch { return ""; }
}
