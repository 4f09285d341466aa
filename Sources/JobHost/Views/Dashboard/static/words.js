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
  expired: "it expired before it began",
  window: "older than its catch-up window",
  policy: "its catch-up policy leaves it out",
  clock: "the clock jumped over it",
};

export const TRIGGERS = {
  schedule: "schedule", catch_up: "catch-up", manual: "by hand", enqueued: "enqueued", backfill: "backfill",
  retry_of: "retry of", start: "host start", after: "after another job",
};

export const BREAKERS = {
  closed: { word: "closed", tone: "ok" },
  open: { word: "open", tone: "bad" },
  half_open: { word: "half-open", tone: "warn" },
  forced_open: { word: "forced open", tone: "warn" },
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

/** With a comma between thousands; `toLocaleString` would load a language's rules before the first paint. */
export function grouped(number) { return String(number).replace(/\B(?=(\d{3})+$)/g, ","); }

export function counted(number, word, plural = `${word}s`) {
  return `${grouped(number)} ${number === 1 ? word : plural}`;
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
