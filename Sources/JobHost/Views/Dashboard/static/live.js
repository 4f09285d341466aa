// What the host last said, kept fresh: by events where the host sends them, else by asking every
// few seconds. Whatever happens, the page says how old its data is.

import { quietly, query, stream, firstPlace, APIError } from "./api.js";
import { now, instant } from "./time.js";

/** Milliseconds between looks at everything: without events, with events, after a failure. */
const POLL = 3_000;
const SWEEP = 15_000;
/** Who takes alerts changes seldom: they are asked for so often. */
const RECEIVERS = 10_000;
/** How far a run is comes by no event: jobs that run are asked for so often, unless they are many. */
const PACE = 2_000;
const MOST_RUNNING = 20;
const RETRY = [1_000, 2_000, 4_000, 8_000];
/** Events of a burst are answered together. */
const GATHER = 400;
/** What a page asks for is asked for again no sooner than so long after the last answer. */
const AGAIN = 500;
/** What changes what a page shows: of outboxes it shows nothing. */
const KINDS = "run_started,run_ended,not_run,elsewhere,breaker,reload,action,problems";
/** A stream that says nothing at all for so long is dead. */
const SILENCE = 45_000;

/**
 * `mode`: connecting, live, polling, offline. `jobs` by name, in its order: all of them, unless `first` says how many
 * at the beginning are there; then there are `total`, and of the others only those that ask for attention.
 */
export const state = {
  mode: "connecting", asOf: null, error: null, host: null, jobs: new Map(), total: 0, first: null, recent: new Map(),
  /** Of alerts: name, waiting, lost, problem. */
  receivers: [],
  /** While the host does not answer: what is known is of `since`. */
  get gone() { return this.mode === "offline" ? { since: this.asOf, message: this.error?.message ?? "", status: this.error?.status ?? 0 } : null; },
};

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
  await begin();
  await refresh();
  setInterval(watchRunning, PACE);
  follow();
}

/** What early.js asked for, or what stands in the document, if that is not everything: rows to show while the rest is on its way. */
async function begin() {
  const where = firstPlace();
  if (!where || where === "/overview") return;
  try {
    const overview = await quietly(where);
    take(overview, true);
    state.first = overview.jobs.length < overview.total ? Number(new URLSearchParams(where.split("?")[1]).get("first")) : null;
    succeeded();
    tell({ jobs: new Set(), all: false });
    await painted();
  } catch { /* what comes next says what is the matter */ }
}

/** What has just been drawn is to be seen before anything else is asked for; in a tab that is not seen nothing is painted. */
function painted() {
  return new Promise((done) => {
    requestAnimationFrame(() => setTimeout(done));
    setTimeout(done, 200);
  });
}

/** Everything, now. */
export async function refresh() {
  try {
    const overview = await quietly("/overview");
    take(overview, true);
    state.first = null;
    succeeded();
    tell({ jobs: new Set(), all: true });
    askReceivers();
  } catch (error) {
    failed(error);
  }
  schedule();
}

let receiversAsked = -Infinity;

/** No event tells of them. */
async function askReceivers() {
  if (performance.now() - receiversAsked < RECEIVERS) return;
  receiversAsked = performance.now();
  try {
    const { receivers } = await quietly("/alerts");
    const isNew = JSON.stringify(receivers) !== JSON.stringify(state.receivers);
    state.receivers = receivers;
    if (isNew) tell({ jobs: new Set(), all: false });
  } catch { /* the next look says what is the matter */ }
}

function take(overview, whole) {
  state.host = overview.host;
  state.asOf = instant(overview.host.now);
  // In the order of the answer.
  if (whole) {
    state.jobs.clear();
    state.total = overview.total;
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
  // The rest of the jobs comes first; what is drawn then asks again.
  if (stale.length === 0 || state.error || state.first !== null) return;
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

/** Of the stream that is open. */
let listening = null;
/** Somebody went to another document: a browser may keep this one for the way back. */
let isLeft = false;
// With its stream it would keep one of the six connections that a browser has for a host, and the seventh document would
// wait for the first to be forgotten.
addEventListener("pagehide", () => { isLeft = true; listening?.abort(); });
addEventListener("pageshow", () => { isLeft = false; });

/** Reads events for as long as the page lives; between two streams the page polls. */
async function follow() {
  for (let misses = 0; ; ) {
    const ended = new AbortController();
    listening = ended;
    let heard = Date.now();
    const watch = setInterval(() => { if (Date.now() - heard > SILENCE) ended.abort(); }, 5_000);
    try {
      await stream("/events?kind=" + KINDS, lastId, {
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
      if (!isLeft) misses += 1;
    }
    clearInterval(watch);
    if (isLeft) await new Promise((back) => { addEventListener("pageshow", back, { once: true }); });
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

/**
 * How `page` keeps what it shows: `read` asks for it, never twice at a time. A change that comes meanwhile may be missing
 * in the answer that is on its way, so one more is asked for.
 */
export function reader(page, read) {
  let isReading = false;
  let again = false;
  const load = async () => {
    again = isReading;
    if (isReading) return;
    isReading = true;
    try { await read(); } finally { isReading = false; }
    if (page.isClosed) return;
    page.context.draw();
    if (again) setTimeout(() => { if (!page.isClosed) load(); }, AGAIN);
  };
  return load;
}

/**
 * Questions by name → `{ answers, errors }` by name: one that fails takes none of the others along. Where nothing
 * answers at all the bar on top says so, and what is known stays: that is no error of a part that `isKnown(name)`.
 */
export async function each(questions, isKnown = () => false) {
  const names = Object.keys(questions);
  const settled = await Promise.allSettled(Object.values(questions));
  const found = { answers: {}, errors: {} };
  settled.forEach(({ status, value, reason }, index) => {
    const name = names[index];
    if (status === "fulfilled") found.answers[name] = value;
    else if (reason.status > 0 || !isKnown(name)) found.errors[name] = reason;
  });
  return found;
}

/** Milliseconds since the data was true. */
export function staleness() { return state.asOf === null ? null : Math.max(0, now() - state.asOf); }
