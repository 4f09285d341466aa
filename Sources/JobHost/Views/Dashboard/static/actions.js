// What can be pressed. Everything that changes something asks for the reason first, which goes
// to the audit, and shows the command that does the same.

import { h, render } from "./dom.js";
import { post, path, APIError, LONG } from "./api.js";
import { counted } from "./words.js";
import { parseTime, timeText, now, instant, when, exact, zoneName, age } from "./time.js";
import { refresh } from "./live.js";

const quote = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);

/**
 * Each: `label` of the button; `title(about)`, `verb` and `leave` (the other button) of the dialog; `path`, `body`, `command`
 * of (about, fields); `fields` it asks for besides the reason; `danger`: it takes something away; `patience`: how long
 * it is waited for, in milliseconds.
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
    label: "Reset breaker", verb: "Reset", title: ({ job }) => `Reset the breaker of ${job}`,
    note: "Closed with a clean memory: what waits starts at once, its schedule goes on at the next fire time.",
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
    label: "Cancel run", verb: "Cancel it", leave: "Back", danger: true, title: ({ run }) => `Cancel run ${run}`,
    note: "A waiting run ends at once; a running one is asked to stop, and killed after the job's kill_grace.",
    path: ({ run }) => path("runs", run, "cancel"), command: ({ run }) => `cancel ${run}`,
    done: (_, { run }) => ({ text: `Run ${run} is being cancelled.` }),
  },
  reload: {
    label: "Reload", verb: "Reload", title: () => "Apply the config as it is on disk now",
    note: "Unchanged jobs notice nothing. Look at the plan first.",
    path: () => "/reload", command: () => "reload", patience: LONG,
    done: (report) => ({
      text: report.accepted ? (report.clean ? `Generation ${report.generation} serves.` : "Accepted, but not all of it.") : "The reload was refused; nothing changed.",
      tone: report.clean ? "" : "bad", link: "#/plugins", word: "Report",
    }),
  },
  rollback: {
    label: "Roll back to this", verb: "Roll back", title: ({ plugin, version, hash }) => `Roll ${plugin} back to ${version} (${hash.slice(0, 7)})`,
    note: "Only the library changes; the rest of the config is not read. Holds over restarts and reloads until the file changes.",
    path: ({ plugin }) => path("plugins", plugin, "rollback"), patience: LONG, body: ({ hash }) => ({ hash }),
    command: ({ plugin, hash }) => `plugin rollback ${plugin} ${hash.slice(0, 12)}`,
    done: (report, { plugin, hash }) => ({
      text: report.clean ? `${plugin} serves with ${hash.slice(0, 7)}.` : `The library of ${plugin} did not change: ${report.errors[0] ?? report.plugins[0]?.detail ?? ""}`,
      tone: report.clean ? "" : "bad",
    }),
  },
  approve: {
    label: "Approve", verb: "Approve", title: ({ ask }) => `Approve request ${ask}`,
    note: "As a second person: whoever asked cannot. It is carried out at once.",
    path: ({ ask }) => path("asks", ask, "approve"), command: ({ ask }) => `ask approve ${ask}`,
    done: ({ ask, run }) => ({ text: `${ask.action} of ${ask.job} is approved.`, ...(run ? { link: `#/runs/${run.id}`, word: "Show the run" } : {}) }),
  },
  refuse: {
    label: "Refuse", verb: "Refuse", danger: true, title: ({ ask }) => `Refuse request ${ask}`,
    note: "Whoever asked withdraws it by this.",
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
  drain: {
    label: "Take out", verb: "Take out", danger: true, title: ({ host }) => `Take ${host} out`,
    note: "Within three seconds it starts nothing new, and the others take over its share. What runs there ends. It stays out over a restart until it is put back.",
    path: ({ host }) => path("hosts", host, "drain"), command: ({ host }) => `hosts drain ${quote(host)}`,
    done: (_, { host }) => ({ text: `${host} is taken out.` }),
  },
  undrain: {
    label: "Put back", verb: "Put back", title: ({ host }) => `Put ${host} back: it serves again`,
    path: ({ host }) => path("hosts", host, "undrain"), command: ({ host }) => `hosts drain ${quote(host)} --undo`,
    done: (_, { host }) => ({ text: `${host} serves again.` }),
  },
};

// The file's own library again, after a rollback; a canary's, without waiting for the rest of its trial.
ACTIONS.rollForward = {
  ...ACTIONS.rollback, label: "Go forward to this", verb: "Go forward", note: "Only the library changes; the rest of the config is not read.",
  title: ({ plugin, version, hash }) => `Go forward to ${plugin} ${version} (${hash.slice(0, 7)})`,
};

// One that opened by itself tries again by itself, unless it is held open.
ACTIONS.breakerHold = { ...ACTIONS.breakerOpen, label: "Keep open", verb: "Keep open", title: ({ job }) => `Keep the breaker of ${job} open` };

/** Those that only lead somewhere. */
const PLACES = {
  log: { label: "Show log", place: ({ run }) => `#/runs/${run}` },
  explain: { label: "Why not?", place: ({ job }) => `#/jobs/${encodeURIComponent(job)}/explain` },
  dead: { label: "Dead letters", place: ({ job }) => `#/queues?job=${encodeURIComponent(job)}` },
  host: { label: "Host", place: () => "#/host" },
  hosts: { label: "Hosts", place: () => "#/hosts" },
  plugins: { label: "Plugins", place: () => "#/plugins" },
  versions: { label: "Versions", place: ({ plugin }) => `#/plugins?versions=${encodeURIComponent(plugin)}` },
  plan: { label: "Plan", place: () => "#/plugins/plan" },
};

export const labelOf = (action) => ACTIONS[action].label;

/** The button of an action: h's node. `about`: what it is for ({ job, run }). */
export function button(action, about, look = "") {
  const place = PLACES[action];
  if (place) return h("a.button", { key: `${action} ${about.run ?? about.ask ?? ""}`, href: place.place(about), class: look }, place.label);
  const { label } = ACTIONS[action];
  return h("button", { key: `${action} ${about.run ?? about.ask ?? about.host ?? ""}`, type: "button", class: look, onclick: () => ask(action, about) }, label);
}

/** Opens the dialog of an action; resolves with what the host answered, or null. */
export function ask(action, about) {
  const { fields = [], body = () => ({}), done, ...rest } = ACTIONS[action];
  return dialog({
    ...rest, title: rest.title(about), fields,
    command: (values) => rest.command(about, values),
    async submit(values, reason) {
      const answer = await post(rest.path(about), { ...body(about, values), ...(reason ? { reason } : {}) }, rest.patience);
      notice(done(answer, about));
      refresh();
      return answer;
    },
  });
}

/**
 * The same for many runs, one after the other. `what`: retry or dismiss; resolves when all have
 * been tried, with how many were done, or with null.
 */
export function askMany(what, runs) {
  const verb = what === "retry" ? "Retry" : "Dismiss";
  const word = what === "retry" ? "tried again" : "dismissed";
  const left = [...runs];
  const failed = [];
  let done = 0;
  return dialog({
    title: `${verb} ${counted(runs.length, "dead letter")}`, verb, danger: what === "dismiss",
    note: what === "retry" ? "Each becomes a new run with its payload and idempotency key." : "They leave the dead letters for good. Their history stays.",
    command: () => runs.slice(0, 3).map((run) => `dead ${what} ${run}`).join("; ") + (runs.length > 3 ? "; …" : ""),
    fields: [],
    async submit(_, reason, progress) {
      for (let run = left[0]; run !== undefined; run = left[0]) {
        try {
          await post(path("dead", run, what === "retry" ? "retry" : "discard"), reason ? { reason } : {});
          done += 1;
        } catch (error) {
          // Without the host there is no use in going on. Pressed again, it goes on with the rest.
          if (error.status === 0 || error.status === 401 || error.status === 403) {
            refresh();
            // Of this one nobody knows.
            if (error.status === 0) left.shift();
            throw new APIError(`${done} of ${runs.length} ${word}, then at run ${run}: ${error.message}`, error);
          }
          failed.push(`${run}: ${error.message}`);
        }
        left.shift();
        progress(`${runs.length - left.length} of ${runs.length}`);
      }
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
function dialog({ title, note, verb, leave = "Cancel", first, danger, fields, command, submit, extra, isReady, changed }) {
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
        h("form", { method: "dialog", onsubmit: go },
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
            h("button", { type: "button", onclick: () => element.close() }, leave),
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

    element.setAttribute("aria-labelledby", "dialog-title");
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
    element.setAttribute("aria-labelledby", "token-title");
    render(element,
      h("form", {
        method: "dialog",
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
