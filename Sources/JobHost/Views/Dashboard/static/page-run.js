// One run: how it went, attempt by attempt, what it said, what it was asked to do.

import { h } from "./dom.js";
import { quietly, path, query } from "./api.js";
import { reader } from "./live.js";
import { button, askMany } from "./actions.js";
import { Log } from "./log.js";
import { instant, relative, span, when } from "./time.js";
import { outcomeOf, pretty, TRIGGERS, counted, REASONS, standing } from "./words.js";
import { section, table, facts, time, jobLink, runLink, runBadge, auditRows, auditColumns, failure, badge } from "./parts.js";
import { toneMark } from "./marks.js";

const WAITING = ["scheduled", "available", "retryable"];

export class RunPage {
  constructor(context, parameters, id) {
    this.context = context;
    this.id = Number(id);
    this.detail = null;
    this.error = null;
    this.explained = null;
    this.isClosed = false;
    this.log = new Log(this.id, () => this.context.draw());
    this.load = reader(this, () => this.read());
    this.load();
  }

  get title() { return `Run ${this.id}`; }

  close() {
    this.isClosed = true;
    this.log.close();
  }

  changed(change) { if (change.all || change.jobs.has(this.detail?.run.job)) this.load(); }

  async read() {
    try {
      this.detail = await quietly(path("runs", this.id));
      this.error = null;
      const { run } = this.detail;
      this.explained = WAITING.includes(run.state)
        ? await quietly(path("jobs", run.job, "explain") + query({ at: run.fire_time })).catch(() => null) : null;
    } catch (error) {
      if (error.status > 0 || !this.detail) this.error = error;
    }
  }

  view() {
    if (this.error && (!this.detail || this.error.status === 404)) return [h("h1", `Run ${this.id}`), failure(this.error)];
    if (!this.detail) return h("p.empty", "…");
    const { run } = this.detail;
    return [this.head(run), this.error && failure(this.error), h("div.columns", { key: "columns" }, this.howItWent(run), this.circumstances(run)),
      section("Log", {}, this.log.view()),
      h("div.columns", { key: "more" }, this.attempts(run), this.payload(run), this.audit())];
  }

  head(run) {
    const { tone, word } = standing(run);
    return h("header.title", { key: "title" }, h("h1", toneMark(tone, word), `Run ${run.id}`), h("span", "of ", jobLink(run.job)), runBadge(run),
      h("div.press",
        this.isLive(run) ? button("cancel", { run: run.id, job: run.job }) : button("retry", { run: run.id, job: run.job }, "first"),
        run.state === "discarded" && h("button", { type: "button", onclick: () => askMany("dismiss", [run.id]) }, "Dismiss"),
        h("a.button", { href: `#/jobs/${encodeURIComponent(run.job)}` }, "Its job")));
  }

  isLive(run) { return WAITING.includes(run.state) || run.state === "running"; }

  howItWent(run) {
    const running = this.detail.running;
    return section("How it went", {},
      run.reason && h("p.rule", { class: outcomeOf(run.outcome).tone === "bad" || run.state === "discarded" ? "tone-bad" : "" }, run.reason),
      running?.problem && h("p.problem", `It cannot start: ${running.problem}`),
      WAITING.includes(run.state) && h("div.explained", h("p.rule", run.waits_for?.sentence ? `It waits: ${run.waits_for.sentence}.` : `It waits; due ${relative(instant(run.available_at))}.`),
        run.waits_for?.command && h("p.command", h("code", run.waits_for.command)),
        (this.explained?.sentences ?? []).map((sentence, index) => h("p", { key: index }, sentence))),
      facts([
        ["Fire time", time(run.fire_time)],
        ["Started", run.started_at && [time(run.started_at), h("span.hint.num", ` ${span(run.lateness_us)} late`)]],
        ["Ended", run.finished_at && [time(run.finished_at), h("span.hint.num", ` took ${span(run.duration_us)}`)]],
        ["Progress", running && running.total > 0 && `${running.done} of ${running.total} ${running.text}`],
        ["Attempt", `${run.attempt} of ${run.max_attempts}`],
        ["Work done", run.items > 0 && counted(run.items, "item")],
        ["CPU time", run.cpu_us > 0 && span(run.cpu_us)],
        ["Code", run.code !== 0 && String(run.code)],
      ]),
      this.detail.retried_as.length > 0 && h("p", "Tried again as ", this.detail.retried_as.map((id, index) => [index > 0 && ", ", runLink(id)]), "."),
      this.detail.ranges.map((range) => h("p.hint", { key: range.first },
        `Around it ${range.count} ${range.state}: ${REASONS[range.reason] ?? range.reason}, ${when(instant(range.first))} … ${when(instant(range.last))}`)));
  }

  circumstances(run) {
    return section("Circumstances", {}, facts([
      ["Trigger", TRIGGERS[run.trigger] ?? run.trigger],
      ["Retry of", run.retry_of && runLink(run.retry_of)],
      ["Made", time(run.created_at)],
      ["Expires", run.expires_at && time(run.expires_at)],
      ["Host", run.owner], ["pid", run.pid > 0 && String(run.pid)],
      ["Generation", run.generation > 0 && String(run.generation)],
      ["Library", run.library_hash && h("code", { title: run.library_hash }, run.library_hash.slice(0, 12))],
      ["Priority", run.priority !== 0 && String(run.priority)],
      ["Unique key", run.unique_key && h("code", run.unique_key)],
      ["Idempotency key", run.idempotency_key && h("code", run.idempotency_key)],
      ["Fence", run.fence > 0 && String(run.fence)],
    ]));
  }

  attempts(run) {
    // The last one of an ended run is told above.
    const earlier = this.detail.attempts.filter((attempt) => !run.finished_at || attempt.attempt < run.attempt);
    const rows = earlier.map((attempt) => {
      const outcome = outcomeOf(attempt.outcome);
      return h("tr", { key: attempt.attempt }, h("td.num", String(attempt.attempt)), h("td", badge(outcome.tone, outcome.word)), h("td", time(attempt.started_at)),
        h("td.num", span(attempt.duration_us)), h("td.num", String(attempt.pid)), h("td.why", attempt.reason));
    });
    return section("Earlier attempts", { wide: true }, table("Attempts", ["Attempt", "Ended", "Started", "Took", "pid", "Why"], rows, run.attempt > 1 ? "Not kept." : "None: this is the first."));
  }

  payload(run) {
    return section("Payload", {}, run.payload === null ? h("p.empty", "None.") : h("pre", pretty(run.payload)));
  }

  audit() {
    return section("Operators' actions", {}, table("Audit", auditColumns(false), auditRows(this.detail.audit, false), "Nothing."));
  }

  drawn(root) { this.log.settle(root); }

  get needsTicks() { return true; }
}
