// The host itself: is it well, who works for it; and the audit.

import { h } from "./dom.js";
import { quietly, get, query } from "./api.js";
import { state, reader, each } from "./live.js";
import { button } from "./actions.js";
import { problems } from "./problems.js";
import { instant, now, age, when, relative } from "./time.js";
import { size, counted, grouped } from "./words.js";
import { section, table, facts, time, runLink, auditRows, auditColumns, failure, badge } from "./parts.js";
import { toneMark } from "./marks.js";

export class HostPage {
  constructor(context) {
    this.context = context;
    this.host = null;
    this.workers = null;
    this.alerts = null;
    this.error = null;
    this.isClosed = false;
    this.load = reader(this, () => this.read());
    this.load();
  }

  get title() { return "Host"; }
  close() { this.isClosed = true; }
  changed(change) { if (change.all) this.load(); }
  get needsTicks() { return true; }

  async read() {
    const { answers, errors } = await each({ host: quietly("/host"), workers: quietly("/workers"), alerts: quietly("/alerts") }, (name) => this[name] !== null);
    this.error = errors.host ?? errors.workers ?? errors.alerts ?? null;
    if (answers.host) this.host = answers.host;
    if (answers.workers) this.workers = answers.workers.workers;
    if (answers.alerts) this.alerts = answers.alerts;
  }

  view() {
    if (this.error && !this.host) return failure(this.error);
    if (!this.host || !state.host) return h("p.empty", "…");
    return [h("header.title", { key: "title" }, h("h1", this.host.name), badge(this.host.phase === "running" ? "ok" : "warn", this.host.phase),
      h("div.press", button(state.host.control.paused ? "resumeHost" : "pauseHost", {}), h("a.button", { href: "#/plugins" }, "Reloads"))),
    this.error && failure(this.error),
    h("div.columns", { key: "columns" }, this.health(), this.about()), this.told(), this.workerList()];
  }

  health() {
    const found = problems(state, [...state.jobs.values()]);
    const ofHost = found.filter((problem) => problem.job === null);
    return section("Health", {},
      ofHost.length === 0 ? h("p.fine", toneMark("ok", ""), "Nothing is wrong with the host itself.") : h("ul.plainlist", ofHost.map((problem) =>
        h("li", { key: problem.key, class: `tone-${problem.tone}` }, problem.why, problem.since !== null && h("span.hint", ` since ${when(problem.since)}`)))),
      // Some of them are conditions, which stand above.
      state.host.notes.filter((text) => !state.host.conditions.some((condition) => condition.text === text)).map((text) => h("p.hint", { key: text }, text)),
      found.length > ofHost.length && h("p", h("a", { href: "#/" }, `${counted(found.length - ofHost.length, "job")} with a problem`)),
      facts([["Workers", `${this.host.workers}, ${size(state.host.resident_bytes)} together`], ["Paused", this.host.control.paused && `${this.host.control.pause_reason || "yes"}, since ${when(instant(this.host.control.paused_since))}`]]));
  }

  about() {
    const host = this.host;
    return section("What it is", {}, facts([
      ["Version", host.version], ["pid", String(host.pid)], ["Up", h("span.num", `${age(now() - instant(host.started_at))}, since ${when(instant(host.started_at))}`)],
      ["Generation", String(host.generation)], ["Config", h("code", host.config_file)], ["State folder", h("code", host.state_dir)], ["Store", h("code", host.store_url)],
      ["Last reload", host.last_reload && [time(host.last_reload.at), h("span.hint", ` ${relative(instant(host.last_reload.at))}`)]],
    ]));
  }

  /** Who hears of what is wrong, and whether they do. */
  told() {
    if (!this.alerts) return null;
    const { alerts, receivers } = this.alerts;
    return section("Alerts", { key: "alerts" },
      receivers.length === 0 ? h("p.empty", "Nobody is told: [alerts] in the config names webhooks or a command.")
        : h("ul.plainlist", receivers.map(({ name, problem, waiting, lost }) => h("li", { key: name, style: { "overflow-wrap": "anywhere" } },
          h("b", name), " ", problem ? badge("bad", problem) : badge("ok", "takes them"),
          waiting > 0 && h("span.hint", ` ${grouped(waiting)} waiting`), lost > 0 && h("span.tone-bad", ` ${grouped(lost)} given up`)))),
      alerts.length > 0 && h("ul.plainlist", alerts.map(({ key, severity, text, since, hint }) =>
        h("li", { key, class: `tone-${severity === "critical" ? "bad" : "warn"}` }, text, h("span.hint", ` since ${when(instant(since))}; `), h("code", hint)))));
  }

  workerList() {
    if (!this.workers) return null;
    const rows = [...this.workers].sort((a, b) => b.resident_bytes - a.resident_bytes).map((worker) => h("tr", { key: worker.pid },
      h("td.num", String(worker.pid)), h("td", worker.plugin), h("td", badge(worker.state === "running" ? "busy" : worker.state === "idle" ? "ok" : "idle", worker.state)), h("td", worker.run ? runLink(worker.run) : ""),
      h("td.num", grouped(worker.runs)), h("td.num", age(now() - instant(worker.started_at))), h("td.num", size(worker.resident_bytes)), h("td", h("code", worker.library_hash.slice(0, 12)))));
    const right = (text) => ({ text, class: "num" });
    return section("Workers", { key: "workers" }, table("Workers", [right("pid"), "Plugin", "State", "Run", right("Runs done"), right("Age"), right("Memory"), "Library"], rows, "None lives: nothing ran lately."));
  }
}

export class AuditPage {
  constructor(context, parameters) {
    this.context = context;
    this.job = parameters.get("job") ?? "";
    this.limit = 100;
    this.entries = null;
    this.error = null;
    this.isClosed = false;
    this.load();
  }

  get title() { return "Audit"; }
  close() { this.isClosed = true; }
  changed(change) { if (change.all) this.load(); }

  async load() {
    const mine = (this.asked = (this.asked ?? 0) + 1);
    try {
      const page = await get("/audit" + query({ job: this.job, limit: this.limit }));
      // Of another job, which was chosen before.
      if (mine !== this.asked) return;
      this.entries = page.audit;
      this.before = page.next_before;
      this.error = null;
    } catch (error) {
      if (mine !== this.asked) return;
      if (error.status > 0) this.error = error;
    }
    if (!this.isClosed) this.context.draw();
  }

  async more() {
    const { job, before } = this;
    const page = await get("/audit" + query({ job, before, limit: 200 })).catch((error) => { this.error = error; });
    // Another job may have been chosen meanwhile.
    if (page && job === this.job && before === this.before) {
      this.error = null;
      this.entries = [...this.entries, ...page.audit];
      this.before = page.next_before;
      // What is shown stays when something new comes.
      this.limit = Math.min(this.entries.length, 1000);
    }
    if (!this.isClosed) this.context.draw();
  }

  view() {
    return [h("header.title", { key: "title" }, h("h1", "Audit"), h("span.hint", "who did what, when and why; by command line, page, API or signal, or by the host itself")),
      h("div.tools", { key: "tools" }, h("label", "Job", h("input.search", {
        id: "search", value: this.job, list: "job-names", placeholder: "any", autocomplete: "off",
        onchange: (event) => { this.job = event.target.value.trim(); history.replaceState(null, "", "#/audit" + query({ job: this.job })); this.load(); },
      }), h("datalist", { id: "job-names" }, [...state.jobs.keys()].map((name) => h("option", { key: name, value: name }))))),
      this.error && failure(this.error),
      section("The newest first", { key: "audit" }, this.entries ? table("Audit", auditColumns(true), auditRows(this.entries, true), "Nothing.") : h("p.empty", "…"),
        this.entries && this.before != null && h("button.plain", { type: "button", onclick: () => this.more() }, "Older"))];
  }
}
