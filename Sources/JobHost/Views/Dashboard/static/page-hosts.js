// The hosts that share the store: who serves, who is gone, and taking one out.

import { h } from "./dom.js";
import { quietly } from "./api.js";
import { reader } from "./live.js";
import { button } from "./actions.js";
import { age, exact, instant, now, relative, span } from "./time.js";
import { counted, grouped } from "./words.js";
import { badge, failure, section, table, time } from "./parts.js";

/** How often it is asked: no event tells of another host. In milliseconds. */
const PACE = 2_000;
/** A clock further off than this claims nothing, in microseconds. */
const SKEW = 5_000_000;

export class HostsPage {
  constructor(context) {
    this.context = context;
    this.hosts = null;
    this.error = null;
    this.isClosed = false;
    this.timer = setInterval(() => { if (!document.hidden) this.load(); }, PACE);
    this.load = reader(this, () => this.read());
    this.load();
  }

  get title() { return "Hosts"; }
  close() {
    this.isClosed = true;
    clearInterval(this.timer);
  }
  changed() { this.load(); }

  async read() {
    try {
      const { hosts } = await quietly("/hosts");
      Object.assign(this, { hosts, error: null });
    } catch (error) {
      if (error.status > 0) this.error = error;
    }
  }

  view() {
    if (this.error && !this.hosts) return failure(this.error);
    if (!this.hosts) return h("p.empty", "…");
    const serving = this.hosts.filter((host) => host.is_alive && !host.is_drained).length;
    const running = this.hosts.reduce((sum, host) => sum + host.running, 0);
    return [h("header.title", { key: "title" }, h("h1", "Hosts"),
      h("span.hint", `${counted(serving, "host")} of ${this.hosts.length} ${serving === 1 ? "serves" : "serve"}; ${counted(running, "run")} under way`)),
    this.error && failure(this.error),
    section("Those that share the store", { key: "hosts" },
      table("Hosts", ["Host", "State", "Since", "Seen", right("Running"), right("Clock"), "Version", ""], this.hosts.map((host) => this.row(host)), "None."),
      this.hosts.length === 1 && h("p.hint", "It is the only one. Several hosts share the work of one PostgreSQL: [store] url."))];
  }

  row(host) {
    const { tone, word } = standing(host);
    return h("tr", { key: host.name },
      h("td", h("b.name", host.name), host.is_this && h("span.hint", " this one")),
      h("td", badge(tone, word), host.is_drained && host.drain_reason && h("span.why", ` ${host.drain_reason}`)),
      h("td", time(host.since)),
      h("td", h("time.num", { datetime: host.seen, title: exact(instant(host.seen)) }, seen(host))),
      h("td.num", grouped(host.running)),
      h("td.num", { class: Math.abs(host.skew_us) > SKEW ? "tone-bad" : "" }, skew(host.skew_us)),
      h("td", host.version),
      // The only one is paused, not taken out.
      h("td", (this.hosts.length > 1 || host.is_drained) && h("div.press", button(host.is_drained ? "undrain" : "drain", { host: host.name }))));
  }
}

const right = (text) => ({ text, class: "num" });

function standing(host) {
  if (!host.is_alive) return { tone: "bad", word: host.is_drained ? "gone, taken out" : "gone" };
  if (!host.is_drained) return { tone: "ok", word: "serves" };
  return { tone: "warn", word: host.running > 0 ? `taken out, ${counted(host.running, "run")} to end` : "taken out" };
}

/** A lease is renewed every few seconds: who was seen a moment ago is there. */
function seen(host) {
  const ago = now() - instant(host.seen);
  return host.is_alive && ago < 60_000 ? "now" : ago > 0 ? `${age(ago)} ago` : relative(instant(host.seen));
}

function skew(us) { return us === 0 ? "–" : `${us > 0 ? "+" : "−"}${span(Math.abs(us))}`; }
