// What is wrong, the worst first: one sentence why, since when, and what to press. Pure.

import { instant, now, age, relative, when } from "./time.js";
import { counted, outcomeOf, short } from "./words.js";

/** A fire that nobody starts is overdue after this, in milliseconds. */
const OVERDUE = 15_000;

/**
 * Of each: `key`, `job` (null: the host), `tone` (bad, warn), `rank` (less is worse), `why`,
 * `more` (further sentences), `since` (ms or null), `actions` (names for actions.js, each with
 * what it is about). `known`: the host as it was last seen, since when it does not answer (`gone`), and who is told
 * of alerts (`receivers`).
 */
export function problems({ host, gone, receivers }, jobs) {
  const found = [...lost(gone), ...hostProblems(host), ...deaf(receivers)];
  for (const job of jobs) {
    const problem = jobProblem(job, host);
    if (problem) found.push(problem);
  }
  return found.sort((a, b) => a.rank - b.rank || (a.since ?? Infinity) - (b.since ?? Infinity) || a.key.localeCompare(b.key));
}

function lost(gone) {
  if (!gone) return [];
  const why = gone.status > 0 ? `the host answers no more: ${gone.message}` : "the host does not answer";
  return [{
    key: "host gone", job: null, tone: "bad", rank: -1, why, more: ["What stands below is as it was then."], since: gone.since, actions: [],
  }];
}

/** Who is to be told of alerts, and does not take the last one. */
function deaf(receivers) {
  return (receivers ?? []).filter(({ problem }) => problem).map(({ name, problem, waiting, lost }) => ({
    key: `receiver ${name}`, job: null, tone: "bad", rank: 2, why: `alerts do not reach ${name}: ${problem}`,
    more: [[waiting > 0 && `${counted(waiting, "message")} ${waiting === 1 ? "waits" : "wait"}`, lost > 0 && `${counted(lost, "message")} given up`].filter(Boolean).join(", ")].filter(Boolean),
    since: null, actions: [{ action: "host" }],
  }));
}

/** What helps with what the host says of itself. */
function helpWith({ kind, subject, text }) {
  if (kind === "rollback") return [{ action: "versions", plugin: subject }];
  if (kind === "removal") return [{ action: "plugins" }, { action: "plan" }, { action: "reload" }];
  if (kind === "plugin" || kind === "reload") return [{ action: "plugins" }];
  return [{ action: text.startsWith("the host was taken out") ? "hosts" : "host" }];
}

function hostProblems(host) {
  if (!host) return [];
  const found = [];
  const add = (key, tone, rank, why, since, actions) =>
    found.push({ key: `host ${key}`, job: null, tone, rank, why, more: [], since, actions });
  const reload = host.reload;
  for (const condition of host.conditions) {
    // The refused reload has its own entry.
    if (reload && !reload.accepted && condition.kind === "reload") continue;
    const isBad = condition.grade === "critical";
    add(`${condition.kind} ${condition.subject} ${condition.text}`, isBad ? "bad" : "warn", isBad ? 0 : 9, condition.text, instant(condition.since), helpWith(condition));
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

/** What is wrong with one job, as `problems` has it; null: nothing. */
export function jobProblem(job, host) {
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
  // Of what is held back, how much.
  const held = job.waiting > 0 ? `; ${counted(job.waiting, "run")} ${job.waiting === 1 ? "waits" : "wait"} for it` : "";
  if (breaker.state === "open") {
    const probe = breaker.until ? `; tries again ${relative(instant(breaker.until))}` : "";
    // "3 failures in a row, the last: failed": how the last one failed stands there already.
    const count = breaker.reason.replace(/, the last: [^,]*$/, "");
    add(4, "bad", `breaker open${count ? ` after ${count}` : ""}${failure ? `: ${failure}` : ""}${probe}${held}`,
      instant(job.failing_since) ?? instant(breaker.since), [...logOf(job), { action: "breakerReset" }, { action: "pause" }]);
  } else if (breaker.state === "forced_open") {
    const until = breaker.until ? `; closes ${relative(instant(breaker.until))}` : "";
    // "by root from 127.0.0.1: the bank is down".
    const why = breaker.reason.startsWith("by ") ? ` ${breaker.reason}` : breaker.reason ? `: ${breaker.reason}` : "";
    // Somebody wanted it so.
    add(9, "warn", `breaker opened by hand${why}${until}${held}`, instant(breaker.since),
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
    add(9, "warn", `paused${why}${held}`, instant(job.control.paused_since), [{ action: "resume" }]);
  }
  for (const reason of job.health.reasons) {
    // What is said above in other words is not said twice.
    if (["settings", "refused", "breaker", "failing_for"].includes(reason.rule)) continue;
    const isCritical = reason.grade === "critical";
    add(isCritical ? 7 : 8, isCritical ? "bad" : "warn", `${reason.grade}: ${reason.text}`, null, [...(reason.rule === "duration" ? slowOf(job) : []), ...logOf(job)]);
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

/** What is under way and takes too long. */
function slowOf(job) { return job.running.filter((run) => run.started_at).slice(0, 1).flatMap(({ run }) => [{ action: "log", run }, { action: "cancel", run }]); }

function logOf(job) { return job.last ? [{ action: "log", run: job.last.id }] : []; }

function overdue(job, host) {
  const next = instant(job.next_fire);
  if (next === null || !job.enabled || job.control.paused || job.running.length > 0) return null;
  if (host?.control.paused || host?.phase !== "running" || ["open", "forced_open"].includes(job.breaker.state)) return null;
  // As of when the host said so: of what it has done since then nothing is known.
  const seen = instant(host.now);
  if (seen - next < OVERDUE) return null;
  return { why: `was due ${age(seen - next)} ago and has not started`, since: next };
}

/** The most telling of a job's conditions: a tone for its mark, and a word. */
export function condition(job, host) {
  const failure = lastFailure(job);
  if (job.refused) return { tone: "bad", word: "refused" };
  if (job.problems.length > 0 || job.running.some((run) => run.problem)) return { tone: "bad", word: "broken" };
  if (!job.enabled) return { tone: "idle", word: "off" };
  if (job.breaker.state === "open") return { tone: "bad", word: "breaker open" };
  if (job.breaker.state === "forced_open") return { tone: "warn", word: "held open" };
  if (failure) return { tone: "bad", word: "failing" };
  if (job.control.paused || host?.control.paused) return { tone: "warn", word: "paused" };
  if (overdue(job, host)) return { tone: "bad", word: "overdue" };
  if (job.health.grade === "critical") return { tone: "bad", word: "critical" };
  if (job.running.length > 0) return { tone: "busy", word: "running" };
  if (job.health.grade === "warning") return { tone: "attention", word: "warning" };
  if (!job.last) return { tone: "idle", word: "never ran" };
  return { tone: "ok", word: "ok" };
}

/** "running for 3 s, 40 of 120", "succeeded 12 s ago". */
export function lately(job) {
  const run = job.running[0];
  if (run) {
    const several = job.running.length > 1 ? `${job.running.length} ` : "";
    if (!run.started_at) return `${several}${run.problem ? "cannot start" : "starting"}`;
    const progress = run.total > 0 ? `, ${Math.floor((run.done / run.total) * 100)} %` : "";
    return `${several}running ${age(now() - instant(run.started_at))}${progress}`;
  }
  if (!job.last) return "never ran";
  const word = job.last.state === "discarded" && outcomeOf(job.last.outcome).tone !== "bad" ? "gave up" : outcomeOf(job.last.outcome).word;
  const ago = relative(instant(job.last.finished_at) ?? instant(job.last.fire_time));
  return `${word}${word.includes(" ") ? "," : ""} ${ago}`;
}

/** What stands where the next fire counts down; `at`: to when, in ms. */
export function nextWords(job, host) {
  if (job.refused) return { text: "refused", tone: "bad" };
  if (!job.enabled) return { text: "off", tone: "idle" };
  if (job.control.paused || host?.control.paused) return { text: "paused", tone: "warn" };
  // An open breaker lets nothing start before its probe.
  const isOpen = ["open", "forced_open"].includes(job.breaker.state);
  const next = isOpen && job.next ? instant(job.next.at) : instant(job.next_fire);
  if (isOpen && (next === null || next <= now())) return { text: "breaker", tone: job.breaker.state === "open" ? "bad" : "warn" };
  if (next === null || host?.phase === "draining") return { text: "–", tone: "idle" };
  const left = next - now();
  const late = host ? instant(host.now) - next : -left;
  if (late > OVERDUE) return { text: `${age(late)} late`, tone: "bad", at: next };
  // Since then nobody has said what became of it.
  if (left < -OVERDUE) return { text: "?", tone: "idle", at: next };
  return { text: left < 1000 ? "now" : age(left), tone: "", at: next };
}
