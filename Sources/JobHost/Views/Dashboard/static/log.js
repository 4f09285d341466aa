// A run's log: what it printed and logged, followed while it runs.

import { h } from "./dom.js";
import { quietly, path, query } from "./api.js";
import { instant, clock, exact } from "./time.js";
import { grouped } from "./words.js";

/** Lines shown at once; earlier ones by a click. */
const SHOWN = 500;
/** Milliseconds between looks at a log that grows. */
const PACE = 1_000;

/** Follows the log of `run`; `changed()` after each page. */
export class Log {
  constructor(run, changed) {
    this.run = run;
    this.changed = changed;
    this.lines = [];
    this.next = 0;
    this.ended = false;
    /** The host that has it, where that is another one. */
    this.elsewhere = null;
    this.error = null;
    this.shown = SHOWN;
    this.filter = "";
    this.isFollowing = true;
    this.timer = null;
    this.isClosed = false;
    this.read();
  }

  close() {
    this.isClosed = true;
    clearTimeout(this.timer);
  }

  async read() {
    clearTimeout(this.timer);
    try {
      for (;;) {
        const page = await quietly(path("runs", this.run, "log") + query({ from: this.next }));
        if (this.isClosed) return;
        this.error = null;
        this.lines.push(...page.lines);
        const grew = page.next > this.next;
        this.next = page.next;
        this.ended = page.ended;
        this.elsewhere = page.elsewhere;
        if (page.ended || !grew || page.lines.length === 0) break;
      }
    } catch (error) {
      if (this.isClosed) return;
      this.error = error;
    }
    this.changed();
    if (!this.ended) this.timer = setTimeout(() => this.read(), this.error ? 3 * PACE : PACE);
  }

  view() {
    const needle = this.filter.toLowerCase();
    const matching = needle
      ? this.lines.filter((line) => line.text.toLowerCase().includes(needle) || line.level === needle) : this.lines;
    const from = Math.max(0, matching.length - this.shown);
    const state = this.error ? `not readable: ${this.error.message}` : this.ended ? "ended" : "live";
    return h("div.log",
      h("div.logbar",
        h("label.inline", "Find", h("input", {
          type: "search", value: this.filter, placeholder: "text, or error, warning …",
          oninput: (event) => { this.filter = event.target.value; this.changed(); },
        })),
        h("span.hint", `${grouped(matching.length)} of ${grouped(this.lines.length)} lines, ${state}`),
        h("label.inline", h("input", {
          type: "checkbox", checked: this.isFollowing,
          onchange: (event) => { this.isFollowing = event.target.checked; this.changed(); },
        }), "Stay at the end")),
      h("div.lines", { role: "log", tabindex: 0, "aria-label": `Log of run ${this.run}`, "aria-live": "off" },
        from > 0 && h("button.plain", { type: "button", onclick: () => { this.shown += 5 * SHOWN; this.changed(); } },
          `${grouped(from)} earlier lines`),
        matching.length === 0 && h("p.empty", this.nothing()),
        matching.slice(from).map((line, index) => this.line(line, from + index))));
  }

  nothing() {
    if (this.lines.length > 0) return "No such line.";
    if (this.elsewhere) return `Its log is on ${this.elsewhere}, which ran it.`;
    return this.ended ? "It said nothing." : "Nothing yet.";
  }

  line(line, index) {
    const ms = instant(line.t);
    const fields = line.fields && Object.keys(line.fields).length > 0
      ? Object.entries(line.fields).map(([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`).join(" ") : null;
    return h("div.line", { key: index, class: `level-${line.level}` },
      h("span.num.at", { title: ms === null ? false : exact(ms) }, ms === null ? "" : clock(ms)),
      h("span.source", line.stream === "log" ? line.level : line.stream),
      h("span.text", line.text, fields && h("span.fields", ` ${fields}`)));
  }

  /** After the document has been changed. */
  settle(root) {
    const box = root.querySelector(".lines");
    if (box && this.isFollowing) box.scrollTop = box.scrollHeight;
  }
}
