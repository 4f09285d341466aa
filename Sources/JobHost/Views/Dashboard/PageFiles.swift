// Written by scripts/embed-page from static/. Edit those files, not this one.
enum PageFiles {
    static let all: [PageFile] = [
        PageFile(
            "actions.js", type: "text/javascript; charset=utf-8", digest: "ef59086d5bd70746", ###"""
// What can be pressed. Everything that changes something asks for the reason first, which goes
// to the audit, and shows the command that does the same.

import { h, render } from "./dom.js";
import { post, path, APIError } from "./api.js";
import { counted } from "./words.js";
import { parseTime, timeText, now, instant, when, exact, zoneName, age } from "./time.js";
import { refresh } from "./live.js";

const quote = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);

/**
 * Each: `label` of the button; `title(about)` and `verb` of the dialog; `path`, `body`, `command`
 * of (about, fields); `fields` it asks for besides the reason; `danger`: it takes something away.
 */
const ACTIONS = {
  trigger: {
    label: "Run now", verb: "Run", title: ({ job }) => `Run ${job} now`,
    path: ({ job }) => path("jobs", job, "trigger"),
    body: (_, { payload }) => (payload.trim() ? { payload: JSON.parse(payload) } : {}),
    command: ({ job }, { payload }) => `trigger ${job}${payload.trim() ? ` --payload ${quote(payload.trim())}` : ""}`,
    fields: [{ name: "payload", label: "Payload (JSON, may stay empty)", kind: "json" }],
    done: (answer, { job }) => ({ text: `Run ${answer.run.id} of ${job} waits to start.`, link: `#/runs/${answer.run.id}`, word: "Show it" }),
  },
  pause: {
    label: "Pause", verb: "Pause", title: ({ job }) => `Pause ${job}`,
    note: "Nothing new of it starts until it is resumed. What runs goes on; fire times are recorded as skipped, enqueued runs and retries wait.",
    path: ({ job }) => path("jobs", job, "pause"), command: ({ job }) => `pause ${job}`,
    done: (_, { job }) => ({ text: `${job} is paused.` }),
  },
  resume: {
    label: "Resume", verb: "Resume", title: ({ job }) => `End the pause of ${job}`,
    path: ({ job }) => path("jobs", job, "resume"), command: ({ job }) => `resume ${job}`,
    done: (_, { job }) => ({ text: `${job} goes on.` }),
  },
  enable: {
    label: "Switch on", verb: "Switch on", title: ({ job }) => `Switch ${job} on`,
    note: "Survives restarts and reloads.",
    path: ({ job }) => path("jobs", job, "enable"), command: ({ job }) => `enable ${job}`,
    done: (_, { job }) => ({ text: `${job} is on.` }),
  },
  disable: {
    label: "Switch off", verb: "Switch off", danger: true, title: ({ job }) => `Switch ${job} off`,
    note: "Survives restarts and reloads. What runs goes on.",
    path: ({ job }) => path("jobs", job, "disable"), command: ({ job }) => `disable ${job}`,
    done: (_, { job }) => ({ text: `${job} is off.` }),
  },
  asConfigured: {
    label: "As configured", verb: "Forget it", title: ({ job }) => `Forget what was decided by hand for ${job}`,
    note: "The config says again whether it is on.",
    path: ({ job }) => path("jobs", job, "enable"), body: () => ({ as_configured: true }),
    command: ({ job }) => `enable ${job} --as-configured`,
    done: (_, { job }) => ({ text: `${job} is as the config says.` }),
  },
  breakerOpen: {
    label: "Open breaker", verb: "Open", danger: true, title: ({ job }) => `Open the breaker of ${job}`,
    note: "Nothing new of it starts until then. Fire times are recorded as skipped; enqueued runs and retries wait.",
    path: ({ job }) => path("jobs", job, "breaker"),
    body: (_, { until }) => ({ action: "open", ...(until ? { until: new Date(until).toISOString() } : {}) }),
    command: ({ job }, { until }) => `breaker ${job} open${until ? ` --until ${new Date(until).toISOString().slice(0, 19)}Z` : ""}`,
    fields: [{ name: "until", label: "Until (empty: until somebody closes it)", kind: "time" }],
    done: (_, { job }) => ({ text: `The breaker of ${job} is open.` }),
  },
  breakerClose: {
    label: "Close breaker", verb: "Close", title: ({ job }) => `Close the breaker of ${job}`,
    path: ({ job }) => path("jobs", job, "breaker"), body: () => ({ action: "close" }),
    command: ({ job }) => `breaker ${job} close`, done: (_, { job }) => ({ text: `The breaker of ${job} is closed.` }),
  },
  breakerReset: {
    label: "Try at once", verb: "Reset", title: ({ job }) => `Reset the breaker of ${job}`,
    note: "Closed with a clean memory; the job runs at its next fire time.",
    path: ({ job }) => path("jobs", job, "breaker"), body: () => ({ action: "reset" }),
    command: ({ job }) => `breaker ${job} reset`, done: (_, { job }) => ({ text: `The breaker of ${job} is reset.` }),
  },
  breakerDisable: {
    label: "Disable breaker", verb: "Disable", danger: true, title: ({ job }) => `Disable the breaker of ${job}`,
    note: "The job runs however often it fails.",
    path: ({ job }) => path("jobs", job, "breaker"), body: () => ({ action: "disable" }),
    command: ({ job }) => `breaker ${job} disable`, done: (_, { job }) => ({ text: `The breaker of ${job} is disabled.` }),
  },
  retry: {
    label: "Retry run", verb: "Retry", title: ({ run }) => `Retry run ${run}`,
    note: "A new run with its payload and idempotency key.",
    path: ({ run }) => path("runs", run, "retry"), command: ({ run }) => `retry ${run}`,
    done: (answer, { run }) => ({ text: `Run ${run} is tried again as run ${answer.run.id}.`, link: `#/runs/${answer.run.id}`, word: "Show it" }),
  },
  cancel: {
    label: "Cancel run", verb: "Cancel it", danger: true, title: ({ run }) => `Cancel run ${run}`,
    note: "A waiting run ends at once; a running one is asked to stop, and killed after the job's kill_grace.",
    path: ({ run }) => path("runs", run, "cancel"), command: ({ run }) => `cancel ${run}`,
    done: (_, { run }) => ({ text: `Run ${run} is being cancelled.` }),
  },
  reload: {
    label: "Reload", verb: "Reload", title: () => "Apply the config as it is on disk now",
    note: "Unchanged jobs notice nothing. Look at the plan first.",
    path: () => "/reload", command: () => "reload",
    done: (report) => ({
      text: report.accepted ? (report.clean ? `Generation ${report.generation} serves.` : "Accepted, but not all of it.") : "The reload was refused; nothing changed.",
      tone: report.clean ? "" : "bad", link: "#/plugins", word: "Report",
    }),
  },
  rollback: {
    label: "Let it serve", verb: "Let it serve", title: ({ plugin, version, hash }) => `Let ${plugin} ${version} (${hash.slice(0, 7)}) serve`,
    note: "Nothing else of the config is read or changed. Survives restarts and reloads until the file changes.",
    path: ({ plugin }) => path("plugins", plugin, "rollback"), body: ({ hash }) => ({ hash }),
    command: ({ plugin, hash }) => `plugin rollback ${plugin} ${hash.slice(0, 12)}`,
    done: (report, { plugin, hash }) => ({
      text: report.clean ? `${plugin} serves with ${hash.slice(0, 7)}.` : `${plugin} did not go back: ${report.errors[0] ?? report.plugins[0]?.detail ?? ""}`,
      tone: report.clean ? "" : "bad",
    }),
  },
  approve: {
    label: "Approve", verb: "Approve", title: ({ ask }) => `Approve ask ${ask}`,
    note: "As a second person: whoever asked cannot. It is done at once.",
    path: ({ ask }) => path("asks", ask, "approve"), command: ({ ask }) => `ask approve ${ask}`,
    done: ({ ask, run }) => ({ text: `${ask.action} of ${ask.job} is approved.`, ...(run ? { link: `#/runs/${run.id}`, word: "Show the run" } : {}) }),
  },
  refuse: {
    label: "Refuse", verb: "Refuse", danger: true, title: ({ ask }) => `Refuse ask ${ask}`,
    note: "Whoever asked takes it back by this.",
    path: ({ ask }) => path("asks", ask, "refuse"), command: ({ ask }) => `ask refuse ${ask}`,
    done: ({ ask }) => ({ text: `${ask.action} of ${ask.job} is ${ask.state}.` }),
  },
  pauseHost: {
    label: "Pause host", verb: "Pause all", danger: true, title: () => "Start nothing new on the whole host",
    note: "What runs goes on; fire times are recorded as skipped, enqueued runs and retries wait.",
    path: () => "/pause", command: () => "pause", done: () => ({ text: "The host is paused." }),
  },
  resumeHost: {
    label: "Resume host", verb: "Resume", title: () => "End the pause of the whole host",
    path: () => "/resume", command: () => "resume", done: () => ({ text: "The host goes on." }),
  },
};

// One that opened by itself tries again by itself, unless it is held open.
ACTIONS.breakerHold = { ...ACTIONS.breakerOpen, label: "Keep open", verb: "Keep open", title: ({ job }) => `Keep the breaker of ${job} open` };

/** Those that only lead somewhere. */
const PLACES = {
  log: { label: "Show log", place: ({ run }) => `#/runs/${run}` },
  explain: { label: "Why not?", place: ({ job }) => `#/jobs/${encodeURIComponent(job)}/explain` },
  dead: { label: "Dead letters", place: ({ job }) => `#/queues?job=${encodeURIComponent(job)}` },
  host: { label: "Host", place: () => "#/host" },
  plugins: { label: "Plugins", place: () => "#/plugins" },
  plan: { label: "Plan", place: () => "#/plugins/plan" },
};

/** The button of an action: h's node. `about`: what it is for ({ job, run }). */
export function button(action, about, look = "") {
  const place = PLACES[action];
  if (place) return h("a.button", { key: `${action} ${about.run ?? about.ask ?? ""}`, href: place.place(about), class: look }, place.label);
  const { label } = ACTIONS[action];
  return h("button", { key: `${action} ${about.run ?? about.ask ?? ""}`, type: "button", class: look, onclick: () => ask(action, about) }, label);
}

/** Opens the dialog of an action; resolves with what the host answered, or null. */
export function ask(action, about) {
  const { fields = [], body = () => ({}), done, ...rest } = ACTIONS[action];
  return dialog({
    ...rest, title: rest.title(about), fields,
    command: (values) => rest.command(about, values),
    async submit(values, reason) {
      const answer = await post(rest.path(about), { ...body(about, values), ...(reason ? { reason } : {}) });
      notice(done(answer, about));
      refresh();
      return answer;
    },
  });
}

/**
 * The same for many runs, one after the other. `what`: retry or discard; resolves when all have
 * been tried, with how many were done, or with null.
 */
export function askMany(what, runs) {
  const verb = what === "retry" ? "Retry" : "Discard";
  return dialog({
    title: `${verb} ${counted(runs.length, "dead letter")}`, verb, danger: what === "discard",
    note: what === "retry" ? "Each becomes a new run with its payload and idempotency key." : "They leave the dead letters for good. Their history stays.",
    command: () => runs.slice(0, 3).map((run) => `dead ${what} ${run}`).join("; ") + (runs.length > 3 ? "; …" : ""),
    fields: [],
    async submit(_, reason, progress) {
      const failed = [];
      let done = 0;
      for (const run of runs) {
        try {
          await post(path("dead", run, what), reason ? { reason } : {});
          done += 1;
        } catch (error) {
          // Without the host there is no use in going on.
          if (error.status === 0 || error.status === 401 || error.status === 403) throw error;
          failed.push(`${run}: ${error.message}`);
        }
        progress(`${done + failed.length} of ${runs.length}`);
      }
      const word = what === "retry" ? "tried again" : "discarded";
      notice({
        text: `${counted(done, "dead letter")} ${word}${failed.length > 0 ? `; ${failed.length} not: ${failed.slice(0, 3).join("; ")}` : "."}`,
        tone: failed.length > 0 ? "bad" : "",
      });
      refresh();
      return done;
    },
  });
}

/** Fires of the past as runs: what they would be first, then the runs. */
export function askBackfill(job) {
  let preview = null;
  return dialog({
    title: `Backfill ${job}`, verb: "Make runs", first: "Show which",
    note: `Runs for fire times that have passed. Times are ${zoneName()}.`,
    fields: [
      { name: "from", label: "From", kind: "time", initial: timeText(now() - 3_600_000) },
      { name: "to", label: "To (not included)", kind: "time", initial: timeText(now()) },
    ],
    command: ({ from, to }) => {
      const text = (ms) => (ms ? `${new Date(ms).toISOString().slice(0, 19)}Z` : "…");
      return `backfill ${job} --from ${text(from)} --to ${text(to)}${preview ? "" : " --dry-run"}`;
    },
    changed() { preview = null; },
    extra: () => preview && backfillPreview(preview),
    isReady: () => preview !== null && preview.total > 0,
    async submit({ from, to }, reason) {
      if (!from || !to) throw new APIError("both times are needed");
      const body = { from: new Date(from).toISOString(), to: new Date(to).toISOString(), ...(reason ? { reason } : {}) };
      if (preview === null) {
        preview = await post(path("jobs", job, "backfill"), { ...body, dry_run: true });
        return undefined;
      }
      const answer = await post(path("jobs", job, "backfill"), body);
      notice({ text: `${counted(answer.total, "run")} of ${job} made.`, link: `#/jobs/${encodeURIComponent(job)}`, word: "History" });
      refresh();
      return answer;
    },
  });
}

function backfillPreview({ fires, total }) {
  if (total === 0) return h("p.note", "There is no fire time in it.");
  const shown = fires.slice(0, 8).map((fire) => when(instant(fire)));
  return h("p.note", `${counted(total, "run")}: ${shown.join(", ")}${total > shown.length ? ", …" : ""}`);
}

/** One at a time. `submit` → undefined keeps it open. */
function dialog({ title, note, verb, first, danger, fields, command, submit, extra, isReady, changed }) {
  return new Promise((resolve) => {
    const element = document.createElement("dialog");
    const values = Object.fromEntries(fields.map((field) => [field.name, field.kind === "time" ? read(field.initial) : (field.initial ?? "")]));
    const unread = {};
    let reason = "";
    let error = null;
    let busy = null;
    let result = null;

    function read(text) { return text ? parseTime(text) : null; }

    function draw() {
      const waits = first !== undefined && !isReady();
      let line = null;
      try { line = `jobhost ${command(values)}${reason ? ` --reason ${quote(reason)}` : ""}`; } catch { /* a field is half written */ }
      render(
        element,
        h("form", { method: "dialog", onsubmit: go, "aria-labelledby": "dialog-title" },
          h("h2", { id: "dialog-title" }, title),
          note && h("p.note", note),
          fields.map((field) => fieldNode(field)),
          h("label", "Reason", h("input", {
            name: "reason", type: "text", maxlength: 500, autocomplete: "off", placeholder: "for the audit: why, and who asked",
            oninput: (event) => { reason = event.target.value; draw(); },
          })),
          extra?.(),
          error && h("p.problem", { role: "alert" }, error.message, error.hint && h("span.hint", ` ${error.hint}`)),
          line && h("p.command", h("code", line)),
          h("div.buttons",
            h("button", { type: "button", onclick: () => element.close() }, "Keep as it is"),
            h("button", { type: "submit", class: danger && !waits ? "danger" : "primary", disabled: busy !== null },
              busy ?? (waits ? first : verb)))));
    }

    function fieldNode(field) {
      const edit = (event) => {
        values[field.name] = field.kind === "time" ? read(event.target.value) : event.target.value;
        unread[field.name] = field.kind === "time" && event.target.value.trim() !== "" && values[field.name] === null;
        changed?.();
        draw();
      };
      const node = field.kind === "json"
        ? h("textarea", { name: field.name, rows: 3, spellcheck: "false", oninput: edit })
        : h("input", { name: field.name, type: "text", value: field.initial, placeholder: 'in 2h, 06:00, 2026-11-21 06:00 …', autocomplete: "off", spellcheck: "false", oninput: edit });
      const given = field.kind === "time" && values[field.name];
      const passed = given ? values[field.name] - now() : null;
      return h("label", { key: field.name }, field.label, node,
        unread[field.name] && h("span.problem", "no time that can be read: in 2h, 30m ago, 06:00, 2026-11-21 06:00:00"),
        passed !== null && h("span.hint.num", `${exact(values[field.name]).slice(0, 19)} UTC, ${passed < 0 ? `${age(-passed)} ago` : `in ${age(passed)}`}`));
    }

    async function go(event) {
      event.preventDefault();
      if (busy !== null || Object.values(unread).includes(true)) return;
      error = null;
      busy = "…";
      draw();
      try {
        const answer = await submit(values, reason.trim(), (text) => { busy = text; draw(); });
        if (answer !== undefined) {
          result = answer;
          element.close();
          return;
        }
      } catch (caught) {
        if (caught.code === "needs_approval") {
          notice({ text: caught.message });
          refresh();
          element.close();
          return;
        }
        error = caught instanceof SyntaxError ? new APIError("the payload is not JSON", { hint: caught.message }) : caught;
      }
      busy = null;
      draw();
    }

    element.addEventListener("close", () => {
      element.remove();
      resolve(result);
    });
    document.body.append(element);
    draw();
    element.showModal();
    element.querySelector("input[name=reason]").focus();
  });
}

/** Asks for the token of `purpose` (reading, acting). → whether one was given. */
export function askToken(purpose, problem) {
  return new Promise((resolve) => {
    const element = document.createElement("dialog");
    let given = null;
    render(element,
      h("form", {
        method: "dialog", "aria-labelledby": "token-title",
        onsubmit: (event) => {
          event.preventDefault();
          given = new FormData(event.target).get("token").trim();
          element.close();
        },
      },
      h("h2", { id: "token-title" }, `This host asks for a token for ${purpose}`),
      h("p.note", problem.message, problem.hint && h("span.hint", ` (${problem.hint})`)),
      purpose.startsWith("acting") && h("p.note", "Unless the config names another, it lies beside the host's state: ", h("code", "cat <state_dir>/act.token"), "."),
      h("p.note", "It is kept in this tab until that is closed."),
      h("label", "Token", h("input", { name: "token", type: "password", autocomplete: "off", required: true })),
      h("div.buttons",
        h("button", { type: "button", onclick: () => element.close() }, "Not now"),
        h("button.primary", { type: "submit" }, "Use it"))));
    element.addEventListener("close", () => {
      element.remove();
      resolve(given);
    });
    document.body.append(element);
    element.showModal();
  });
}

let notices = [];
let nextNotice = 1;

/** Says what came of something, for a while. `tone` bad stays until it is dismissed. */
export function notice({ text, tone = "", link, word }) {
  const id = nextNotice;
  nextNotice += 1;
  notices = [...notices.slice(-2), { id, text, tone, link, word }];
  drawNotices();
  if (tone !== "bad") setTimeout(() => dismiss(id), 12_000);
}

function dismiss(id) {
  notices = notices.filter((entry) => entry.id !== id);
  drawNotices();
}

function drawNotices() {
  render(document.getElementById("notices"), notices.map(({ id, text, tone, link, word }) =>
    h("div.notice", { key: id, class: tone }, h("span", text), link && h("a", { href: link }, word),
      h("button.plain", { type: "button", "aria-label": "Dismiss", onclick: () => dismiss(id) }, "×"))));
}

"""###),
        PageFile(
            "api.js", type: "text/javascript; charset=utf-8", digest: "7a0a3882b87f7556", ###"""
// Requests to the host. Every failure becomes an `APIError` with a sentence and what to do.

import { learnClock } from "./time.js";

const BASE = "api/v1";
/** A request that nothing answers is given up after this, in milliseconds. */
const PATIENCE = 15_000;

export class APIError extends Error {
  constructor(message, { status = 0, code = "unreachable", hint = null } = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.hint = hint;
  }
}

let token = read();
let askForToken = null;

function read() {
  try { return sessionStorage.getItem("jobhost.token") ?? ""; } catch { return ""; }
}

/** For this tab, until it is closed. "": none. */
export function setToken(text) {
  token = text;
  try {
    if (text) sessionStorage.setItem("jobhost.token", text);
    else sessionStorage.removeItem("jobhost.token");
  } catch { /* only until the page is left, then */ }
}

export function hasToken() { return token !== ""; }

/** `ask(problem, method)` → a promise of whether there is a token now. */
export function onTokenNeeded(ask) { askForToken = ask; }

export function headers(more = {}) {
  return token ? { ...more, Authorization: `Bearer ${token}` } : more;
}

export function query(parameters) {
  const pairs = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined && value !== "");
  if (pairs.length === 0) return "";
  return "?" + pairs.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&");
}

export function path(...parts) { return "/" + parts.map((part) => encodeURIComponent(part)).join("/"); }

/** What early.js asked for already; once. */
async function firstAnswer(method, where) {
  const first = method === "GET" && where === "/overview" ? window.firstAnswer : null;
  if (!first) return null;
  window.firstAnswer = null;
  const response = await first.response;
  return response?.ok ? { response, sent: first.sent, received: first.received } : null;
}

async function send(method, where, body, mayAsk) {
  let sent = Date.now();
  let received = null;
  let response;
  try {
    const first = await firstAnswer(method, where);
    if (first) ({ response, sent, received } = first);
    else response = await fetch(BASE + where, {
      method, headers: headers(body === undefined ? {} : { "Content-Type": "application/json" }),
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store", credentials: "same-origin", signal: AbortSignal.timeout(PATIENCE),
    });
  } catch (error) {
    throw new APIError(
      error.name === "TimeoutError" ? "the host did not answer in time" : "the host does not answer",
      { hint: "the page tries again by itself" });
  }
  if (response.ok) {
    let answer;
    try { answer = await response.json(); } catch { throw new APIError("the answer broke off"); }
    const clock = answer.host?.now ?? answer.now;
    if (clock) learnClock(clock, sent, received ?? Date.now());
    return answer;
  }
  let problem = {};
  try { problem = await response.json(); } catch { /* no problem details: the status has to do */ }
  const error = new APIError(problem.detail ?? `the host answered ${response.status} ${response.statusText}`, {
    status: response.status, code: problem.code ?? "refused", hint: problem.hint ?? null,
  });
  // A token that may only read is refused otherwise than one that is not known.
  const wantsToken = response.status === 401 || (response.status === 403 && method === "POST" && token !== "");
  if (wantsToken && mayAsk && askForToken && (await askForToken(error, method))) {
    return send(method, where, body, false);
  }
  throw error;
}

export function get(where) { return send("GET", where, undefined, true); }
/** For what runs by itself: never opens a question. */
export function quietly(where) { return send("GET", where, undefined, false); }
export function post(where, body = {}) { return send("POST", where, body, true); }

/**
 * Server-sent events, read with fetch so that they carry the token. Calls `onOpen()`, then
 * `onEvent({ id, type, data })` for each. Ends, by return or error, with the stream.
 */
export async function stream(where, lastId, { onOpen, onEvent, signal }) {
  const response = await fetch(BASE + where, {
    headers: headers({ Accept: "text/event-stream", ...(lastId ? { "Last-Event-ID": lastId } : {}) }),
    cache: "no-store", credentials: "same-origin", signal,
  });
  const type = response.headers.get("Content-Type") ?? "";
  if (!response.ok || !type.startsWith("text/event-stream")) {
    throw new APIError(`no events: ${response.status}`, { status: response.status });
  }
  onOpen();
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let event = { id: null, type: "message", data: [] };
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop();
    for (const line of lines) {
      if (line === "") {
        onEvent({ id: event.id, type: event.type, data: event.data.join("\n") });
        event = { id: null, type: "message", data: [] };
        continue;
      }
      const colon = line.indexOf(":");
      const field = colon < 0 ? line : line.slice(0, colon);
      const text = colon < 0 ? "" : line.slice(colon + (line[colon + 1] === " " ? 2 : 1));
      if (field === "id") event.id = text;
      else if (field === "event") event.type = text;
      else if (field === "data") event.data.push(text);
    }
  }
}

"""###),
        PageFile(
            "app.js", type: "text/javascript; charset=utf-8", digest: "7b860533815196fd", ###"""
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

/** Address after #/, key after g, name, page. */
const PAGES = [
  ["", "j", "Jobs", JobsPage], ["runs", "r", "Runs", RunsPage], ["timeline", "t", "Timeline", TimelinePage], ["queues", "q", "Queues", QueuesPage],
  ["plugins", "p", "Plugins", PluginsPage], ["host", "h", "Host", HostPage], ["audit", "a", "Audit", AuditPage],
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
    // For measuring: what was asked for is in the document.
    requestAnimationFrame(() => performance.mark("jobs shown"));
  }
  document.title = titleText();
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
}

function drawTop() {
  render(top,
    h("a.host", { href: "#/", title: state.host ? `jobhost ${state.host.version}, generation ${state.host.generation}` : "jobhost" }, state.host?.name ?? "jobhost"),
    h("nav", { "aria-label": "Pages" }, PAGES.map(([address, key, name]) => {
      const isHere = address === place || (address === "" && place === "jobs");
      return h("a", { key: name, href: `#/${address}`, "aria-current": isHere ? "page" : false, title: `g ${key}`, accesskey: false }, name);
    })),
    h("div.status", connection(),
      h("button.plain.num", { type: "button", key: "zone", title: "Times in UTC or in this machine's zone", onclick: () => { toggleZone(); draw(); } }, `${clock(now())} ${zoneName()}`),
      h("button.plain", { type: "button", key: "theme", title: `Theme: ${themeName()}`, "aria-label": `Theme: ${themeName()}. Change it`, onclick: changeTheme }, themeIcon()),
      h("button.plain", { type: "button", key: "help", title: "Keys and marks ( ? )", "aria-label": "Help", onclick: help }, "?")));
}

/** How fresh what is shown is. */
function connection() {
  const asOf = state.asOf === null ? "no data yet" : `data as of ${clock(state.asOf)}${staleness() > 60_000 ? ` (${age(staleness())} old)` : ""}`;
  switch (state.mode) {
    case "live": return h("span.live.tone-ok", { key: "live", role: "status", title: asOf }, h("i"), "live");
    case "polling": return h("span.live.tone-ok", { key: "live", role: "status", title: `${asOf}; asking every few seconds` }, h("i"), "polling");
    case "offline": return h("span.live.tone-bad", { key: "live", role: "status", title: state.error?.message ?? "" }, h("i"), `${asOf}, ${state.error?.status === 401 ? "no access" : "reconnecting …"}`,
      state.error?.status === 401 && h("button", { type: "button", onclick: giveToken }, "Give a token"));
    default: return h("span.live", { key: "live", role: "status" }, h("i"), "connecting …");
  }
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
  render(element, h("form", { method: "dialog", "aria-labelledby": "help-title" }, h("h2", { id: "help-title" }, "Keys and marks"),
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
  bad = state.host ? problems(state.host, [...state.jobs.values()]).filter((problem) => problem.tone === "bad").length : 0;
  page?.changed?.(change);
  context.draw();
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
tick();

"""###),
        PageFile(
            "dom.js", type: "text/javascript; charset=utf-8", digest: "e7a270671e4d6fa4", ###"""
// A page is a function from what is known to a tree of plain objects; `render` makes the
// document look like it, changing only what differs, so that focus, selection and scroll stay.
// What comes from outside (names, payloads, logs) reaches the document as text nodes and
// attribute values alone: there is no way here to hand it over as markup.

const SVG = "http://www.w3.org/2000/svg";
/** Set as properties: the attribute of these is only their first value. */
const PROPERTIES = new Set(["value", "checked", "disabled", "selected", "indeterminate", "open"]);

/**
 * h("button.primary", { onclick, title }, "Run now", …). Props: `key` (identity among siblings),
 * `class` (added to the selector's), `style` (an object, set by property), `on…` (functions),
 * anything else an attribute; null, undefined and false leave it out. Children: nodes, text,
 * numbers, arrays of them; null and false are nothing.
 */
export function h(selector, ...rest) {
  const first = rest[0];
  const hasProps = first !== null && typeof first === "object" && !Array.isArray(first) && first.tag === undefined;
  const props = hasProps ? rest.shift() : {};
  const [tag, ...classes] = selector.split(".");
  if (props.class) classes.push(props.class);
  return { tag, key: props.key, props, classes: classes.join(" "), children: flatten(rest, []), element: null };
}

function flatten(list, into) {
  for (const item of list) {
    if (item === null || item === undefined || item === false || item === true) continue;
    if (Array.isArray(item)) flatten(item, into);
    else if (typeof item === "object") into.push(item);
    else into.push({ tag: "#text", key: undefined, text: String(item), element: null });
  }
  return into;
}

const rendered = new WeakMap();

/** Makes the children of `parent` those of `children`. It must hold nothing else. */
export function render(parent, ...children) {
  const next = flatten(children, []);
  reconcile(parent, rendered.get(parent) ?? [], next, false);
  rendered.set(parent, next);
}

function reconcile(parent, old, next, inSVG) {
  const keyed = new Map();
  const loose = [];
  for (const node of old) {
    if (node.key === undefined) loose.push(node);
    else keyed.set(node.key, node);
  }
  const kept = new Set();
  let looseIndex = 0;
  for (const node of next) {
    let match;
    if (node.key !== undefined) match = keyed.get(node.key);
    else {
      // The next loose one of the same kind; those passed over go.
      let index = looseIndex;
      while (index < loose.length && loose[index].tag !== node.tag) index += 1;
      if (index < loose.length) {
        match = loose[index];
        looseIndex = index + 1;
      }
    }
    if (match && match.tag === node.tag && !kept.has(match)) {
      kept.add(match);
      update(match, node, inSVG);
    } else {
      create(node, inSVG);
    }
  }
  for (const node of old) if (!kept.has(node)) node.element.remove();
  let place = parent.firstChild;
  for (const node of next) {
    if (node.element === place) place = place.nextSibling;
    else parent.insertBefore(node.element, place);
  }
}

function create(node, inSVG) {
  if (node.tag === "#text") {
    node.element = document.createTextNode(node.text);
    return;
  }
  const isSVG = inSVG || node.tag === "svg";
  node.element = isSVG ? document.createElementNS(SVG, node.tag) : document.createElement(node.tag);
  if (node.classes) node.element.setAttribute("class", node.classes);
  reconcile(node.element, [], node.children, isSVG);
  // After the children: a select takes its value from among its options.
  for (const [name, value] of Object.entries(node.props)) set(node.element, name, value);
}

function update(old, node, inSVG) {
  const element = (node.element = old.element);
  if (node.tag === "#text") {
    if (old.text !== node.text) element.data = node.text;
    return;
  }
  if (old.classes !== node.classes) element.setAttribute("class", node.classes);
  reconcile(element, old.children, node.children, inSVG || node.tag === "svg");
  for (const name of Object.keys(old.props)) if (!(name in node.props)) set(element, name, null);
  for (const [name, value] of Object.entries(node.props)) {
    // A field that somebody is writing in is theirs, unless the page itself changed it.
    if (old.props[name] !== value) set(element, name, value, old.props[name]);
  }
}

function set(element, name, value, old) {
  if (name === "key" || name === "class") return;
  if (name.startsWith("on")) {
    element[name] = value ?? null;
  } else if (name === "style") {
    for (const key of Object.keys(old ?? {})) if (!value || !(key in value)) element.style.removeProperty(key);
    for (const [key, text] of Object.entries(value ?? {})) element.style.setProperty(key, text);
  } else if (PROPERTIES.has(name)) {
    if (name === "open") element.toggleAttribute("open", Boolean(value));
    else element[name] = value ?? (name === "value" ? "" : false);
  } else if (value === null || value === undefined || value === false) {
    element.removeAttribute(name);
  } else {
    element.setAttribute(name, value === true ? "" : String(value));
  }
}

"""###),
        PageFile(
            "early.js", type: "text/javascript; charset=utf-8", digest: "49c576d58323a11e", ###"""
// Before the first paint: a chosen theme, so that it does not flash, and the first question to
// the host, which is answered while the page's other files arrive. A file of its own, for the
// page's content security policy allows no inline script.
(function () {
  "use strict";
  let token = null;
  try {
    const theme = localStorage.getItem("jobhost.theme");
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
    token = sessionStorage.getItem("jobhost.token");
  } catch {
    // Storage may be forbidden; then the system's choice holds.
  }
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const first = { sent: Date.now(), received: null };
  first.response = fetch("api/v1/overview", { headers, cache: "no-store", credentials: "same-origin" }).then(
    (response) => {
      first.received = Date.now();
      return response;
    },
    () => null);
  window.firstAnswer = first;
})();

"""###),
        PageFile(
            "favicon.svg", type: "image/svg+xml", digest: "2f2080c581b59b4d", ###"""
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" rx="3" fill="#2c5bc7"/><rect x="3" y="8" width="2" height="5" fill="#fff"/><rect x="7" y="3" width="2" height="10" fill="#fff"/><rect x="11" y="6" width="2" height="7" fill="#fff"/></svg>

"""###),
        PageFile(
            "index.html", type: "text/html; charset=utf-8", digest: "c238ce8ff5c74e90", ###"""
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>jobhost</title>
<link rel="icon" href="favicon.svg" type="image/svg+xml">
<link rel="stylesheet" href="style.css">
<script src="early.js"></script>
<link rel="modulepreload" href="app.js">
<link rel="modulepreload" href="api.js">
<link rel="modulepreload" href="dom.js">
<link rel="modulepreload" href="time.js">
<link rel="modulepreload" href="words.js">
<link rel="modulepreload" href="marks.js">
<link rel="modulepreload" href="live.js">
<link rel="modulepreload" href="problems.js">
<link rel="modulepreload" href="actions.js">
<link rel="modulepreload" href="parts.js">
<link rel="modulepreload" href="log.js">
<link rel="modulepreload" href="page-jobs.js">
<link rel="modulepreload" href="page-job.js">
<link rel="modulepreload" href="page-run.js">
<link rel="modulepreload" href="page-runs.js">
<link rel="modulepreload" href="page-timeline.js">
<link rel="modulepreload" href="page-queues.js">
<link rel="modulepreload" href="page-plugins.js">
<link rel="modulepreload" href="page-host.js">
<script type="module" src="app.js"></script>
</head>
<body>
<a class="skip" href="#main">Skip to content</a>
<header id="top"></header>
<main id="main" tabindex="-1"></main>
<div id="notices" role="status" aria-live="polite"></div>
<noscript>This page needs JavaScript. Without it: <code>jobhost status</code>, or GET /api/v1/status.</noscript>
</body>
</html>

"""###),
        PageFile(
            "live.js", type: "text/javascript; charset=utf-8", digest: "83289d165deb054d", ###"""
// What the host last said, kept fresh: by events where the host sends them, else by asking every
// few seconds. Whatever happens, the page says how old its data is.

import { quietly, query, stream, APIError } from "./api.js";
import { now, instant } from "./time.js";

/** Milliseconds between looks at everything: without events, with events, after a failure. */
const POLL = 3_000;
const SWEEP = 15_000;
/** How far a run is comes by no event: jobs that run are asked for so often, unless they are many. */
const PACE = 2_000;
const MOST_RUNNING = 20;
const RETRY = [1_000, 2_000, 4_000, 8_000];
/** Events of a burst are answered together. */
const GATHER = 400;
/** A stream that says nothing at all for so long is dead. */
const SILENCE = 45_000;

/** `mode`: connecting, live, polling, offline. */
export const state = { mode: "connecting", asOf: null, error: null, host: null, jobs: new Map(), recent: new Map() };

const listeners = new Set();
let lastId = null;
let dirtyJobs = new Set();
let dirtyAll = false;
let gathering = null;
let sweeping = null;
let failures = 0;
let streaming = false;

/**
 * `listener({ jobs, all })`: names of jobs that something happened to; `all`: anything may have.
 * Returns how to end it.
 */
export function subscribe(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function tell(change) { for (const listener of [...listeners]) listener(change); }

export async function start() {
  await refresh();
  setInterval(watchRunning, PACE);
  follow();
}

/** Everything, now. */
export async function refresh() {
  try {
    const overview = await quietly("/overview");
    take(overview, true);
    succeeded();
    tell({ jobs: new Set(), all: true });
  } catch (error) {
    failed(error);
  }
  schedule();
}

function take(overview, whole) {
  state.host = overview.host;
  state.asOf = instant(overview.host.now);
  if (whole) {
    const names = new Set(overview.jobs.map((job) => job.name));
    for (const name of state.jobs.keys()) if (!names.has(name)) state.jobs.delete(name);
  }
  for (const job of overview.jobs) {
    if (job.recent.length > 0) state.recent.set(job.name, job.recent);
    else job.recent = state.recent.get(job.name) ?? [];
    state.jobs.set(job.name, job);
  }
}

function succeeded() {
  failures = 0;
  state.error = null;
  state.mode = streaming ? "live" : "polling";
}

function failed(error) {
  failures += 1;
  state.error = error;
  state.mode = "offline";
  tell({ jobs: new Set(), all: false });
}

function schedule() {
  clearTimeout(sweeping);
  const delay = state.error ? RETRY[Math.min(failures - 1, RETRY.length - 1)] : streaming ? SWEEP : POLL;
  sweeping = setTimeout(refresh, delay);
}

/** Attempts of jobs whose rows are seen; asked for only where something newer is known of. */
export async function wantRecent(names) {
  const stale = names.filter((name) => {
    const last = state.jobs.get(name)?.last;
    if (!last) return false;
    const known = state.recent.get(name)?.at(-1);
    return !known || (last.finished_at !== null && instant(last.finished_at) > instant(known.finished_at));
  });
  if (stale.length === 0 || state.error) return;
  try {
    take(await quietly("/overview" + query({ job: stale.join(","), recent: 20 })), false);
    tell({ jobs: new Set(stale), all: false });
  } catch { /* the next sweep says what is the matter */ }
}

function watchRunning() {
  if (!streaming || document.hidden || state.error) return;
  const running = [...state.jobs.values()].filter((job) => job.running.some((run) => run.started_at));
  if (running.length <= MOST_RUNNING) for (const job of running) touched(job.name);
}

function touched(job) {
  if (job) dirtyJobs.add(job);
  else dirtyAll = true;
  gathering ??= setTimeout(gather, GATHER);
}

async function gather() {
  const jobs = dirtyJobs;
  const all = dirtyAll || jobs.size > 60;
  dirtyJobs = new Set();
  dirtyAll = false;
  try {
    if (all) {
      await refresh();
      return;
    }
    take(await quietly("/overview" + query({ job: [...jobs].join(","), recent: 20 })), false);
    succeeded();
    tell({ jobs, all: false });
  } catch (error) {
    failed(error);
    schedule();
  } finally {
    gathering = null;
    if (dirtyJobs.size > 0 || dirtyAll) gathering = setTimeout(gather, GATHER);
  }
}

/** Reads events for as long as the page lives; between two streams the page polls. */
async function follow() {
  for (let misses = 0; ; ) {
    const ended = new AbortController();
    let heard = Date.now();
    const watch = setInterval(() => { if (Date.now() - heard > SILENCE) ended.abort(); }, 5_000);
    try {
      await stream("/events", lastId, {
        signal: ended.signal,
        onOpen() {
          misses = 0;
          streaming = true;
          state.mode = "live";
          // What happened between the last answer and this stream.
          touched(null);
        },
        onEvent(event) {
          heard = Date.now();
          if (event.id) lastId = event.id;
          if (event.data) touched(event.type === "reset" ? null : jobOf(event));
        },
      });
    } catch (error) {
      if (error instanceof APIError && [400, 410].includes(error.status)) lastId = null;
      misses += 1;
    }
    clearInterval(watch);
    if (streaming) {
      streaming = false;
      await refresh();
    }
    await new Promise((done) => { setTimeout(done, Math.min(30_000, 1_000 * 2 ** Math.min(misses, 5))); });
  }
}

function jobOf(event) {
  try {
    const body = JSON.parse(event.data);
    return typeof body.job === "string" ? body.job : null;
  } catch { return null; }
}

/** Milliseconds since the data was true. */
export function staleness() { return state.asOf === null ? null : Math.max(0, now() - state.asOf); }

"""###),
        PageFile(
            "log.js", type: "text/javascript; charset=utf-8", digest: "8d5cd98b8f8869f5", ###"""
// A run's log: what it printed and logged, followed while it runs.

import { h } from "./dom.js";
import { quietly, path, query } from "./api.js";
import { instant, clock, exact } from "./time.js";

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
        h("span.hint", `${matching.length.toLocaleString("en")} of ${this.lines.length.toLocaleString("en")} lines, ${state}`),
        h("label.inline", h("input", {
          type: "checkbox", checked: this.isFollowing,
          onchange: (event) => { this.isFollowing = event.target.checked; this.changed(); },
        }), "Stay at the end")),
      h("div.lines", { role: "log", tabindex: 0, "aria-label": `Log of run ${this.run}`, "aria-live": "off" },
        from > 0 && h("button.plain", { type: "button", onclick: () => { this.shown += 5 * SHOWN; this.changed(); } },
          `${from.toLocaleString("en")} earlier lines`),
        matching.length === 0 && h("p.empty", this.lines.length === 0 ? (this.ended ? "It said nothing." : "Nothing yet.") : "No such line."),
        matching.slice(from).map((line, index) => this.line(line, from + index))));
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

"""###),
        PageFile(
            "marks.js", type: "text/javascript; charset=utf-8", digest: "f131a5e6312b6dfd", ###"""
// Small drawings. What differs in colour differs in shape too.

import { h } from "./dom.js";
import { OUTCOMES, outcomeOf, counted } from "./words.js";
import { span } from "./time.js";

/** One letter-sized mark for a tone; `word` for those who do not see it, "" where it stands beside. */
export function toneMark(tone, word) {
  const shape = {
    ok: h("circle", { cx: 8, cy: 8, r: 4, class: "fill" }),
    idle: h("circle", { cx: 8, cy: 8, r: 3.5, class: "line" }),
    busy: h("path", { d: "M5 3.5 12.5 8 5 12.5Z", class: "fill" }),
    warn: h("path", { d: "M5 4h2v8H5zM9 4h2v8H9z", class: "fill" }),
    attention: h("path", { d: "M8 2.5 14 13H2Z", class: "line" }),
    bad: h("path", { d: "M4 4l8 8M12 4l-8 8", class: "stroke" }),
  }[tone];
  const look = tone === "attention" ? "warn" : tone;
  return h("svg.mark", { viewBox: "0 0 16 16", class: `tone-${look}`, ...(word ? { role: "img", "aria-label": word } : { "aria-hidden": "true" }) }, shape);
}

const CELL = 8;
const HEIGHT = 16;

function cell(outcome, x) {
  switch (outcome) {
    case "succeeded": return h("rect", { x: x + 1, y: 3, width: 5, height: 10, class: "fill tone-ok" });
    case "nothing_to_do": return h("rect", { x: x + 1, y: 9, width: 5, height: 4, class: "fill tone-ok dim" });
    case "failed": return h("path", { d: `M${x + 0.5} 4.5l6 7M${x + 6.5} 4.5l-6 7`, class: "stroke tone-bad" });
    case "crashed": return h("path", { d: `M${x + 3.5} 2l3.5 11h-7z`, class: "fill tone-bad" });
    case "timed_out": return h("path", { d: `M${x + 0.5} 3h6l-6 10h6z`, class: "fill tone-bad" });
    case "lost": return h("path", { d: `M${x + 3.5} 3l3 5-3 5-3-5z`, class: "line tone-bad" });
    case "retry": return h("path", { d: `M${x + 0.5} 10l3-5 3 5`, class: "stroke tone-warn" });
    case "snoozed": return h("circle", { cx: x + 3.5, cy: 10, r: 2.5, class: "line tone-idle" });
    default: return h("path", { d: `M${x + 1} 10h5`, class: "stroke tone-idle" });
  }
}

/** The last outcomes, oldest first, right-aligned in `places`. */
export function strip(recent, places = 20) {
  const shown = recent.slice(-places);
  const left = (places - shown.length) * CELL;
  return h(
    "svg.strip",
    { viewBox: `0 0 ${places * CELL} ${HEIGHT}`, width: places * CELL, height: HEIGHT, role: "img", "aria-label": stripWords(shown) },
    shown.map((attempt, index) => cell(attempt.outcome, left + index * CELL)));
}

function stripWords(recent) {
  if (recent.length === 0) return "no attempt yet";
  const counts = new Map();
  for (const { outcome } of recent) counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
  const parts = [...counts].map(([outcome, count]) => `${count} ${outcomeOf(outcome).word}`);
  return `last ${counted(recent.length, "attempt")}: ${parts.join(", ")}`;
}

/** For the legend. */
export function outcomeCell(outcome) {
  return h("svg.strip", { viewBox: `0 0 ${CELL} ${HEIGHT}`, width: CELL, height: HEIGHT, "aria-hidden": "true" }, cell(outcome, 0));
}
export const OUTCOME_NAMES = Object.keys(OUTCOMES);

/**
 * Lengths in microseconds (null: a hole), oldest first, as a line from zero to the longest,
 * right-aligned as the strip is.
 */
export function spark(values, name, width = 80, height = 18, places = 20) {
  const known = values.filter((value) => value !== null && value !== undefined);
  if (known.length === 0) return h("svg.spark", { viewBox: `0 0 ${width} ${height}`, width, height, "aria-hidden": "true" });
  const top = Math.max(...known, 1);
  const step = (width - 4) / (places - 1);
  const left = 2 + (places - values.length) * step;
  const y = (value) => height - 2 - (value / top) * (height - 4);
  let path = "";
  let pen = false;
  values.forEach((value, index) => {
    if (value === null || value === undefined) { pen = false; return; }
    path += `${pen ? "L" : "M"}${(left + index * step).toFixed(1)} ${y(value).toFixed(1)}`;
    pen = true;
  });
  const last = values.length - 1;
  const end = values[last];
  return h(
    "svg.spark",
    {
      viewBox: `0 0 ${width} ${height}`, width, height, role: "img",
      "aria-label": `${name}: last ${span(known[known.length - 1])}, longest ${span(Math.max(...known))}`,
    },
    h("path", { d: path, class: "stroke" }),
    end !== null && end !== undefined && h("circle", { cx: left + last * step, cy: y(end), r: 1.8, class: "fill" }));
}

"""###),
        PageFile(
            "page-host.js", type: "text/javascript; charset=utf-8", digest: "4dc6fc3edce078e7", ###"""
// The host itself: is it well, who works for it; and the audit.

import { h } from "./dom.js";
import { quietly, get, query } from "./api.js";
import { state } from "./live.js";
import { button } from "./actions.js";
import { problems } from "./problems.js";
import { instant, now, age, when, relative } from "./time.js";
import { size, counted } from "./words.js";
import { section, table, facts, time, runLink, auditRows, auditColumns, failure, badge } from "./parts.js";
import { toneMark } from "./marks.js";

export class HostPage {
  constructor(context) {
    this.context = context;
    this.host = null;
    this.error = null;
    this.isClosed = false;
    this.load();
  }

  get title() { return "Host"; }
  close() { this.isClosed = true; }
  changed(change) { if (change.all) this.load(); }
  get needsTicks() { return true; }

  async load() {
    if (this.loading) return;
    this.loading = true;
    try {
      const [host, workers] = await Promise.all([quietly("/host"), quietly("/workers")]);
      Object.assign(this, { host, workers: workers.workers, error: null });
    } catch (error) {
      if (error.status > 0) this.error = error;
    }
    this.loading = false;
    if (!this.isClosed) this.context.draw();
  }

  view() {
    if (this.error) return failure(this.error);
    if (!this.host || !state.host) return h("p.empty", "…");
    return [h("header.title", { key: "title" }, h("h1", this.host.name), badge(this.host.phase === "running" ? "ok" : "warn", this.host.phase),
      h("div.press", button(state.host.control.paused ? "resumeHost" : "pauseHost", {}), h("a.button", { href: "#/plugins" }, "Reloads"))),
    h("div.columns", { key: "columns" }, this.health(), this.about()), this.workerList()];
  }

  health() {
    const found = problems(state.host, [...state.jobs.values()]);
    const ofHost = found.filter((problem) => problem.job === null);
    return section("Health", {},
      ofHost.length === 0 ? h("p.fine", toneMark("ok", ""), "Nothing is wrong with the host itself.") : h("ul.plainlist", ofHost.map((problem) =>
        h("li", { key: problem.key, class: `tone-${problem.tone}` }, problem.why, problem.since !== null && h("span.hint", ` since ${when(problem.since)}`)))),
      (state.host.notes ?? []).map((text) => h("p.hint", { key: text }, text)),
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

  workerList() {
    const rows = [...this.workers].sort((a, b) => b.resident_bytes - a.resident_bytes).map((worker) => h("tr", { key: worker.pid },
      h("td.num", String(worker.pid)), h("td", worker.plugin), h("td", badge(worker.state === "running" ? "busy" : worker.state === "idle" ? "ok" : "idle", worker.state)), h("td", worker.run ? runLink(worker.run) : ""),
      h("td.num", worker.runs.toLocaleString("en")), h("td.num", age(now() - instant(worker.started_at))), h("td.num", size(worker.resident_bytes)), h("td", h("code", worker.library_hash.slice(0, 12)))));
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
    try {
      this.entries = (await get("/audit" + query({ job: this.job, limit: this.limit }))).audit;
      this.error = null;
    } catch (error) {
      if (error.status > 0) this.error = error;
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
        this.entries?.length === this.limit && this.limit < 1000 && h("button.plain", { type: "button", onclick: () => { this.limit = 1000; this.load(); } }, "Older"))];
  }
}

"""###),
        PageFile(
            "page-job.js", type: "text/javascript; charset=utf-8", digest: "53d08fdcd7d10687", ###"""
// One job: what it does now, what it did, its log, its rule, its settings, and what to press.

import { h } from "./dom.js";
import { get, quietly, path, query } from "./api.js";
import { state, wantRecent } from "./live.js";
import { problems, condition, lately, nextWords } from "./problems.js";
import { toneMark, strip, spark } from "./marks.js";
import { button, askBackfill } from "./actions.js";
import { Log } from "./log.js";
import { instant, when, exact, relative, now, parseTime, timeText, zoneName } from "./time.js";
import { breakerOf, counted, pretty, OUTCOMES } from "./words.js";
import { section, table, ledgerRows, runColumns, facts, time, runLink, auditRows, auditColumns, failure, badge } from "./parts.js";

const PAGE = 25;
const HISTORIES = [["", "All"], ["bad", "Failed"], ["good", "Succeeded"], ["waiting", "Waiting, running"]];
const STATES = { waiting: { state: "scheduled,available,retryable,running" }, bad: { outcome: "failed,timed_out,crashed,lost,retry" }, good: { outcome: "succeeded,nothing_to_do" } };

export class JobPage {
  constructor(context, parameters, name, place) {
    this.context = context;
    this.name = name;
    this.job = null;
    this.error = null;
    this.fires = null;
    this.audit = null;
    this.history = { runs: [], ranges: [], next: null };
    this.which = "";
    this.explained = null;
    this.explainText = timeText(now() - 60_000);
    this.log = null;
    this.isClosed = false;
    this.loading = null;
    this.load();
    if (place === "explain") this.explain();
  }

  get title() { return this.name; }

  close() {
    this.isClosed = true;
    this.log?.close();
  }

  changed(change) { if (change.all || change.jobs.has(this.name)) this.load(); }

  async load() {
    // Changes while one is under way are answered by one more.
    if (this.loading) { this.again = true; return; }
    this.loading = true;
    const where = path("jobs", this.name);
    try {
      const [job, history, fires, audit] = await Promise.all([
        quietly(where), quietly("/runs" + query({ job: this.name, limit: PAGE, ...STATES[this.which] })),
        quietly(where + "/next" + query({ count: 6 })), quietly("/audit" + query({ job: this.name, limit: 10 })),
      ]);
      if (this.isClosed) return;
      Object.assign(this, { job, fires, audit: audit.audit, error: null });
      if (!this.older) this.history = { runs: history.runs, ranges: history.ranges, next: history.next_before };
      this.follow(history.runs);
    } catch (error) {
      if (this.isClosed) return;
      if (error.status > 0 || !this.job) this.error = error;
    }
    this.loading = null;
    this.context.draw();
    if (this.again) {
      this.again = false;
      setTimeout(() => { if (!this.isClosed) this.load(); }, 500);
    }
  }

  /** The log of the newest run that has started, unless somebody is reading another one. */
  follow(runs) {
    const newest = runs.find((run) => run.started_at);
    if (!newest || this.which || newest.id === this.log?.run || (this.log && !this.log.isFollowing)) return;
    this.log?.close();
    this.log = new Log(newest.id, () => this.context.draw());
  }

  view() {
    if (this.error) return [h("h1", this.name), failure(this.error), h("p", h("a", { href: "#/runs?job=" + encodeURIComponent(this.name) }, "Its runs in the ledger"))];
    if (!this.job) return h("p.empty", "…");
    const line = state.jobs.get(this.name);
    queueMicrotask(() => wantRecent([this.name]));
    return [this.head(line), h("div.columns", { key: "columns" }, this.nowPart(line), this.steering(), h("div.stack", { key: "when" }, this.schedule(), this.explainPart())),
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
    const [problem] = problems(null, [line]);
    const next = nextWords(line, state.host);
    const fire = instant(line.next_fire);
    const run = line.running[0];
    return section("Now", {},
      problem && h("div.callout", { class: `tone-${problem.tone}` },
        h("p", toneMark(problem.tone === "bad" ? "bad" : "attention", "problem"), h("span", problem.why,
          problem.since !== null && h("span.hint", ` since ${when(problem.since)}, ${relative(problem.since)}`))),
        problem.more.map((text) => h("p.hint", text)),
        h("div.press", problem.actions.map((entry, index) => button(entry.action, { job: this.name, ...entry }, index === 0 ? "first" : "")))),
      facts([
        ["Lately", h("span.num", lately(line))],
        ["Next fire", h("span.num", { class: next.tone ? `tone-${next.tone}` : "", title: fire === null ? false : exact(fire) },
          next.text, fire !== null && line.enabled && h("span.hint", ` at ${when(fire)}`))],
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
    const fires = this.fires.fires.filter((fire) => instant(fire) > now());
    return section("Schedule", {},
      h("p.rule", this.job.schedule, this.job.timezone !== "UTC" && h("span.hint", ` ${this.job.timezone}`)),
      fires.length === 0 ? h("p.empty", "No fire time of its own.") : h("ol.fires", fires.map((fire) => {
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
        onclick: () => { this.which = key; this.older = false; this.load(); },
      }, label))),
    },
    table("History", runColumns(false), ledgerRows(this.history, false), "No run yet."),
    this.history.next !== null && h("button.plain", { type: "button", onclick: () => this.more() }, "Older"));
  }

  async more() {
    this.older = true;
    try {
      const page = await get("/runs" + query({ job: this.name, limit: PAGE, before: this.history.next, ...STATES[this.which] }));
      this.history = { runs: [...this.history.runs, ...page.runs], ranges: [...this.history.ranges, ...page.ranges], next: page.next_before };
    } catch (error) { this.error = error; }
    this.context.draw();
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
      facts(counters.map(([name, value]) => [OUTCOMES[name]?.word ?? name.replaceAll("_", " "), h("span.num", value.toLocaleString("en"))])),
      facts([["library", h("code", { title: this.job.library_hash }, this.job.library_hash.slice(0, 12))]]));
  }

  auditPart() {
    return section("What was done by hand", { wide: true, aside: h("a", { href: "#/audit?job=" + encodeURIComponent(this.name) }, "All") },
      table("Audit", auditColumns(false), auditRows(this.audit ?? [], false), "Nothing."));
  }

  drawn(root) { this.log?.settle(root); }

  get needsTicks() { return true; }
}

function inZone(ms, zone) {
  try {
    return new Intl.DateTimeFormat("en-GB", { timeZone: zone, weekday: "short", hour: "2-digit", minute: "2-digit", second: "2-digit" }).format(ms) + ` ${zone}`;
  } catch { return ""; }
}

"""###),
        PageFile(
            "page-jobs.js", type: "text/javascript; charset=utf-8", digest: "87a368b4e447f457", ###"""
// All jobs: what is wrong on top, then one row each. Only the rows in sight are in the document.

import { h } from "./dom.js";
import { state, wantRecent } from "./live.js";
import { problems, condition, lately, nextWords } from "./problems.js";
import { toneMark, strip, spark } from "./marks.js";
import { button } from "./actions.js";
import { instant, when, exact, age, now, span, relative } from "./time.js";
import { failure } from "./parts.js";
import { counted, breakerOf, size, outcomeOf } from "./words.js";

/** Problems shown before "… more". */
const PROBLEMS = 6;
const FILTERS = [
  ["all", "All", () => true],
  ["bad", "Failing", (job, condition) => condition.tone === "bad" || job.dead > 0],
  ["busy", "Running", (job) => job.running.length > 0],
  ["waiting", "Waiting", (job) => job.waiting > 0],
  ["paused", "Paused", (job) => job.control.paused],
  ["off", "Off", (job) => !job.enabled],
];

/** What outlives a visit of the page. */
const kept = { search: "", filter: "all", selected: null, allProblems: false };

export class JobsPage {
  constructor(context, parameters) {
    this.context = context;
    this.first = 0;
    this.last = 40;
    this.onscroll = () => this.look();
    if (parameters.get("q") !== null) kept.search = parameters.get("q");
    addEventListener("scroll", this.onscroll, { passive: true });
    addEventListener("resize", this.onscroll, { passive: true });
  }

  close() {
    removeEventListener("scroll", this.onscroll);
    removeEventListener("resize", this.onscroll);
  }

  get title() { return "Jobs"; }

  /** Of all jobs, once for each drawing: with a thousand of them it counts. */
  judge(jobs) { this.conditions = new Map(jobs.map((job) => [job, condition(job, state.host)])); }

  /** Jobs in the order of the table. */
  rows() {
    const test = FILTERS.find(([name]) => name === kept.filter)[2];
    const needles = kept.search.toLowerCase().split(/\s+/).filter((word) => word !== "");
    const rows = [];
    for (const job of state.jobs.values()) {
      const text = `${job.name} ${job.plugin} ${job.entry} ${job.schedule} ${job.labels.join(" ")}`.toLowerCase();
      if (!needles.every((needle) => text.includes(needle))) continue;
      if (test(job, this.conditions.get(job))) rows.push(job);
    }
    return rows;
  }

  view() {
    if (!state.host) return state.error ? failure(state.error) : h("p.empty", "…");
    const jobs = [...state.jobs.values()];
    this.judge(jobs);
    const rows = (this.shown = this.rows());
    return [h("h1.unseen", { key: "title" }, "Jobs"), this.problems(jobs), this.tools(jobs, rows), this.table(rows)];
  }

  problems(jobs) {
    const found = problems(state.host, jobs);
    const shown = kept.allProblems ? found : found.slice(0, PROBLEMS);
    if (found.length === 0) {
      const on = jobs.filter((job) => job.enabled).length;
      return h("section.problems", { key: "problems", "aria-label": "Problems" },
        h("p.fine", toneMark("ok", ""), jobs.length === 0
          ? "No jobs yet: add a table [jobs.NAME] to the config, then reload."
          : `Nothing is wrong: ${counted(on, "job")} on, none fails, nothing is paused.`));
    }
    return h("section.problems", { key: "problems", "aria-label": "Problems" },
      h("ul", shown.map((problem) =>
        h("li", { key: problem.key, class: `tone-${problem.tone}` },
          toneMark(problem.tone === "bad" ? "bad" : "attention", problem.tone === "bad" ? "problem" : "look"),
          h("div.what",
            problem.job ? h("a.name", { href: `#/jobs/${encodeURIComponent(problem.job)}` }, problem.job) : h("b.name", "host"),
            h("span.why", problem.why),
            problem.more.length > 0 && h("span.more", problem.more.join("; "))),
          h("span.since", problem.since !== null && h("time.num", { datetime: new Date(problem.since).toISOString(), title: exact(problem.since) },
            `since ${when(problem.since)}`, h("span.ago", ` (${age(now() - problem.since)})`))),
          h("div.press", problem.actions.map((entry, index) =>
            button(entry.action, { job: problem.job, ...entry }, index === 0 ? "first" : "")))))),
      found.length > PROBLEMS && h("button.plain", { type: "button", onclick: () => { kept.allProblems = !kept.allProblems; this.context.draw(); } },
        kept.allProblems ? "Fewer" : `${found.length - PROBLEMS} more`));
  }

  tools(jobs, rows) {
    return h("div.tools", { key: "tools" },
      h("input.search", {
        type: "search", id: "search", placeholder: "Find a job  ( / )", "aria-label": "Find a job by name, plugin, label or schedule",
        value: kept.search, spellcheck: "false", autocomplete: "off",
        oninput: (event) => { kept.search = event.target.value; kept.selected = null; this.context.draw(); },
      }),
      h("div.chips", { role: "group", "aria-label": "Which jobs" }, FILTERS.map(([name, label, test]) => {
        const count = name === "all" ? jobs.length : jobs.filter((job) => test(job, this.conditions.get(job))).length;
        if (count === 0 && name !== "all" && kept.filter !== name) return null;
        return h("button.chip", {
          key: name, type: "button", "aria-pressed": kept.filter === name ? "true" : "false",
          onclick: () => { kept.filter = name; this.context.draw(); },
        }, label, h("span.num", ` ${count.toLocaleString("en")}`));
      })),
      h("span.hint", rows.length < jobs.length ? `${counted(rows.length, "job")} shown` : ""));
  }

  get rowHeight() { return matchMedia("(max-width: 760px)").matches ? 64 : 34; }

  table(rows) {
    if (rows.length === 0) return h("p.empty", { key: "table" }, state.jobs.size === 0 ? "" : "No such job.");
    const height = this.rowHeight;
    const first = Math.max(0, Math.min(this.first, rows.length - 1));
    const last = Math.min(rows.length, Math.max(this.last, first + 1));
    const seen = rows.slice(first, last);
    queueMicrotask(() => wantRecent(seen.map((job) => job.name)));
    return h("table.jobs", { key: "table", "aria-rowcount": rows.length + 1, "aria-label": "Jobs" },
      h("thead", h("tr", { "aria-rowindex": 1 },
        h("th.c-mark", { scope: "col" }, h("span.unseen", "State")), h("th.c-name", { scope: "col" }, "Job"),
        h("th.c-last", { scope: "col" }, "Lately"), h("th.c-next", { scope: "col" }, "Next"),
        h("th.c-strip", { scope: "col" }, "Last attempts"), h("th.c-took", { scope: "col" }, "Took"),
        h("th.c-late", { scope: "col" }, "Late"), h("th.c-breaker", { scope: "col" }, "Breaker"),
        h("th.c-queue", { scope: "col" }, "Queue"), h("th.c-memory", { scope: "col" }, "Memory"))),
      h("tbody",
        h("tr.space", { key: "above", "aria-hidden": "true", style: { height: `${first * height}px` } }),
        seen.map((job, index) => this.row(job, first + index)),
        h("tr.space", { key: "below", "aria-hidden": "true", style: { height: `${(rows.length - last) * height}px` } })));
  }

  row(job, index) {
    const { tone, word } = this.conditions.get(job);
    const next = nextWords(job, state.host);
    const fire = instant(job.next_fire);
    const breaker = breakerOf(job.breaker.state);
    const quiet = ["closed", "off"].includes(job.breaker.state);
    const late = job.last && outcomeOf(job.last.outcome).tone === "bad" && job.running.length === 0 ? "tone-bad" : "";
    return h("tr", {
      key: job.name, "aria-rowindex": index + 2, "aria-selected": kept.selected === job.name ? "true" : "false",
      onclick: (event) => { if (!event.target.closest("a, button") && getSelection().isCollapsed) location.hash = `#/jobs/${encodeURIComponent(job.name)}`; },
    },
    h("td.c-mark", toneMark(tone, word)),
    h("td.c-name", h("a", { href: `#/jobs/${encodeURIComponent(job.name)}`, title: `${job.plugin} · ${job.entry}` }, job.name),
      h("span.schedule", job.schedule)),
    h("td.c-last.num", { class: late, title: job.last?.finished_at ? exact(instant(job.last.finished_at)) : false }, lately(job)),
    h("td.c-next.num", { class: next.tone ? `tone-${next.tone}` : "", title: fire === null ? false : `${exact(fire)}, ${relative(fire)}` }, next.text),
    h("td.c-strip", strip(job.recent)),
    h("td.c-took", this.line(job, "duration_us", "took")),
    h("td.c-late", this.line(job, "lateness_us", "late")),
    h("td.c-breaker", { class: `tone-${breaker.tone}` }, quiet ? h("span.dim", job.breaker.state === "off" ? "–" : "closed") : breaker.word),
    h("td.c-queue.num", job.waiting > 0 && h("span", `${job.waiting.toLocaleString("en")} waiting`),
      job.waiting > 0 && job.dead > 0 && ", ",
      job.dead > 0 && h("a.tone-bad", { href: `#/queues?job=${encodeURIComponent(job.name)}` }, `${job.dead.toLocaleString("en")} dead`)),
    h("td.c-memory.num", size(job.resident_bytes)));
  }

  line(job, member, name) {
    const values = job.recent.map((attempt) => attempt[member]);
    return [spark(values, `${job.name} ${name}`, 64, 18), h("span.num", span(job.last?.[member] ?? null))];
  }

  /** Which rows are in sight, and a screenful around them. */
  look() {
    const body = document.querySelector("table.jobs tbody");
    if (!body) return;
    const height = this.rowHeight;
    const top = -body.getBoundingClientRect().top;
    const room = Math.ceil(innerHeight / height);
    const first = Math.max(0, Math.floor(top / height) - 10);
    const last = Math.ceil(top / height) + room + 10;
    // Drawn again only when what is drawn would soon run out.
    if (Math.abs(first - this.first) < 6 && Math.abs(last - this.last) < 6) return;
    this.first = first;
    this.last = Math.max(last, 20);
    this.context.draw();
  }

  drawn() { this.look(); }

  key(name) {
    const rows = this.shown ?? [];
    const at = rows.findIndex((job) => job.name === kept.selected);
    if (name === "j" || name === "k") {
      const index = Math.max(0, Math.min(rows.length - 1, at < 0 ? 0 : at + (name === "j" ? 1 : -1)));
      kept.selected = rows[index]?.name ?? null;
      this.reveal(index);
      this.context.draw();
      return true;
    }
    if (name === "Enter" && at >= 0) {
      location.hash = `#/jobs/${encodeURIComponent(kept.selected)}`;
      return true;
    }
    if (name === "Escape" && (kept.search || kept.selected)) {
      kept.search = "";
      kept.selected = null;
      this.context.draw();
      return true;
    }
    return false;
  }

  reveal(index) {
    const body = document.querySelector("table.jobs tbody");
    if (!body) return;
    const top = body.getBoundingClientRect().top + scrollY + index * this.rowHeight;
    if (top < scrollY + 120) scrollTo({ top: Math.max(0, top - 160) });
    else if (top + this.rowHeight > scrollY + innerHeight) scrollTo({ top: top + 2 * this.rowHeight - innerHeight });
  }
}

"""###),
        PageFile(
            "page-plugins.js", type: "text/javascript; charset=utf-8", digest: "f5c904169b078e1d", ###"""
// Plugins, their versions, and what the last reload did.

import { h } from "./dom.js";
import { quietly, post, path, query } from "./api.js";
import { ask, button } from "./actions.js";
import { instant, relative, span } from "./time.js";
import { size } from "./words.js";
import { section, table, time, failure, badge, jobLink } from "./parts.js";

const CHANGES = { added: "ok", changed: "busy", removed: "warn", kept: "idle", refused: "bad" };

export class PluginsPage {
  constructor(context, parameters, place) {
    this.context = context;
    this.plugins = null;
    this.error = null;
    this.planned = null;
    /** Of the plugin whose versions are shown. */
    this.versions = null;
    this.isClosed = false;
    this.load();
    if (place === "plan") this.plan();
  }

  get title() { return "Plugins"; }
  close() { this.isClosed = true; }
  changed(change) { if (change.all) this.load(); }

  async load() {
    if (this.loading) return;
    this.loading = true;
    try {
      const [plugins, workers, reloads] = await Promise.all([quietly("/plugins"), quietly("/workers"), quietly("/reloads" + query({ limit: 20 }))]);
      Object.assign(this, { plugins: plugins.plugins, workers: workers.workers, reloads: reloads.reloads, error: null });
    } catch (error) {
      if (error.status > 0) this.error = error;
    }
    this.loading = false;
    if (!this.isClosed) this.context.draw();
  }

  async showVersions(plugin) {
    try { this.versions = await quietly(path("plugins", plugin, "versions")); } catch (error) { this.versions = { plugin, versions: [], error }; }
    if (!this.isClosed) this.context.draw();
  }

  async rollBack(plugin, version) {
    if (await ask("rollback", { plugin, hash: version.sha256, version: version.version })) {
      this.load();
      this.showVersions(plugin);
    }
  }

  async plan() {
    this.planned = { isUnderWay: true };
    this.context.draw();
    try { this.planned = { report: await post("/plan") }; } catch (error) { this.planned = { error }; }
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
      const mine = this.workers.filter((worker) => worker.plugin === plugin.name);
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
      return h("tr", { key: version.sha256 }, h("td", version.version || "–"), h("td", h("code", { title: version.sha256 }, version.sha256.slice(0, 12))), h("td", time(version.accepted_at)),
        h("td", badge(tone, word)), h("td.why", version.note),
        h("td", version.state !== "serving" && h("button", { type: "button", onclick: () => this.rollBack(plugin, version) }, "Let it serve")));
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
    return section("Reloads, the newest first", { key: "past" }, table("Reloads", [{ text: "Generation", class: "num" }, "When", "", "What"], rows, "None yet."));
  }
}

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


"""###),
        PageFile(
            "page-queues.js", type: "text/javascript; charset=utf-8", digest: "0be46c5d33ec1db1", ###"""
// What waits, how fast it is done, and what died.

import { h } from "./dom.js";
import { quietly, get, query } from "./api.js";
import { state } from "./live.js";
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
    this.load();
  }

  get title() { return "Queues"; }
  close() { this.isClosed = true; }
  changed() { this.load(); }
  get needsTicks() { return true; }

  async load() {
    if (this.loading) return;
    this.loading = true;
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
    this.loading = false;
    if (!this.isClosed) this.context.draw();
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
        h("td.num", { class: isStuck ? "tone-bad" : "" }, oldest === null ? "–" : age(now() - oldest)),
        h("td.num", job.running.toLocaleString("en")), h("td.num", job.ended_last_minute.toLocaleString("en")),
        h("td.num", this.drains(job, isStuck)),
        h("td.num", job.dead > 0 ? h("button.plain.tone-bad", { type: "button", onclick: () => this.choose(job.job) }, job.dead.toLocaleString("en")) : "0"));
    });
    const right = (text) => ({ text, class: "num" });
    return section("Queues", {
      key: "queues", aside: h("label.inline", h("input", { type: "checkbox", checked: this.showsAll, onchange: (event) => { this.showsAll = event.target.checked; this.context.draw(); } }), "All jobs that ran lately"),
    }, table("Queues", ["Job", right("Waiting"), right("Oldest waits"), right("Running"), right("Done last minute"), right("Empty in"), right("Dead letters")],
      rows, "Nothing waits and nothing died."));
  }

  drains(job, isStuck) {
    if (job.waiting === 0) return "–";
    if (job.ended_last_minute > 0) return `about ${age((job.waiting / job.ended_last_minute) * 60_000)}`;
    const line = state.jobs.get(job.job);
    if (line && !line.enabled) return "never: it is off";
    if (line?.control.paused || state.host?.control.paused) return "never: it is paused";
    if (line && ["open", "forced_open"].includes(line.breaker.state)) return "not now: breaker open";
    return isStuck ? "it stands still" : "–";
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

"""###),
        PageFile(
            "page-run.js", type: "text/javascript; charset=utf-8", digest: "deaffa8053202e52", ###"""
// One run: how it went, attempt by attempt, what it said, what it was asked to do.

import { h } from "./dom.js";
import { quietly, path, query } from "./api.js";
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
    this.load();
  }

  get title() { return `Run ${this.id}`; }

  close() {
    this.isClosed = true;
    this.log.close();
  }

  changed(change) { if (change.all || change.jobs.has(this.detail?.run.job)) this.load(); }

  async load() {
    if (this.loading) return;
    this.loading = true;
    try {
      this.detail = await quietly(path("runs", this.id));
      this.error = null;
      const { run } = this.detail;
      this.explained = WAITING.includes(run.state)
        ? await quietly(path("jobs", run.job, "explain") + query({ at: run.fire_time })).catch(() => null) : null;
    } catch (error) {
      if (error.status > 0 || !this.detail) this.error = error;
    }
    this.loading = false;
    if (!this.isClosed) this.context.draw();
  }

  view() {
    if (this.error) return [h("h1", `Run ${this.id}`), failure(this.error)];
    if (!this.detail) return h("p.empty", "…");
    const { run } = this.detail;
    return [this.head(run), h("div.columns", { key: "columns" }, this.howItWent(run), this.circumstances(run)),
      section("Log", {}, this.log.view()),
      h("div.columns", { key: "more" }, this.attempts(run), this.payload(run), this.audit())];
  }

  head(run) {
    const { tone, word } = standing(run);
    return h("header.title", { key: "title" }, h("h1", toneMark(tone, word), `Run ${run.id}`), h("span", "of ", jobLink(run.job)), runBadge(run),
      h("div.press",
        this.isLive(run) ? button("cancel", { run: run.id, job: run.job }) : button("retry", { run: run.id, job: run.job }, "first"),
        run.state === "discarded" && h("button", { type: "button", onclick: () => askMany("discard", [run.id]) }, "Discard"),
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
    const rows = this.detail.attempts.map((attempt) => {
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
    return section("What was done by hand", {}, table("Audit", auditColumns(false), auditRows(this.detail.audit, false), "Nothing."));
  }

  drawn(root) { this.log.settle(root); }

  get needsTicks() { return true; }
}

"""###),
        PageFile(
            "page-runs.js", type: "text/javascript; charset=utf-8", digest: "eeebda541a484e0a", ###"""
// Runs of all jobs: "which job failed last night?".

import { h } from "./dom.js";
import { get, query } from "./api.js";
import { state } from "./live.js";
import { now, parseTime, zoneName } from "./time.js";
import { section, table, ledgerRows, runColumns, failure } from "./parts.js";

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
    this.error = null;
    this.isClosed = false;
    this.load();
  }

  get title() { return "Runs"; }
  close() { this.isClosed = true; }
  changed(change) { if (change.all && !this.older) this.load(); }

  filter() {
    const from = this.from ? parseTime(this.from) : this.hours ? now() - Number(this.hours) * 3_600_000 : null;
    const to = this.to ? parseTime(this.to) : null;
    const text = (ms) => (ms === null ? null : new Date(ms).toISOString());
    return { job: this.job.trim(), from: text(from), to: text(to), limit: PAGE, ...ENDED[this.ended] };
  }

  choose(changes) {
    Object.assign(this, changes);
    this.older = false;
    // So that the address can be handed on.
    history.replaceState(null, "", "#/runs" + query({ job: this.job, ended: this.ended || "", hours: this.hours, from: this.from, to: this.to }));
    this.load();
  }

  async load() {
    const mine = (this.asked = (this.asked ?? 0) + 1);
    try {
      const page = await get("/runs" + query(this.filter()));
      if (mine !== this.asked) return;
      this.page = page;
      this.error = null;
    } catch (error) {
      if (mine !== this.asked) return;
      this.error = error;
    }
    if (!this.isClosed) this.context.draw();
  }

  async more() {
    this.older = true;
    const page = await get("/runs" + query({ ...this.filter(), before: this.page.next_before })).catch((error) => { this.error = error; });
    if (page) this.page = { runs: [...this.page.runs, ...page.runs], ranges: [...this.page.ranges, ...page.ranges], next_before: page.next_before };
    this.context.draw();
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

"""###),
        PageFile(
            "page-timeline.js", type: "text/javascript; charset=utf-8", digest: "7353578bb49fa27f", ###"""
// Who ran when: a lane for each job, over the last hours. What fails, what did not run and what
// ran at once is drawn differently from what went well.

import { h } from "./dom.js";
import { quietly, query } from "./api.js";
import { state } from "./live.js";
import { instant, now, clock, shortClock, when, span, zoneName, usesLocalZone } from "./time.js";
import { outcomeOf, counted, REASONS } from "./words.js";
import { failure, runLink } from "./parts.js";

const WINDOWS = [["0.1", "6 m"], ["0.25", "15 m"], ["1", "1 h"], ["6", "6 h"], ["24", "24 h"], ["today", "Today"]];
/** Steps across the width, and how wide one is drawn at the least (in the drawing's units). */
const STEPS = 480;
const WIDTH = 1000;
const LANE = 20;
const LANES = 200;

export class TimelinePage {
  constructor(context, parameters) {
    this.context = context;
    this.window = parameters.get("window") ?? "1";
    this.search = "";
    this.onlyTrouble = false;
    this.data = null;
    this.error = null;
    this.pointed = null;
    this.isClosed = false;
    this.asked = 0;
    this.load();
  }

  get title() { return "Timeline"; }
  close() { this.isClosed = true; clearTimeout(this.timer); }
  changed(change) {
    // A whole look at the ledger: not with every run.
    if (change.all || this.timer) return;
    this.timer = setTimeout(() => { this.timer = null; this.load(); }, 5_000);
  }

  limits() {
    const end = now();
    if (this.window !== "today") return [end - Number(this.window) * 3_600_000, end];
    const midnight = new Date(end);
    if (usesLocalZone()) midnight.setHours(0, 0, 0, 0);
    else midnight.setUTCHours(0, 0, 0, 0);
    return [midnight.getTime(), Math.max(end, midnight.getTime() + 60_000)];
  }

  async load() {
    const mine = (this.asked += 1);
    const [from, to] = this.limits();
    const step = Math.max(1, Math.ceil((to - from) / STEPS));
    try {
      const data = await quietly("/timeline" + query({ from: new Date(from).toISOString(), to: new Date(to).toISOString(), step_ms: step }));
      if (mine !== this.asked) return;
      this.data = { ...data, start: from, end: to };
      this.lanes = lanes(data);
      this.error = null;
    } catch (error) {
      if (mine !== this.asked) return;
      this.error = error;
    }
    if (!this.isClosed) this.context.draw();
  }

  view() {
    const known = new Set((this.lanes ?? []).map((lane) => lane.job));
    const begun = [...state.jobs.values()].filter((job) => !known.has(job.name) && job.running.some((run) => run.started_at));
    const all = [...(this.lanes ?? []), ...begun.map((job) => ({ job: job.name, spans: [], ranges: [], runs: 0, bad: 0 }))];
    const shown = all.filter((lane) => lane.job.includes(this.search.toLowerCase()) && (!this.onlyTrouble || lane.bad > 0 || lane.ranges.length > 0));
    return [
      h("header.title", { key: "title" }, h("h1", "Timeline")),
      h("div.tools", { key: "tools" },
        h("input.search", { type: "search", id: "search", value: this.search, placeholder: "Find a job  ( / )", "aria-label": "Find a job", oninput: (event) => { this.search = event.target.value; this.context.draw(); } }),
        h("div.chips", { role: "group", "aria-label": "How long" }, WINDOWS.map(([value, label]) => h("button.chip", {
          key: value, type: "button", "aria-pressed": this.window === value ? "true" : "false",
          onclick: () => { this.window = value; history.replaceState(null, "", `#/timeline?window=${value}`); this.load(); },
        }, label))),
        h("label.inline", h("input", { type: "checkbox", checked: this.onlyTrouble, onchange: (event) => { this.onlyTrouble = event.target.checked; this.context.draw(); } }), "Only with trouble"),
        h("span.legend", legend("ok", "ran"), legend("bad", "failed"), legend("warn", "retry"), legend("busy", "running"), legend("none", "did not run"), legend("thick", "several at once"))),
      this.error && failure(this.error),
      this.data && h("section.panel.timeline", { key: "lanes", "aria-label": `Runs from ${when(this.data.start)} to ${when(this.data.end)} ${zoneName()}` },
        h("p.pointed", { "aria-live": "off" }, this.pointed ?? (this.data.truncated ? "There is more than can be drawn: choose less time." : `${counted(shown.length, "job")} with something to show. Point at a bar.`)),
        this.axis(), shown.slice(0, LANES).map((lane) => this.lane(lane)),
        shown.length === 0 && h("p.empty", "Nothing ran."),
        shown.length > LANES && h("p.hint", `${shown.length - LANES} more: search, or look at those with trouble.`)),
    ];
  }

  x(ms) { return ((ms - this.data.start) / (this.data.end - this.data.start)) * WIDTH; }

  axis() {
    const length = this.data.end - this.data.start;
    const pace = [60_000, 300_000, 900_000, 3_600_000, 7_200_000, 10_800_000].find((step) => length / step <= (innerWidth < 760 ? 5 : 13)) ?? 14_400_000;
    const marks = [];
    const shift = usesLocalZone() ? new Date(this.data.start).getTimezoneOffset() * 60_000 : 0;
    for (let at = Math.ceil((this.data.start - shift) / pace) * pace + shift; at < this.data.end; at += pace) marks.push(at);
    return h("div.lane.axis", { key: "axis", "aria-hidden": "true" }, h("span.name"), h("div.track",
      marks.map((at) => h("span.tick.num", { key: at, style: { left: `${(this.x(at) / WIDTH) * 100}%` } }, shortClock(at)))));
  }

  lane(lane) {
    const job = state.jobs.get(lane.job);
    const running = (job?.running ?? []).filter((run) => run.started_at);
    return h("div.lane", { key: lane.job },
      h("a.name", { href: `#/jobs/${encodeURIComponent(lane.job)}`, title: lane.job }, lane.job),
      h("svg.track", {
        viewBox: `0 0 ${WIDTH} ${LANE}`, preserveAspectRatio: "none", role: "img", "aria-label": laneWords(lane),
        onpointermove: (event) => this.point(lane, event), onclick: (event) => this.open(lane, event),
        onpointerleave: () => { this.pointed = null; this.context.draw(); },
      },
      h("path", { d: `M0 ${LANE - 1}H${WIDTH}`, class: "base" }),
      lane.ranges.map((range) => h("rect", { key: `${range.first}${range.reason}`, class: "range", ...this.extent(instant(range.first), instant(range.last), 2), y: 13, height: 5 })),
      ["ok", "idle", "warn", "bad"].map((tone) => {
        const d = lane.spans.filter((entry) => outcomeOf(entry.outcome).tone === tone).map((entry) => this.bar(entry, tone)).join("");
        return d && h("path", { key: tone, d, class: `fill tone-${tone}` });
      }),
      running.map((run) => h("rect", { key: run.run, class: "line tone-busy", ...this.extent(instant(run.started_at), now(), 3), y: 4, height: 13 }))));
  }

  extent(first, last, least) {
    const x = Math.max(0, this.x(first));
    const width = Math.max(least, Math.min(WIDTH, this.x(last)) - x);
    return { x: x.toFixed(1), width: width.toFixed(1) };
  }

  /** Failures stand taller; what overlapped itself begins higher. */
  bar(entry, tone) {
    const { x, width } = this.extent(instant(entry.first), instant(entry.last), 2);
    const several = entry.busy_us > (instant(entry.last) - instant(entry.first)) * 1000 * 1.05 + 1000;
    const top = tone === "bad" ? 1 : several ? 4 : 8;
    return `M${x} ${top}h${width}V18h-${width}z`;
  }

  at(lane, event) {
    const box = event.currentTarget.getBoundingClientRect();
    const ms = this.data.start + ((event.clientX - box.left) / box.width) * (this.data.end - this.data.start);
    const slack = ((this.data.end - this.data.start) / box.width) * 4;
    const near = (first, last) => instant(first) - slack <= ms && ms <= instant(last) + slack;
    const spans = lane.spans.filter((entry) => near(entry.first, entry.last));
    spans.sort((a, b) => (outcomeOf(b.outcome).tone === "bad") - (outcomeOf(a.outcome).tone === "bad") || Math.abs(instant(a.first) - ms) - Math.abs(instant(b.first) - ms));
    return { ms, entry: spans[0], range: lane.ranges.find((range) => near(range.first, range.last)) };
  }

  point(lane, event) {
    const { ms, entry, range } = this.at(lane, event);
    const parts = [h("b", lane.job), ` ${clock(ms)}: `];
    if (entry) {
      const until = instant(entry.last) - instant(entry.first) > 1000 ? ` … ${clock(instant(entry.last))}` : "";
      parts.push(`${entry.runs} ${outcomeOf(entry.outcome).word}, ${clock(instant(entry.first))}${until}, took ${span(Math.round(entry.busy_us / entry.runs))}${entry.runs > 1 ? " each" : ""}; run `, runLink(entry.run));
    }
    if (range) parts.push(`${entry ? "; " : ""}${range.count} ${range.state}: ${REASONS[range.reason] ?? range.reason}`);
    if (!entry && !range) parts.push("nothing ran");
    this.pointed = parts;
    this.context.draw();
  }

  open(lane, event) {
    const { entry } = this.at(lane, event);
    if (entry) location.hash = `#/runs/${entry.run}`;
  }
}

function legend(kind, word) { return h("span.key", { key: kind }, h("i", { class: `key-${kind}` }), word); }

/** Jobs with trouble first, then by name. */
function lanes(data) {
  const lanes = new Map();
  const lane = (job) => {
    if (!lanes.has(job)) lanes.set(job, { job, spans: [], ranges: [], runs: 0, bad: 0 });
    return lanes.get(job);
  };
  for (const entry of data.spans) {
    const mine = lane(entry.job);
    mine.spans.push(entry);
    mine.runs += entry.runs;
    if (outcomeOf(entry.outcome).tone === "bad") mine.bad += entry.runs;
  }
  for (const range of data.ranges) lane(range.job).ranges.push(range);
  return [...lanes.values()].sort((a, b) => (b.bad > 0) - (a.bad > 0) || a.job.localeCompare(b.job));
}

function laneWords(lane) {
  const skipped = lane.ranges.reduce((sum, range) => sum + range.count, 0);
  return `${lane.job}: ${counted(lane.runs, "run")}, ${lane.bad} failed${skipped > 0 ? `, ${skipped} did not run` : ""}`;
}

"""###),
        PageFile(
            "parts.js", type: "text/javascript; charset=utf-8", digest: "010f7ecb5170c4bd", ###"""
// Pieces that several pages show.

import { h } from "./dom.js";
import { instant, when, exact, relative, span } from "./time.js";
import { standing, stateOf, short, REASONS, TRIGGERS } from "./words.js";
import { toneMark } from "./marks.js";

export const jobLink = (job) => h("a", { href: `#/jobs/${encodeURIComponent(job)}` }, job);
export const runLink = (run) => h("a.num", { href: `#/runs/${run}` }, String(run));

/** An instant, with how long ago on the title. */
export function time(text) {
  const ms = instant(text);
  return h("time.num", { datetime: text ?? false, title: ms === null ? false : `${exact(ms)}, ${relative(ms)}` }, when(ms));
}

/** A word with its mark. */
export function badge(tone, word) { return h("span.badge", { class: `tone-${tone}` }, toneMark(tone, ""), word); }

export function runBadge(run) {
  const { word, tone } = standing(run);
  return badge(tone, word);
}

/** Pairs as a list of definitions; null values are left out. */
export function facts(pairs) {
  return h("dl.facts", pairs.filter(([, value]) => value !== null && value !== undefined && value !== "" && value !== false).map(([name, value]) =>
    h("div", { key: name }, h("dt", name), h("dd", value))));
}

export function section(title, options, ...children) {
  const { id, aside, key, wide } = options;
  return h("section.panel", { key: key ?? title, id: id ?? false, class: wide ? "wide" : "", "aria-label": title },
    h("div.head", h("h2", title), aside && h("div.aside", aside)), children);
}

/** `columns`: text, or { text, class }; `rows`: nodes (tr). Scrolls sideways rather than the page. */
export function table(name, columns, rows, empty) {
  if (rows.length === 0) return h("p.empty", empty);
  return h("div.scroll", { tabindex: 0, role: "region", "aria-label": `${name}, the rows` },
    h("table", h("thead", h("tr", columns.map((column) =>
      h("th", { scope: "col", class: column.class ?? "" }, column.text ?? column)))), h("tbody", rows)));
}

/** One run of a list. `withJob` false: the list is of one job. */
export function runRow(run, withJob) {
  return h("tr", { key: `run ${run.id}` },
    h("td", runLink(run.id)),
    withJob && h("td", jobLink(run.job)),
    h("td", runBadge(run)),
    h("td", time(run.fire_time)),
    h("td.num", span(run.duration_us)),
    h("td.num", span(run.lateness_us)),
    h("td.num", run.attempt > 1 ? `${run.attempt} of ${run.max_attempts}` : String(run.attempt)),
    h("td", TRIGGERS[run.trigger] ?? run.trigger),
    h("td.why", { title: run.reason || false }, short(run.reason, 160)));
}

export function runColumns(withJob) {
  return ["Run", ...(withJob ? ["Job"] : []), "Ended", "Fire time", { text: "Took", class: "num" }, { text: "Late", class: "num" },
    { text: "Attempt", class: "num" }, "Trigger", "Why"];
}

/** A stretch of fires that did not run, as a row of the same list. */
export function rangeRow(range, withJob) {
  return h("tr.range", { key: `range ${range.job} ${range.reason} ${range.first}` },
    h("td"), withJob && h("td", jobLink(range.job)),
    h("td", { colspan: 6 }, badge(stateOf(range.state).tone, `${range.count.toLocaleString("en")} ${range.state}`), ": ", REASONS[range.reason] ?? range.reason),
    h("td", time(range.first), range.count > 1 && [" … ", time(range.last)]));
}

/** Runs and ranges by time, the newest first. */
export function ledgerRows({ runs, ranges }, withJob) {
  const rows = [
    ...runs.map((run) => ({ at: instant(run.created_at), node: runRow(run, withJob) })),
    ...ranges.map((range) => ({ at: instant(range.last), node: rangeRow(range, withJob) })),
  ];
  return rows.sort((a, b) => b.at - a.at).map((row) => row.node);
}

export function auditRows(entries, withJob) {
  return entries.map((entry, index) =>
    h("tr", { key: `${entry.at} ${index}` }, h("td", time(entry.at)), h("td", entry.actor), h("td", entry.via), h("td", entry.action),
      withJob && h("td", entry.job ? jobLink(entry.job) : "–"), h("td.why", entry.detail), h("td.why", entry.reason)));
}
export function auditColumns(withJob) { return ["When", "Who", "By", "What", ...(withJob ? ["Job"] : []), "Detail", "Why"]; }

/** What could not be had, and why. */
export function failure(error) {
  return h("p.problem", { role: "alert" }, error.message, error.hint && h("span.hint", ` ${error.hint}`));
}



"""###),
        PageFile(
            "problems.js", type: "text/javascript; charset=utf-8", digest: "62b1b8f25727ce7c", ###"""
// What is wrong, the worst first: one sentence why, since when, and what to press. Pure.

import { instant, now, age, relative, when } from "./time.js";
import { counted, outcomeOf, short } from "./words.js";

/** A fire that nobody starts is overdue after this, in milliseconds. */
const OVERDUE = 15_000;

/**
 * Of each: `key`, `job` (null: the host), `tone` (bad, warn), `rank` (less is worse), `why`,
 * `more` (further sentences), `since` (ms or null), `actions` (names for actions.js, each with
 * what it is about).
 */
export function problems(host, jobs) {
  const found = hostProblems(host);
  for (const job of jobs) {
    const problem = jobProblem(job, host);
    if (problem) found.push(problem);
  }
  return found.sort((a, b) => a.rank - b.rank || (a.since ?? Infinity) - (b.since ?? Infinity) || a.key.localeCompare(b.key));
}

function hostProblems(host) {
  if (!host) return [];
  const found = [];
  const add = (key, tone, rank, why, since, actions) =>
    found.push({ key: `host ${key}`, job: null, tone, rank, why, more: [], since, actions });
  const reload = host.reload;
  for (const text of host.problems) {
    // The refused reload has its own entry, which says when it was.
    if (reload && !reload.accepted && text.startsWith("the last reload was refused")) continue;
    add(text, "bad", 0, text, null, [{ action: "host" }]);
  }
  if (host.phase === "draining") add("draining", "warn", 1, "the host drains: it starts nothing new and will exit", null, []);
  if (host.control.paused) {
    const why = host.control.pause_reason ? `: ${host.control.pause_reason}` : "";
    add("paused", "warn", 1, `the whole host is paused${why}`, instant(host.control.paused_since), [{ action: "resumeHost" }]);
  }
  for (const ask of host.asks) {
    add(`ask ${ask.id}`, "warn", 1, `${ask.asked_by} asks for ${ask.action} of ${ask.job}${ask.reason ? `: ${ask.reason}` : ""}; it takes a second person, until ${when(instant(ask.expires_at))}`,
      instant(ask.asked_at), [{ action: "approve", ask: ask.id }, { action: "refuse", ask: ask.id }]);
  }
  if (reload && !reload.clean) {
    const why = reload.accepted
      ? "the last reload was refused for some jobs"
      : `the last reload was refused, the old config goes on${reload.first_error ? `: ${reload.first_error}` : ""}`;
    add("reload", "bad", 2, why, instant(reload.at), [{ action: "plugins" }, { action: "plan" }, { action: "reload" }]);
  }
  return found;
}

function jobProblem(job, host) {
  const notes = jobNotes(job, host);
  if (notes.length === 0) return null;
  notes.sort((a, b) => a.rank - b.rank);
  const [first, ...rest] = notes;
  const seen = new Set();
  const actions = notes.flatMap((note) => note.actions).filter((entry) => {
    const key = `${entry.action} ${entry.run ?? ""}`;
    return seen.has(key) ? false : seen.add(key);
  });
  return {
    key: `job ${job.name}`, job: job.name, tone: first.tone, rank: first.rank, why: first.why,
    more: rest.map((note) => note.why), since: first.since, actions: actions.slice(0, 4),
  };
}

function jobNotes(job, host) {
  const notes = [];
  const add = (rank, tone, why, since, actions) => notes.push({ rank, tone, why, since, actions });
  if (job.refused) add(3, "bad", `refused, it does not serve: ${job.refused}`, null, [{ action: "plugins" }, { action: "plan" }, { action: "reload" }]);
  for (const text of job.problems) add(3, "bad", text, null, [{ action: "plugins" }]);
  for (const run of job.running) {
    if (run.problem) add(3, "bad", `run ${run.run} cannot start: ${run.problem}`, null, [{ action: "log", run: run.run }]);
  }
  const failure = lastFailure(job);
  const { breaker } = job;
  if (breaker.state === "open") {
    const probe = breaker.until ? `; tries again ${relative(instant(breaker.until))}` : "";
    // "3 failures in a row, the last: failed": how the last one failed stands there already.
    const count = breaker.reason.replace(/, the last: [^,]*$/, "");
    add(4, "bad", `breaker open${count ? ` after ${count}` : ""}${failure ? `: ${failure}` : ""}${probe}`,
      instant(job.failing_since) ?? instant(breaker.since), [...logOf(job), { action: "breakerReset" }, { action: "pause" }]);
  } else if (breaker.state === "forced_open") {
    const until = breaker.until ? `, until ${relative(instant(breaker.until))}` : "";
    add(6, "bad", `breaker opened by hand${until}${breaker.reason ? `: ${breaker.reason}` : ""}`, instant(breaker.since),
      [{ action: "breakerClose" }]);
  } else if (failure) {
    const row = failuresInARow(job);
    add(5, "bad", `run ${job.last.id} ${failure}${row > 1 ? ` (${counted(row, "failure")} in a row)` : ""}`,
      instant(job.failing_since) ?? instant(job.last.finished_at),
      [...logOf(job), ...(job.last.state === "discarded" ? [{ action: "retry", run: job.last.id }] : [{ action: "trigger" }]),
        { action: breaker.state === "off" ? "pause" : "breakerOpen" }]);
  } else if (breaker.state === "half_open") {
    add(8, "warn", "breaker half-open: the next run decides whether it closes", instant(breaker.since), logOf(job));
  }
  const late = overdue(job, host);
  if (late) add(5, "bad", late.why, late.since, [{ action: "explain" }, { action: "trigger" }]);
  if (job.control.enabled === false) {
    add(9, "warn", `off: ${job.disabled_reason}`, instant(job.control.since), [{ action: "enable" }]);
  }
  if (job.control.paused) {
    const why = job.control.pause_reason ? `: ${job.control.pause_reason}` : "";
    add(9, "warn", `paused${why}`, instant(job.control.paused_since), [{ action: "resume" }]);
  }
  const others = job.dead - (failure && job.last?.state === "discarded" ? 1 : 0);
  if (others > 0) add(10, "warn", counted(job.dead, "dead letter"), null, [{ action: "dead" }]);
  return notes;
}

/** "crashed: exited by signal 11"; null: the last attempt is nothing to worry about. */
export function lastFailure(job) {
  const last = job.last;
  if (!last) return null;
  const outcome = outcomeOf(last.outcome);
  const isDead = last.state === "discarded";
  if (!isDead && outcome.tone !== "bad" && !(job.failing_since && last.outcome === "retry")) return null;
  const words = outcome.tone === "bad" ? outcome.word : isDead ? "used up its attempts" : `failed attempt ${last.attempt} of ${last.max_attempts}`;
  // What follows from the job's policy is told by its state.
  const reason = short(last.reason).replace(/; (failed for good|the only attempt is used)$/, "");
  return `${words}${reason ? `: ${reason}` : ""}`;
}

function failuresInARow(job) {
  let count = 0;
  for (const attempt of [...(job.recent ?? [])].reverse()) {
    if (["succeeded", "nothing_to_do"].includes(attempt.outcome)) break;
    if (!["cancelled", "snoozed"].includes(attempt.outcome)) count += 1;
  }
  return count;
}

function logOf(job) { return job.last ? [{ action: "log", run: job.last.id }] : []; }

function overdue(job, host) {
  const next = instant(job.next_fire);
  if (next === null || !job.enabled || job.control.paused || job.running.length > 0) return null;
  if (host?.control.paused || host?.phase !== "running" || ["open", "forced_open"].includes(job.breaker.state)) return null;
  if (now() - next < OVERDUE) return null;
  return { why: `was due ${age(now() - next)} ago and has not started`, since: next };
}

/** The most telling of a job's conditions: a tone for its mark, and a word. */
export function condition(job, host) {
  const failure = lastFailure(job);
  if (job.refused) return { tone: "bad", word: "refused" };
  if (job.problems.length > 0 || job.running.some((run) => run.problem)) return { tone: "bad", word: "broken" };
  if (!job.enabled) return { tone: "idle", word: "off" };
  if (["open", "forced_open"].includes(job.breaker.state)) return { tone: "bad", word: "breaker open" };
  if (failure) return { tone: "bad", word: "failing" };
  if (job.control.paused || host?.control.paused) return { tone: "warn", word: "paused" };
  if (overdue(job, host)) return { tone: "bad", word: "overdue" };
  if (job.running.length > 0) return { tone: "busy", word: "running" };
  if (!job.last) return { tone: "idle", word: "never ran" };
  return { tone: "ok", word: "ok" };
}

/** "running for 3 s, 40 of 120", "succeeded 12 s ago". */
export function lately(job) {
  const run = job.running[0];
  if (run) {
    const others = job.running.length > 1 ? `, ${job.running.length} at once` : "";
    if (!run.started_at) return run.problem ? `cannot start${others}` : `starting${others}`;
    const progress = run.total > 0 ? `, ${Math.floor((run.done / run.total) * 100)} %` : "";
    return `running ${age(now() - instant(run.started_at))}${progress}${others}`;
  }
  if (!job.last) return "never ran";
  const word = job.last.state === "discarded" && outcomeOf(job.last.outcome).tone !== "bad" ? "gave up" : outcomeOf(job.last.outcome).word;
  const ago = relative(instant(job.last.finished_at) ?? instant(job.last.fire_time));
  return `${word}${word.includes(" ") ? "," : ""} ${ago}`;
}

/** What stands where the next fire counts down. */
export function nextWords(job, host) {
  if (job.refused) return { text: "refused", tone: "bad" };
  if (!job.enabled) return { text: "off", tone: "idle" };
  if (job.control.paused || host?.control.paused) return { text: "paused", tone: "warn" };
  // An open breaker lets nothing start before its probe.
  const isOpen = ["open", "forced_open"].includes(job.breaker.state);
  const next = isOpen && job.next ? instant(job.next.at) : instant(job.next_fire);
  if (isOpen && (next === null || next <= now())) return { text: "breaker", tone: "bad" };
  if (next === null || host?.phase === "draining") return { text: "–", tone: "idle" };
  const left = next - now();
  if (left < -OVERDUE) return { text: `${age(-left)} late`, tone: "bad" };
  return { text: left < 1000 ? "now" : age(left), tone: "" };
}

"""###),
        PageFile(
            "style.css", type: "text/css; charset=utf-8", digest: "2d97d185542fc863", ###"""
/* Calm, dense, legible. One accent; the colours of outcomes always come with a shape or a word. */

:root {
  color-scheme: light dark;
  --ground: light-dark(#f6f7f8, #121417);
  --surface: light-dark(#ffffff, #191c20);
  --raised: light-dark(#ffffff, #22262b);
  --hover: light-dark(#f0f3f9, #20252d);
  --chosen: light-dark(#e4ecfb, #24324b);
  --line: light-dark(#dfe2e6, #2c3138);
  --strong-line: light-dark(#8b929c, #66707c);
  --text: light-dark(#1b1f24, #e3e6ea);
  --muted: light-dark(#5a626d, #9aa3af);
  --accent: light-dark(#2656c4, #83aaff);
  --on-accent: light-dark(#ffffff, #10151f);
  --ok: light-dark(#237a48, #5cb585);
  --warn: light-dark(#8a5a00, #dcae5c);
  --bad: light-dark(#bf1f2c, #ff7d82);
  --bad-ground: light-dark(#fdf3f3, #2b1b1e);
  --warn-ground: light-dark(#fdf8ec, #28221a);
  --mono: ui-monospace, "SF Mono", "Cascadia Mono", "JetBrains Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
  --row: 34px;
}
:root[data-theme="light"] { color-scheme: light; }
:root[data-theme="dark"] { color-scheme: dark; }

* { box-sizing: border-box; }
html { scrollbar-gutter: stable; }
body {
  margin: 0; background: var(--ground); color: var(--text);
  font: 13.5px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", "DejaVu Sans", sans-serif;
}
.num, time { font-variant-numeric: tabular-nums; white-space: nowrap; }
code, pre, kbd, .lines { font-family: var(--mono); font-size: 12px; }
a { color: var(--accent); text-decoration: none; }
a:hover { text-decoration: underline; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 1px; border-radius: 3px; }
main:focus { outline: none; }
h1, h2, h3 { margin: 0; font-weight: 600; line-height: 1.25; }
h1 { font-size: 18px; display: inline-flex; align-items: center; gap: 6px; overflow-wrap: anywhere; }
h2 { font-size: 13.5px; }
h3 { font-size: 12.5px; margin: 10px 0 4px; color: var(--muted); }
p { margin: 0 0 6px; }
.skip { position: absolute; left: -999px; }
.skip:focus { left: 8px; top: 8px; z-index: 9; background: var(--raised); padding: 6px 10px; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.hint, .note, .empty { color: var(--muted); }
.empty { padding: 6px 0; }
.dim { color: var(--muted); }

.tone-ok { color: var(--ok); }
.tone-warn { color: var(--warn); }
.tone-bad { color: var(--bad); }
.tone-busy { color: var(--accent); }
.tone-idle { color: var(--muted); }
svg { display: inline-block; flex: none; vertical-align: middle; }
svg .fill { fill: currentColor; stroke: none; }
svg .line { fill: none; stroke: currentColor; stroke-width: 1.5; }
svg .stroke { fill: none; stroke: currentColor; stroke-width: 1.8; stroke-linecap: round; stroke-linejoin: round; }
svg .dim { opacity: .7; }
.mark { width: 16px; height: 16px; }
.mark .stroke { stroke-width: 2.4; }
.strip { display: block; }
.spark { color: var(--muted); display: inline-block; }
.spark .stroke { stroke-width: 1.2; }
.badge { display: inline-flex; align-items: center; gap: 3px; white-space: nowrap; vertical-align: bottom; }

/* The bar on top. */
#top {
  position: sticky; top: 0; z-index: 5; display: flex; align-items: center; gap: 14px;
  padding: 0 16px; min-height: 42px; background: var(--surface); border-bottom: 1px solid var(--line);
}
#top .host { font-weight: 650; color: var(--text); overflow: hidden; text-overflow: ellipsis; white-space: nowrap; max-width: 22ch; }
#top nav { display: flex; gap: 2px; overflow-x: auto; scrollbar-width: none; }
#top nav a { padding: 11px 9px 9px; color: var(--muted); border-bottom: 2px solid transparent; white-space: nowrap; }
#top nav a:hover { color: var(--text); text-decoration: none; }
#top nav a[aria-current] { color: var(--text); border-bottom-color: var(--accent); }
#top nav a:focus-visible { outline-offset: -3px; }
#top .status { margin-left: auto; display: flex; align-items: center; gap: 4px; white-space: nowrap; }
.live { display: inline-flex; align-items: center; gap: 6px; padding-right: 6px; font-variant-numeric: tabular-nums; }
.live i { width: 8px; height: 8px; border-radius: 50%; background: currentColor; }
.live.tone-bad i { border-radius: 0; }
main { padding: 14px 16px 60px; max-width: 1560px; margin: 0 auto; }

/* Things to press and to fill in. */
button, .button, input, select, textarea { font: inherit; color: inherit; }
button, .button {
  display: inline-flex; align-items: center; justify-content: center; gap: 4px; padding: 2px 10px; min-height: 26px; cursor: pointer;
  background: var(--raised); color: var(--text); border: 1px solid var(--strong-line); border-radius: 4px; white-space: nowrap;
}
button:hover, .button:hover { background: var(--hover); text-decoration: none; }
button.first, .button.first, button.primary { background: var(--accent); color: var(--on-accent); border-color: var(--accent); }
button.first:hover, .button.first:hover, button.primary:hover { filter: brightness(1.08); }
button.danger { background: var(--bad); color: light-dark(#fff, #1d0d0f); border-color: var(--bad); }
button:disabled { opacity: .5; cursor: default; }
button.plain { border-color: transparent; background: none; padding: 2px 7px; color: var(--accent); }
#top button.plain { color: var(--muted); }
#top button.plain:hover { color: var(--text); }
button.plain.tone-bad { color: var(--bad); }
input, select, textarea { background: var(--surface); border: 1px solid var(--strong-line); border-radius: 4px; padding: 3px 8px; min-height: 28px; }
input[type="checkbox"] { min-height: 0; accent-color: var(--accent); width: 15px; height: 15px; margin: 0; vertical-align: -2px; }
textarea { font-family: var(--mono); font-size: 12px; resize: vertical; }
::placeholder { color: var(--muted); opacity: 1; }
.press { display: flex; flex-wrap: wrap; gap: 6px; }
.press.tight { flex-wrap: nowrap; margin: 0; }
.tools { display: flex; flex-wrap: wrap; align-items: center; gap: 8px 12px; margin: 0 0 10px; }
.tools label { display: inline-flex; align-items: center; gap: 6px; color: var(--muted); }
.search { width: 220px; }
.when { width: 150px; }
.chips { display: flex; flex-wrap: wrap; gap: 4px; }
.chip { border-color: var(--line); border-radius: 13px; padding: 1px 10px; min-height: 26px; background: none; color: var(--muted); }
.chip[aria-pressed="true"] { background: var(--chosen); color: var(--text); border-color: var(--accent); }
.inline { display: inline-flex; align-items: center; gap: 6px; color: var(--muted); }

/* What is wrong. */
.problems { margin: 0 0 14px; }
.problems ul { list-style: none; margin: 0; padding: 0; border: 1px solid var(--line); border-radius: 6px; overflow: hidden; background: var(--surface); }
.problems li { display: grid; grid-template-columns: 18px minmax(0, 1fr) auto auto; gap: 4px 12px; align-items: center; padding: 7px 10px; color: var(--text); border-left: 3px solid; border-top: 1px solid var(--line); }
.problems li:first-child { border-top: 0; }
.problems li.tone-bad { border-left-color: var(--bad); background: var(--bad-ground); }
.problems li.tone-warn { border-left-color: var(--warn); background: var(--warn-ground); }
.problems .name { font-weight: 600; margin-right: 8px; color: var(--text); }
.problems .why { overflow-wrap: anywhere; }
.problems .more { display: block; color: var(--muted); }
.problems .since { color: var(--text); text-align: right; }
.problems .ago { color: var(--muted); }
.problems .first { background: none; color: var(--accent); border-color: var(--accent); }
.problems .first:hover { background: var(--hover); filter: none; }
.fine { display: flex; align-items: center; gap: 6px; color: var(--muted); margin: 2px 0; }

/* Tables. */
table { border-collapse: collapse; width: 100%; }
th { text-align: left; font-weight: 500; color: var(--muted); padding: 4px 10px; border-bottom: 1px solid var(--line); white-space: nowrap; }
td { padding: 4px 10px; border-bottom: 1px solid var(--line); vertical-align: top; }
th.num, td.num { text-align: right; }
tbody tr:last-child td { border-bottom: 0; }
.scroll { overflow-x: auto; position: relative; }
.scroll td { white-space: nowrap; }
.scroll td.why { white-space: normal; min-width: 16ch; max-width: 60ch; overflow-wrap: anywhere; }
tr.range td { color: var(--muted); background: color-mix(in srgb, var(--ground) 60%, transparent); }
tr[aria-selected="true"] > td { background: var(--chosen); }

table.jobs { background: var(--surface); border: 1px solid var(--line); border-radius: 6px; border-spacing: 0; border-collapse: separate; table-layout: fixed; }
table.jobs th { position: sticky; top: 42px; z-index: 2; background: var(--surface); padding: 5px 8px; }
table.jobs td { height: var(--row); padding: 0 8px; vertical-align: middle; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; text-align: left; }
table.jobs tbody tr { cursor: pointer; }
table.jobs tbody tr:hover > td { background: var(--hover); }
table.jobs tbody tr[aria-selected="true"] > td { background: var(--chosen); }
table.jobs tr.space { pointer-events: none; }
table.jobs tr.space td { border: 0; }
.c-mark { width: 32px; }
.c-last { width: 178px; }
.c-next { width: 92px; }
.c-strip { width: 178px; }
.c-took, .c-late { width: 140px; }
.c-breaker { width: 96px; }
.c-queue { width: 130px; }
.c-memory { width: 78px; }
.c-name a { font-weight: 550; color: var(--text); }
.c-name .schedule { color: var(--muted); margin-left: 8px; font-size: 12.5px; }
.c-took .spark, .c-late .spark { margin-right: 6px; }
td.c-took, td.c-late { color: var(--muted); }
@media (max-width: 1280px) { .c-memory, .c-late { display: none; } }
@media (max-width: 1060px) { .c-took { display: none; } }

/* Panels. */
.title { display: flex; flex-wrap: wrap; align-items: center; gap: 6px 12px; margin: 0 0 12px; }
.title .note { flex-basis: 100%; margin: 0; }
.title > .press { margin-left: auto; }
.panel { background: var(--surface); border: 1px solid var(--line); border-radius: 6px; padding: 10px 12px; margin: 0 0 12px; min-width: 0; }
.panel > .head { display: flex; align-items: center; justify-content: space-between; gap: 12px; margin-bottom: 6px; min-height: 26px; }
.aside { color: var(--muted); }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(380px, 100%), 1fr)); gap: 0 12px; align-items: stretch; }
.columns > .wide { grid-column: 1 / -1; }
.stack { min-width: 0; }
.facts { margin: 0; }
.facts > div { display: flex; gap: 10px; padding: 2px 0; }
.facts svg { max-width: 100%; }
.facts dt { flex: 0 0 118px; color: var(--muted); }
.facts dd { margin: 0; min-width: 0; overflow-wrap: anywhere; }
.panel .press { margin: 4px 0 8px; }
.panel .head .press { margin: 0; }
.callout { border-left: 3px solid; padding: 6px 10px; margin: 0 0 8px; }
.callout p { color: var(--text); display: flex; gap: 6px; }
.callout.tone-bad { background: var(--bad-ground); }
.callout.tone-warn { background: var(--warn-ground); }
.rule { font-weight: 550; overflow-wrap: anywhere; }
.fires { margin: 0; padding-left: 22px; }
.row { display: flex; flex-wrap: wrap; align-items: end; gap: 8px; margin-bottom: 8px; }
.row label { display: grid; gap: 2px; color: var(--muted); }
.row input { color: var(--text); }
pre { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; max-height: 420px; overflow: auto; }
.problem { color: var(--bad); overflow-wrap: anywhere; }
.plainlist, .report ul { list-style: none; margin: 0 0 8px; padding: 0; }
.report li { padding: 2px 0; overflow-wrap: anywhere; }

/* Logs. */
.logbar { display: flex; flex-wrap: wrap; gap: 6px 16px; align-items: center; margin-bottom: 6px; }
.lines { max-height: 440px; overflow: auto; border: 1px solid var(--line); border-radius: 4px; padding: 6px 8px; background: var(--ground); }
.line { display: grid; grid-template-columns: 9ch 7ch minmax(0, 1fr); gap: 8px; }
.line .at, .line .source, .line .fields { color: var(--muted); }
.line .text { white-space: pre-wrap; overflow-wrap: anywhere; }
.level-error .source, .level-error .text { color: var(--bad); }
.level-warning .source { color: var(--warn); }
.level-debug .text { color: var(--muted); }

/* Timeline. */
.lane { display: grid; grid-template-columns: 200px minmax(0, 1fr); align-items: center; min-height: 22px; }
.lane .name { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; padding-right: 10px; color: var(--text); }
.lane svg.track { width: 100%; height: 20px; cursor: crosshair; }
.lane:hover { background: var(--hover); }
.lane.axis { position: sticky; top: 42px; background: var(--surface); z-index: 1; border-bottom: 1px solid var(--line); }
.lane.axis .track { position: relative; height: 20px; overflow: hidden; }
.tick { position: absolute; font-size: 11.5px; color: var(--muted); border-left: 1px solid var(--line); padding-left: 3px; }
.track .base { stroke: var(--line); stroke-width: 1; fill: none; vector-effect: non-scaling-stroke; }
.track .range { fill: var(--strong-line); opacity: .55; }
.track .tone-ok { opacity: .8; }
.pointed { min-height: 20px; margin: 0 0 4px; color: var(--muted); }
.pointed b { color: var(--text); }
.legend { display: inline-flex; flex-wrap: wrap; gap: 4px 14px; color: var(--muted); }
.key { display: inline-flex; align-items: center; gap: 5px; }
.key i { width: 10px; display: inline-block; }
.key-ok { height: 9px; background: var(--ok); }
.key-bad { height: 15px; background: var(--bad); }
.key-warn { height: 9px; background: var(--warn); }
.key-busy { height: 12px; border: 1.5px solid var(--accent); }
.key-none { height: 4px; background: var(--strong-line); }
.key-thick { height: 13px; background: var(--ok); }

/* Dialogs and notices. */
dialog { border: 1px solid var(--strong-line); border-radius: 8px; background: var(--raised); color: var(--text); padding: 18px 20px; width: min(520px, calc(100vw - 24px)); max-height: calc(100vh - 40px); overflow: auto; }
dialog:has(.columns.two) { width: min(860px, calc(100vw - 24px)); }
dialog::backdrop { background: rgb(0 0 0 / 45%); }
dialog h2 { font-size: 16px; margin-bottom: 8px; }
dialog label { display: grid; gap: 3px; margin: 10px 0; color: var(--muted); }
dialog input, dialog textarea { color: var(--text); width: 100%; }
dialog .buttons { display: flex; justify-content: flex-end; gap: 8px; margin-top: 14px; }
dialog .command { margin: 10px 0 0; color: var(--muted); overflow-wrap: anywhere; }
kbd { border: 1px solid var(--line); border-bottom-width: 2px; border-radius: 4px; padding: 0 5px; margin-right: 4px; }
#notices { position: fixed; right: 16px; bottom: 16px; display: grid; gap: 8px; z-index: 8; max-width: min(460px, calc(100vw - 32px)); }
.notice { display: flex; align-items: center; gap: 10px; background: var(--raised); border: 1px solid var(--strong-line); border-left: 3px solid var(--accent); border-radius: 4px; padding: 8px 10px; box-shadow: 0 2px 10px rgb(0 0 0 / 18%); }
.notice.bad { border-left-color: var(--bad); }
.notice span { overflow-wrap: anywhere; }

/* A phone. */
@media (max-width: 760px) {
  :root { --row: 64px; }
  main { padding: 10px 10px 60px; }
  #top { flex-wrap: wrap; gap: 0 8px; padding: 0 10px; position: static; }
  #top nav { order: 3; flex-basis: 100%; }
  #top .status { flex-wrap: wrap; justify-content: flex-end; min-width: 0; }
  #top .live { white-space: normal; }
  #top nav a { padding: 8px 9px; }
  #top .host { max-width: 14ch; padding: 8px 0; }
  button, .button { min-height: 34px; }
  .chip { min-height: 32px; }
  .problems li { grid-template-columns: 18px minmax(0, 1fr); align-items: start; }
  .problems .since { grid-column: 2; text-align: left; }
  .problems .press { grid-column: 2; }
  .search, .tools > label, .tools input, .tools select { width: 100%; min-height: 34px; }
  .tools input[type="checkbox"] { width: 15px; min-height: 0; }
  table.jobs, table.jobs tbody { display: block; }
  table.jobs thead { display: none; }
  table.jobs tbody tr { display: grid; grid-template-columns: 24px minmax(0, 1fr) auto; grid-template-rows: 32px 32px; border-bottom: 1px solid var(--line); padding: 0 8px; height: 64px; }
  table.jobs tbody tr.space { display: block; padding: 0; border: 0; }
  table.jobs td { border: 0; padding: 0 4px; height: 32px; line-height: 32px; }
  table.jobs td.c-mark { padding: 0; }
  table.jobs td.c-last { grid-row: 2; grid-column: 2; width: auto; }
  table.jobs td.c-next { grid-row: 1; grid-column: 3; width: auto; text-align: right; }
  table.jobs td.c-strip { grid-row: 2; grid-column: 3; width: auto; padding-top: 8px; }
  table.jobs .c-strip .strip { width: 100px; }
  table.jobs td.c-name { grid-row: 1; grid-column: 2; }
  table.jobs :is(.c-took, .c-late, .c-breaker, .c-queue, .c-memory) { display: none; }
  .c-name .schedule { display: none; }
  .title > .press { margin-left: 0; }
  .facts dt { flex-basis: 96px; }
  .lane { grid-template-columns: 1fr; padding-bottom: 4px; }
  .lane.axis { top: 0; }
  .lane.axis .name { display: none; }
  .scroll td.why { min-width: 42ch; }
  .line { grid-template-columns: 1fr; gap: 0; }
  .line .source { display: none; }
  .line .at { font-size: 11px; }
}
@media (prefers-reduced-motion: no-preference) {
  .live.tone-bad i { animation: pulse 1.2s ease-in-out infinite alternate; }
}
@keyframes pulse { to { opacity: .25; } }

"""###),
        PageFile(
            "time.js", type: "text/javascript; charset=utf-8", digest: "9266655d2cb705e5", ###"""
// Instants as people read them. Everything is counted on the host's clock: a laptop whose own
// clock is wrong shows the right countdown.

let offset = 0;
let best = Infinity;
let isLocal = read("jobhost.zone") === "local";

function read(key) {
  try { return localStorage.getItem(key); } catch { return null; }
}

/** The host said `text` in an answer that took from `sent` to `received` (ms of this machine). */
export function learnClock(text, sent, received) {
  const trip = received - sent;
  const measured = instant(text) - (sent + received) / 2;
  // The quickest answer tells best; a slow one only corrects what is plainly off.
  if (trip <= best || Math.abs(measured - offset) > trip / 2 + 1000) {
    best = Math.max(trip, 5);
    offset = measured;
  }
}

/** Milliseconds since the epoch on the host's clock. */
export function now() { return Date.now() + offset; }

/** RFC 3339 → milliseconds since the epoch; null: none. */
export function instant(text) {
  if (!text) return null;
  const value = Date.parse(text);
  return Number.isNaN(value) ? null : value;
}

export function usesLocalZone() { return isLocal; }

export function toggleZone() {
  isLocal = !isLocal;
  try { localStorage.setItem("jobhost.zone", isLocal ? "local" : "utc"); } catch { /* only for now, then */ }
}

const two = (number) => String(number).padStart(2, "0");

function fields(ms) {
  const date = new Date(ms);
  return isLocal
    ? [date.getFullYear(), date.getMonth(), date.getDate(), date.getHours(), date.getMinutes(), date.getSeconds()]
    : [date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate(), date.getUTCHours(), date.getUTCMinutes(), date.getUTCSeconds()];
}

export function zoneName() {
  if (!isLocal) return "UTC";
  const part = new Intl.DateTimeFormat("en", { timeZoneName: "short" }).formatToParts(new Date(now()));
  return part.find((item) => item.type === "timeZoneName")?.value ?? "local";
}

/** "14:03:22". */
export function clock(ms) {
  const [, , , hour, minute, second] = fields(ms);
  return `${two(hour)}:${two(minute)}:${two(second)}`;
}

/** "14:03". */
export function shortClock(ms) { return clock(ms).slice(0, 5); }

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** "14:03:22" today, else "20 Nov 14:03:22". */
export function when(ms) {
  if (ms === null) return "–";
  const [year, month, day] = fields(ms);
  const [thisYear, thisMonth, today] = fields(now());
  if (year === thisYear && month === thisMonth && day === today) return clock(ms);
  return `${day} ${MONTHS[month]}${year === thisYear ? "" : ` ${year}`} ${clock(ms)}`;
}

/** For a title: the whole instant, in UTC whatever is shown. */
export function exact(ms) { return ms === null ? "" : new Date(ms).toISOString().replace("T", " ").replace("Z", " UTC"); }

/** "850 ms", "12.4 s", "3 m 20 s", "2 h 05 m", "4 d 3 h": a length in microseconds. */
export function span(us) {
  if (us === null || us === undefined) return "–";
  if (us < 1000) return `${us} µs`;
  if (us < 999_500) return `${us < 9_950 ? (us / 1000).toFixed(1) : Math.round(us / 1000)} ms`;
  if (us < 59_950_000) return `${(us / 1e6).toFixed(us < 9_950_000 ? 2 : 1)} s`;
  return long(us / 1e6);
}

function long(seconds) {
  const s = Math.floor(seconds);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} m ${two(s % 60)} s`;
  if (s < 86_400) return `${Math.floor(s / 3600)} h ${two(Math.floor(s / 60) % 60)} m`;
  return `${Math.floor(s / 86_400)} d ${Math.floor(s / 3600) % 24} h`;
}

/** Whole seconds of a length in milliseconds: "12 s", "3 m 20 s". */
export function age(ms) { return long(Math.max(0, ms) / 1000); }

/** "12 s ago", "in 3 m 20 s". */
export function relative(ms) {
  if (ms === null) return "–";
  const delta = ms - now();
  if (Math.abs(delta) < 1000) return delta < 0 ? "just now" : "now";
  return delta < 0 ? `${age(-delta)} ago` : `in ${age(delta)}`;
}

const UNITS = { s: 1, m: 60, h: 3600, d: 86_400 };

/**
 * What somebody writes for an instant → milliseconds since the epoch, or null: "now", "2h ago",
 * "in 90m", "02:13" (today), "2026-11-21 02:13:05" in the zone that is shown, or RFC 3339.
 */
export function parseTime(text) {
  const written = text.trim();
  if (written === "now") return now();
  const ago = /^(?:in )?((?:\d+\s*[smhd]\s*)+)(?: ?ago)?$/.exec(written);
  if (ago && written.startsWith("in ") !== written.endsWith("ago")) {
    let seconds = 0;
    for (const [, number, unit] of ago[1].matchAll(/(\d+)\s*([smhd])/g)) seconds += Number(number) * UNITS[unit];
    return now() + (written.startsWith("in ") ? seconds : -seconds) * 1000;
  }
  const parts = /^(?:(\d{4})-(\d\d)-(\d\d)(?:[ T]|$))?(?:(\d\d?):(\d\d)(?::(\d\d))?)?$/.exec(written);
  if (parts && written !== "") {
    const today = fields(now());
    const [year, month, day] = parts[1] ? [Number(parts[1]), Number(parts[2]) - 1, Number(parts[3])] : today;
    const rest = [Number(parts[4] ?? 0), Number(parts[5] ?? 0), Number(parts[6] ?? 0)];
    const value = isLocal ? new Date(year, month, day, ...rest).getTime() : Date.UTC(year, month, day, ...rest);
    return Number.isNaN(value) ? null : value;
  }
  return /^\d{4}-\d\d-\d\dT/.test(written) ? instant(written) : null;
}

/** The other way: "2026-05-04 14:03:22". */
export function timeText(ms) {
  const [year, month, day] = fields(ms);
  return `${String(year).padStart(4, "0")}-${two(month + 1)}-${two(day)} ${clock(ms)}`;
}

"""###),
        PageFile(
            "words.js", type: "text/javascript; charset=utf-8", digest: "f95e448e1fa66d55", ###"""
// The host's closed vocabularies as people read them. Tones: ok, idle, busy, warn, bad.

export const OUTCOMES = {
  succeeded: { word: "succeeded", tone: "ok", help: "ran and did its work" },
  nothing_to_do: { word: "nothing to do", tone: "ok", help: "ran and found nothing to do" },
  failed: { word: "failed", tone: "bad", help: "said that it failed for good" },
  retry: { word: "asked for a retry", tone: "warn", help: "failed for now; is tried again by the policy" },
  snoozed: { word: "snoozed", tone: "idle", help: "asked to run again at a time of its choosing" },
  cancelled: { word: "cancelled", tone: "idle", help: "ended by an operator, or by a stop" },
  timed_out: { word: "timed out", tone: "bad", help: "did not end within its limit and was stopped" },
  crashed: { word: "crashed", tone: "bad", help: "its worker died" },
  lost: { word: "lost", tone: "bad", help: "its host died; nobody knows how far it came" },
};

export const STATES = {
  scheduled: { word: "scheduled", tone: "idle" },
  available: { word: "waiting", tone: "idle" },
  running: { word: "running", tone: "busy" },
  retryable: { word: "waits to be retried", tone: "warn" },
  succeeded: { word: "succeeded", tone: "ok" },
  cancelled: { word: "cancelled", tone: "idle" },
  discarded: { word: "dead letter", tone: "bad" },
  skipped: { word: "skipped", tone: "idle" },
  missed: { word: "missed", tone: "warn" },
};

export const REASONS = {
  overlap: "the run before was still under way",
  breaker: "the breaker was open",
  paused: "it was paused",
  calendar: "outside of its calendar",
  disabled: "it was off",
  reload: "a reload changed it",
  window: "older than its catch-up window",
  policy: "its catch-up policy did not choose them",
  clock: "the clock jumped over them",
};

export const TRIGGERS = {
  schedule: "schedule", catch_up: "catch-up", manual: "by hand", enqueued: "enqueued", backfill: "backfill",
  retry_of: "retry of", start: "host start", after: "after another job",
};

export const BREAKERS = {
  closed: { word: "closed", tone: "ok" },
  open: { word: "open", tone: "bad" },
  half_open: { word: "half-open", tone: "warn" },
  forced_open: { word: "forced open", tone: "bad" },
  disabled: { word: "disabled", tone: "warn" },
  off: { word: "none", tone: "idle" },
};

export const outcomeOf = (name) => OUTCOMES[name] ?? { word: name ?? "–", tone: "idle", help: "" };
export const stateOf = (name) => STATES[name] ?? { word: name ?? "–", tone: "idle" };
export const breakerOf = (name) => BREAKERS[name] ?? { word: name ?? "–", tone: "idle" };

/** How a run stands: a word and a tone. */
export function standing(run) {
  if (run.state === "running") {
    if (run.started_at) return { word: "running", tone: "busy" };
    return { word: "starting", tone: "busy" };
  }
  if (run.state === "discarded") {
    const outcome = outcomeOf(run.outcome);
    return { word: outcome.tone === "bad" ? outcome.word : "gave up", tone: "bad" };
  }
  if (run.state === "succeeded" && run.outcome) return outcomeOf(run.outcome);
  return stateOf(run.state);
}

export function counted(number, word, plural = `${word}s`) {
  return `${number.toLocaleString("en")} ${number === 1 ? word : plural}`;
}

export function size(bytes) {
  if (!bytes) return "–";
  if (bytes < 1_000_000) return `${Math.round(bytes / 1000)} kB`;
  if (bytes < 10_000_000) return `${(bytes / 1e6).toFixed(1)} MB`;
  if (bytes < 1e9) return `${Math.round(bytes / 1e6)} MB`;
  return `${(bytes / 1e9).toFixed(2)} GB`;
}

/** The one sentence of a longer text. */
export function short(text, limit = 200) {
  const line = String(text ?? "").split("\n", 1)[0];
  return line.length > limit ? `${line.slice(0, limit - 1)}…` : line;
}

/** Every digit as it was sent is lost in JavaScript's numbers beyond 2^53: said where it matters. */
export function pretty(value) { return JSON.stringify(value, null, 2); }

"""###),
    ]
}
