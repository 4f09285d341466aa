// Plugins, their versions, and what the last reload did.

import { h } from "./dom.js";
import { get, quietly, post, path, query, LONG } from "./api.js";
import { reader, each } from "./live.js";
import { ask, button, labelOf } from "./actions.js";
import { instant, relative, span } from "./time.js";
import { size } from "./words.js";
import { section, table, time, failure, badge, jobLink, MOST } from "./parts.js";

const CHANGES = { added: "ok", changed: "busy", removed: "warn", kept: "idle", refused: "bad" };

export class PluginsPage {
  constructor(context, parameters, place) {
    this.context = context;
    this.plugins = null;
    this.workers = null;
    this.reloads = null;
    /** Where the older ones begin; null: there are none. */
    this.before = null;
    /** How many are shown. */
    this.limit = 20;
    this.error = null;
    this.planned = null;
    /** Of the plugin whose versions are shown. */
    this.versions = null;
    this.isClosed = false;
    this.load = reader(this, () => this.read());
    this.load();
    if (place === "plan") this.plan();
    const shown = parameters.get("versions");
    if (shown) this.showVersions(shown);
  }

  get title() { return "Plugins"; }
  close() { this.isClosed = true; }
  changed(change) { if (change.all) this.load(); }

  async read() {
    const { limit } = this;
    const { answers, errors } = await each(
      { plugins: quietly("/plugins"), workers: quietly("/workers"), reloads: quietly("/reloads" + query({ limit })) }, (name) => this[name] !== null);
    this.error = errors.plugins ?? errors.workers ?? errors.reloads ?? null;
    if (answers.plugins) this.plugins = answers.plugins.plugins;
    if (answers.workers) this.workers = answers.workers.workers;
    if (!answers.reloads) return;
    // Older ones are shown meanwhile: all of them are asked for again.
    if (limit !== this.limit) { this.load(); return; }
    const before = this.reloads?.[0];
    this.reloads = answers.reloads.reloads;
    this.before = answers.reloads.next_before;
    const last = this.reloads[0];
    // What was said before it is not so any more.
    if (before === undefined || !last || same(last, before)) return;
    if (!this.planned?.isUnderWay) this.planned = null;
    if (this.versions) this.showVersions(this.versions.plugin);
  }

  async showVersions(plugin) {
    try { this.versions = await quietly(path("plugins", plugin, "versions")); } catch (error) { this.versions = { plugin, versions: [], error }; }
    if (!this.isClosed) this.context.draw();
  }

  async switchTo(version, plugin, action) {
    if (await ask(action, { plugin, hash: version.sha256, version: version.version })) {
      this.load();
      this.showVersions(plugin);
    }
  }

  async plan() {
    this.planned = { isUnderWay: true };
    this.context.draw();
    try { this.planned = { report: await post("/plan", {}, LONG) }; } catch (error) { this.planned = { error }; }
    if (!this.isClosed) this.context.draw();
  }

  async more() {
    const { before } = this;
    try {
      const page = await get("/reloads" + query({ before, limit: 50 }));
      // What was asked for meanwhile may have moved the place.
      if (before === this.before) {
        this.reloads = [...this.reloads, ...page.reloads];
        this.before = page.next_before;
        // All of them are asked for again when something new comes; the store keeps no more than one answer has.
        this.limit = Math.min(this.reloads.length, MOST);
      }
    } catch (error) { this.error = error; }
    if (!this.isClosed) this.context.draw();
  }

  view() {
    return [
      h("header.title", { key: "title" }, h("h1", "Plugins and reloads"), h("div.press",
        h("button", { type: "button", onclick: () => this.plan() }, "Plan a reload"), button("reload", {}, "first"))),
      this.error && failure(this.error), this.plannedPart(), this.list(), this.versionsPart(), this.lastPart(), this.pastPart(),
    ];
  }

  plannedPart() {
    if (!this.planned) return null;
    const { report, error, isUnderWay } = this.planned;
    return section("What a reload would do", { key: "plan" }, isUnderWay && h("p.empty", "The next generation is being built and probed …"), error && failure(error), report && reportView(report, true));
  }

  list() {
    if (!this.plugins) return h("p.empty", "…");
    const rows = this.plugins.map((plugin) => {
      const mine = (this.workers ?? []).filter((worker) => worker.plugin === plugin.name);
      const old = mine.filter((worker) => worker.library_hash !== plugin.library_hash).length;
      return h("tr", { key: plugin.name },
        h("td.why", h("b", plugin.name), plugin.description && h("span.hint", ` ${plugin.description}`)),
        h("td", plugin.version), h("td", h("code", { title: plugin.library_hash }, plugin.library_hash.slice(0, 12))),
        h("td", { title: plugin.library }, plugin.library.split("/").at(-1)), h("td.why", plugin.entries.join(", ")),
        h("td.num", String(mine.length), old > 0 && h("span.hint", ` (${old} old)`)), h("td.num", size(mine.reduce((sum, worker) => sum + worker.resident_bytes, 0))),
        h("td.why", plugin.problem ? h("span.tone-bad", plugin.problem) : plugin.canary ? h("span.tone-warn", plugin.canary) : badge("ok", "serves")),
        h("td", h("button", { type: "button", onclick: () => this.showVersions(plugin.name), "aria-label": `Versions of ${plugin.name}` }, "Versions")));
    });
    return section("Plugins", { key: "plugins" }, table("Plugins", ["Plugin", "Version", "Hash", "Library", "Entries", { text: "Workers", class: "num" }, { text: "Memory", class: "num" }, "State", { text: h("span.unseen", "What to do") }], rows, "None is loaded."));
  }

  versionsPart() {
    if (!this.versions) return null;
    const { plugin, versions, error } = this.versions;
    const words = { serving: ["ok", "serves"], canary: ["warn", "on trial"], rolled_back: ["bad", "rolled back from"], kept: ["idle", "kept"] };
    const rows = versions.map((version) => {
      const [tone, word] = words[version.state] ?? ["idle", version.state];
      const action = version.state === "kept" ? "rollback" : "rollForward";
      return h("tr", { key: version.sha256 }, h("td", version.version || "–"), h("td", h("code", { title: version.sha256 }, version.sha256.slice(0, 12))), h("td", time(version.accepted_at)),
        h("td", badge(tone, word)), h("td.why", version.note),
        h("td", version.state !== "serving" && h("button", { type: "button", onclick: () => this.switchTo(version, plugin, action) }, labelOf(action))));
    });
    return section(`Versions of ${plugin}`, { key: "versions" }, error && failure(error),
      table("Versions", ["Version", "Hash", "Served from", "State", "", { text: h("span.unseen", "What to do") }], rows, "None."));
  }

  lastPart() {
    const last = this.reloads?.[0];
    if (!last) return null;
    return section("The last reload", { key: "last", aside: [time(last.at), h("span.hint", ` ${relative(instant(last.at))}`)] }, reportView(last.report, false));
  }

  pastPart() {
    if (!this.reloads) return null;
    const rows = this.reloads.map((entry) => h("tr", { key: `${entry.generation} ${entry.at}` }, h("td.num", String(entry.generation)), h("td", time(entry.at)),
      h("td", entry.accepted ? (entry.report?.clean === false ? badge("warn", "accepted in part") : badge("ok", "accepted")) : badge("bad", "refused")),
      h("td.why", summary(entry.report))));
    return section("Reloads, the newest first", { key: "past" }, table("Reloads", [{ text: "Generation", class: "num" }, "When", "", "What"], rows, "None yet."),
      this.before !== null && h("button.plain", { type: "button", onclick: () => this.more() }, "Older"));
  }
}

/** Whether both are of one reload. */
const same = (one, other) => one.generation === other.generation && one.at === other.at;

function summary(report) {
  if (!report?.jobs) return "";
  if (report.errors.length > 0) return report.errors[0];
  const counts = new Map();
  for (const line of report.jobs) counts.set(line.change, (counts.get(line.change) ?? 0) + 1);
  return [...counts].map(([change, count]) => `${count} ${change}`).join(", ");
}

/** What a reload did or would do; what it left as it was is counted only. */
function reportView(report, isPlan) {
  if (!report?.jobs) return h("p.empty", "No report was kept.");
  const lines = (name, list) => {
    const changed = list.filter((line) => line.change !== "kept");
    const kept = list.length - changed.length;
    if (list.length === 0) return null;
    return [h("h3", { key: `h ${name}` }, name, kept > 0 && h("span.hint", ` ${kept} kept`)), changed.length > 0 && h("ul.report", { key: name }, changed.map((line) =>
      h("li", { key: line.name }, badge(CHANGES[line.change] ?? "idle", line.change), " ", name === "Jobs" ? jobLink(line.name) : h("b", line.name), line.detail && `: ${line.detail}`)))];
  };
  const isQuiet = report.errors.length === 0 && [...report.host, ...report.plugins, ...report.jobs].every((line) => line.change === "kept");
  return h("div.report",
    h("p", report.accepted ? (report.clean ? badge("ok", isPlan ? "would be accepted" : "accepted") : badge("warn", "accepted, but not all of it")) : badge("bad", isPlan ? "would be refused; nothing would change" : "refused; nothing changed"),
      h("span.hint", ` generation ${report.generation}, built in ${span(report.duration_ms * 1000)}${isQuiet ? ". Nothing is different" : ""}`)),
    report.errors.map((text) => h("p.problem", { key: text }, text)), report.warnings.map((text) => h("p.hint", { key: text }, text)),
    lines("Host", report.host), lines("Plugins", report.plugins), lines("Jobs", report.jobs));
}

