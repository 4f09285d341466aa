// The frame: which page is shown, the bar on top, the keys.

import { h, render } from "./dom.js";
import { onTokenNeeded, setToken, hasToken } from "./api.js";
import { state, start, subscribe, refresh, staleness } from "./live.js";
import { now, clock, toggleZone, zoneName, usesLocalZone, age, shortClock } from "./time.js";
import { problems } from "./problems.js";
import { askToken } from "./actions.js";
import { outcomeCell, OUTCOME_NAMES } from "./marks.js";
import { OUTCOMES } from "./words.js";
import { JobsPage } from "./page-jobs.js";
import { JobPage } from "./page-job.js";
import { RunPage } from "./page-run.js";
import { RunsPage } from "./page-runs.js";
import { TimelinePage } from "./page-timeline.js";
import { QueuesPage } from "./page-queues.js";
import { PluginsPage } from "./page-plugins.js";
import { HostPage, AuditPage } from "./page-host.js";
import { HostsPage } from "./page-hosts.js";

/** Address after #/, key after g, name, page. */
const PAGES = [
  ["", "j", "Jobs", JobsPage], ["runs", "r", "Runs", RunsPage], ["timeline", "t", "Timeline", TimelinePage], ["queues", "q", "Queues", QueuesPage],
  ["plugins", "p", "Plugins", PluginsPage], ["host", "h", "Host", HostPage], ["hosts", "o", "Hosts", HostsPage], ["audit", "a", "Audit", AuditPage],
];

const main = document.getElementById("main");
const top = document.getElementById("top");
let page = null;
let place = null;
let isDrawing = false;
let isShown = false;

/** What pages are given: how to be drawn again. Many calls are one drawing. */
const context = {
  draw() {
    if (isDrawing) return;
    isDrawing = true;
    requestAnimationFrame(() => {
      isDrawing = false;
      draw();
    });
  },
};

function draw() {
  drawTop();
  if (!page) return;
  render(main, page.view());
  page.drawn?.(main);
  if (state.host && !isShown) {
    isShown = true;
    // For measuring: what was asked for has been painted.
    requestAnimationFrame(() => setTimeout(() => performance.mark("jobs shown")));
  }
}

/** Problems that the title counts; as of the last news. */
let bad = 0;

function titleText() {
  const mark = state.mode === "offline" ? "(?) " : bad > 0 ? `(${bad}) ` : "";
  return `${mark}${page.title} · ${state.host?.name ?? "jobhost"}`;
}

function route() {
  const [path, search] = location.hash.replace(/^#\/?/, "").split("?", 2);
  const [first, ...rest] = path.split("/").map((part) => { try { return decodeURIComponent(part); } catch { return part; } });
  const parameters = new URLSearchParams(search ?? "");
  page?.close?.();
  place = first;
  if (first === "jobs" && rest[0]) page = new JobPage(context, parameters, rest[0], rest[1]);
  else if (first === "runs" && rest[0]) page = new RunPage(context, parameters, rest[0]);
  else page = new (PAGES.find(([address]) => address === first) ?? PAGES[0])[3](context, parameters, rest[0]);
  scrollTo(0, 0);
  draw();
  document.title = titleText();
}

function drawTop() {
  render(top,
    h("a.host", { href: "#/", title: state.host ? `jobhost ${state.host.version}, generation ${state.host.generation}` : "jobhost" }, state.host?.name ?? "jobhost"),
    h("nav", { "aria-label": "Pages" }, PAGES.map(([address, key, name]) => {
      const isHere = address === place || (address === "" && place === "jobs");
      return h("a", { key: name, href: `#/${address}`, "aria-current": isHere ? "page" : false, title: `g ${key}`, accesskey: false }, name);
    })),
    h("div.status", h("span.unseen", { key: "said", role: "status" }, announced()), connection(),
      h("button.plain.num", { type: "button", key: "zone", title: "Times in UTC or in this machine's zone", onclick: () => { toggleZone(); draw(); } }, `${clock(now())} ${zoneName()}`),
      h("button.plain", { type: "button", key: "theme", title: `Theme: ${themeName()}`, "aria-label": `Theme: ${themeName()}. Change it`, onclick: changeTheme }, themeIcon()),
      h("button.plain", { type: "button", key: "help", title: "Keys and marks ( ? )", "aria-label": "Help", onclick: help }, "?")));
}

/** How fresh what is shown is. */
function connection() {
  const asOf = state.asOf === null ? "no data yet" : `data as of ${clock(state.asOf)}${staleness() > 60_000 ? ` (${age(staleness())} old)` : ""}`;
  switch (state.mode) {
    case "live": return h("span.live.tone-ok", { key: "live", title: asOf }, h("i"), "live");
    case "polling": return h("span.live.tone-ok", { key: "live", title: `${asOf}; asking every few seconds` }, h("i"), "polling");
    case "offline": return h("span.live.tone-bad", { key: "live", title: state.error?.message ?? "" }, h("i"), `${asOf}, ${state.error?.status === 401 ? "no access" : "reconnecting …"}`,
      state.error?.status === 401 && h("button", { type: "button", onclick: giveToken }, "Give a token"));
    default: return h("span.live", { key: "live" }, h("i"), "connecting …");
  }
}

/** The same for those who hear it: once for each change, not with each second that passes. */
function announced() {
  if (state.mode === "connecting") return "";
  if (state.mode !== "offline") return "connected to the host";
  return state.error?.status === 401 ? "no access to the host" : `the host does not answer${state.asOf === null ? "" : `, data as of ${clock(state.asOf)}`}`;
}

async function giveToken() {
  const token = await askToken("reading", { message: state.error?.message ?? "", hint: state.error?.hint });
  if (token) {
    setToken(token);
    refresh();
  }
}

// Theme: the system's, unless one is chosen.

function themeName() { return document.documentElement.dataset.theme ?? "as the system"; }
function themeIcon() { return { light: "☀", dark: "☾" }[document.documentElement.dataset.theme] ?? "◐"; }
function changeTheme() {
  const order = [undefined, "light", "dark"];
  const next = order[(order.indexOf(document.documentElement.dataset.theme) + 1) % order.length];
  if (next) document.documentElement.dataset.theme = next;
  else delete document.documentElement.dataset.theme;
  try { if (next) localStorage.setItem("jobhost.theme", next); else localStorage.removeItem("jobhost.theme"); } catch { /* for this page only, then */ }
  drawTop();
}

// Keys.

let waitsForPage = 0;

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog")) return;
  const isTyping = event.target.matches("input:not([type=checkbox]), textarea, select");
  if (isTyping) {
    // Out of the field; with Enter, to what was found.
    if (event.key === "Escape" || (event.key === "Enter" && event.target.id === "search")) {
      event.target.blur();
      if (event.key === "Enter" && page.key?.("j")) event.preventDefault();
    }
    return;
  }
  if (Date.now() < waitsForPage) {
    waitsForPage = 0;
    const found = PAGES.find(([, key]) => key === event.key);
    if (found) {
      location.hash = `#/${found[0]}`;
      event.preventDefault();
      return;
    }
  }
  if (event.key === "g") waitsForPage = Date.now() + 1_500;
  else if (event.key === "?") help();
  else if (event.key === "/") document.getElementById("search")?.focus();
  else if (event.key === "u" && place !== "") location.hash = "#/";
  else if (event.key === "Enter" && event.target.closest("a, button, summary")) return;
  else if (!page.key?.(event.key)) return;
  event.preventDefault();
}

function help() {
  if (document.querySelector("dialog")) return;
  const element = document.createElement("dialog");
  const keys = [["/", "find"], ["j  k", "next, previous job"], ["Enter", "open it"], ["Esc", "leave the field, forget the search"], ["u", "up, to all jobs"],
    ...PAGES.map(([, key, name]) => [`g ${key}`, name]), ["?", "this"]];
  element.setAttribute("aria-labelledby", "help-title");
  render(element, h("form", { method: "dialog" }, h("h2", { id: "help-title" }, "Keys and marks"),
    h("div.columns.two",
      h("dl.facts", keys.map(([key, what]) => h("div", { key }, h("dt", key.split("  ").map((text) => h("kbd", text))), h("dd", what)))),
      h("dl.facts", OUTCOME_NAMES.map((name) => h("div", { key: name }, h("dt", outcomeCell(name), ` ${OUTCOMES[name].word}`), h("dd", OUTCOMES[name].help))))),
    h("p.note", `Times are ${usesLocalZone() ? "those of this machine" : "UTC"}; the clock on top is the host's. Press it to change. Now: ${shortClock(now())}.`),
    h("div.buttons", h("button.primary", { type: "submit" }, "Close"))));
  element.addEventListener("close", () => element.remove());
  document.body.append(element);
  element.showModal();
}

onTokenNeeded(async (problem, method) => {
  const token = await askToken(method === "GET" ? "reading" : hasToken() ? "acting; the present one does not allow it" : "acting", problem);
  if (token) setToken(token);
  return Boolean(token);
});
subscribe((change) => {
  bad = state.host ? problems(state, [...state.jobs.values()]).filter((problem) => problem.tone === "bad").length : 0;
  page?.changed?.(change);
  // Not with the drawing: nothing is drawn in a tab that is not seen, whose title is all there is to see.
  if (page) document.title = titleText();
  // The first answer is not kept waiting for a frame.
  if (state.host && !isShown) draw();
  else context.draw();
});
// The address says which page is shown: skipping to its content stays there.
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
addEventListener("hashchange", route);
addEventListener("keydown", onKey);
// Countdowns, on the second of the host's clock.
function tick() {
  if (!document.hidden) context.draw();
  setTimeout(tick, 1000 - (now() % 1000) + 5);
}
addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
route();
start();
setTimeout(tick, 1000 - (now() % 1000) + 5);
