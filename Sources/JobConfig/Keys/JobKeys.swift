import JobCore

/// `[jobs.NAME]`, and `[defaults]`
enum JobKeys {
    private static func key(_ name: String, _ kind: ConfigKey.Kind, _ defaultText: String, _ doc: String) -> ConfigKey {
        ConfigKey("jobs.NAME", name, kind, defaultText, doc)
    }
    static let limit: ClosedRange<Duration> = .milliseconds(1)...(.days(366))
    static let plugin = key("plugin", .string(64), "required", "A name of `[plugins]`.")
    static let entry = key("entry", .string(128), "required", "Which of the plugin's entries.")
    static let description = key("description", .string(1_000), "unset", "For people.")
    static let labels = key("labels", .strings(64), "[]", "Words by which `[host] only` and the command line choose jobs.")
    static let every = key(
        "every", .special("duration, 1ms … 366d, or a table"), "unset",
        "Fixed rate, on multiples of the interval since 1970-01-01T00:00:00Z; a restart and daylight saving change nothing. Table: see below.")
    static let cron = key("cron", .special("cron expression"), "unset", "5 fields, or 6 with seconds first.")
    static let timezone = key(
        "timezone", .string(100), "\"UTC\"", "Zone of `cron`, and of an `at` without an offset; a name of the system's tz database.")
    static let at = key(
        "at", .special("date-time, RFC 3339 in a string or TOML's own"), "unset", "Once, at this instant. Without an offset it is local time in `timezone`.")
    static let after = key("after", .string(64), "unset", "Whenever a run of that job has succeeded. A cycle is refused.")
    static let adaptive = key(
        "adaptive", .special("table with `min` and `max`"), "unset",
        "The interval halves toward `min` after a run with items and doubles toward `max` after one with nothing to do.")
    static let schedule = key("schedule", .choice(["none"]), "unset", "\"none\": only by hand or by enqueueing.")
    static let enabled = key("enabled", .boolean, "true", "false: the job fires nothing until it is enabled.")
    static let onStart = key("on_start", .boolean, "false", "true: also once when the host starts.")
    static let timeout = key(
        "timeout", .duration(limit, orNone: true), "\"30s\"",
        "Soft limit of an attempt: the cancel flag is set; after `kill_grace` the worker is killed. Outcome `timed_out`.")
    static let killGrace = key(
        "kill_grace", .duration(.zero...(.hours(1))), "\"5s\"", "Time from the cancel flag to the kill.")
    static let heartbeat = key(
        "heartbeat", .duration(limit, orNone: true), "\"none\"", "No progress reported for this long counts as the timeout.")
    static let logLevel = key(
        "log_level", .choice(["debug", "info", "warning", "error"]), "\"debug\"",
        "Lowest level of log lines that is kept for its runs. What they print (stdout, stderr) is always kept.")
    static let overlap = key(
        "overlap", .choice(OverlapPolicy.allCases.map(\.rawValue)), "\"skip\"",
        "What a due run does when `concurrency` is used up: be recorded as skipped, wait (one at most), or start all the same.")
    static let concurrency = key("concurrency", .integer(1...10_000), "1", "Runs of this job at once, over all hosts; then `overlap` decides.")
    static let rate = key("rate", .table, "unset", "How many of its runs may start in a span of time, over all hosts; the others wait. Unset: any number. See below.")
    static let runOn = key("run_on", .strings(64), "[]", "Only hosts with one of these `[host] labels` serve the job. Empty: every host.")
    static let isolate = key("isolate", .boolean, "false", "true: a worker pool of its own.")
    static let catchUp = key("catch_up", .table, "unset", "What happens to fires found overdue. See below.")
    static let expiresAfter = key(
        "expires_after", .duration(limit, orNone: true), "\"none\"",
        "An enqueued run that has not begun this long after it was due (or came, if that was later) ends as skipped (`expired`); whoever enqueues may give another instant. One that was tried is not tried again after it.")
    static let priority = key("priority", .integer(-1_000...1_000), "0", "Higher starts first; each minute of waiting adds 1.")
    static let jitter = key(
        "jitter", .duration(.zero...(.days(1))), "\"0s\"", "Each start is delayed by a random time up to this.")
    static let calendar = key("calendar", .string(64), "unset", "A name of `[calendars]`: fires outside it are recorded as skipped.")
    static let retry = key("retry", .table, "unset", "How failed attempts are tried again. See below.")
    static let breaker = key("breaker", .special("table, or `false`"), "unset", "When failures stop the job for a while. `false`: never. See below.")
    static let retention = key("retention", .table, "unset", "How long ended runs are kept. See below.")
    static let health = key("health", .table, "unset", "Bounds from which the job counts as warning or critical. See below.")
    static let approval = key("approval", .integer(1...2), "1", "2: what makes it run by hand takes a second person. See below.")
    static let settings = key("settings", .table, "{}", "What the entry gets, laid over the plugin's settings. See Settings.")
    static let all = [
        plugin, entry, description, labels, every, cron, timezone, at, after, adaptive, schedule, enabled, onStart, timeout,
        killGrace, heartbeat, logLevel, overlap, concurrency, rate, runOn, isolate, catchUp, expiresAfter, priority, jitter, calendar, retry, breaker, retention,
        health, approval, settings,
    ]
    /// Exactly one of these says when; none: the entry's default schedule.
    static let schedules = [every, cron, at, after, adaptive, schedule]
}

/// `every = { … }`
enum EveryKeys {
    private static func key(_ name: String, _ kind: ConfigKey.Kind, _ defaultText: String, _ doc: String) -> ConfigKey {
        ConfigKey("jobs.NAME.every", name, kind, defaultText, doc)
    }
    static let interval = key("interval", .duration(JobKeys.limit), "required", "From fire to fire, or with `after` from end to start.")
    static let phase = key("phase", .duration(.zero...(.days(366))), "\"0s\"", "Moves the fires by this much; less than the interval.")
    static let after = key("after", .choice(["finish"]), "unset", "\"finish\": fixed delay, counted from the end of the previous run.")
    static let all = [interval, phase, after]
}

/// `adaptive = { … }`
enum AdaptiveKeys {
    static let min = ConfigKey("jobs.NAME.adaptive", "min", .duration(JobKeys.limit), "required", "Shortest interval.")
    static let max = ConfigKey("jobs.NAME.adaptive", "max", .duration(JobKeys.limit), "required", "Longest interval; above `min`.")
    static let all = [min, max]
}

/// `rate = { … }`
enum RateKeys {
    static let runs = ConfigKey("jobs.NAME.rate", "runs", .integer(1...1_000_000), "required", "How many attempts may start within any span of `per`.")
    static let per = ConfigKey("jobs.NAME.rate", "per", .duration(.seconds(1)...(.days(1))), "\"1m\"", "The span.")
    static let all = [runs, per]
}

/// `catch_up = { … }`
enum CatchUpKeys {
    private static func key(_ name: String, _ kind: ConfigKey.Kind, _ defaultText: String, _ doc: String) -> ConfigKey {
        ConfigKey("jobs.NAME.catch_up", name, kind, defaultText, doc)
    }
    static let policy = key(
        "policy", .choice(CatchUpPolicy.allCases.map(\.rawValue)), "\"latest\"",
        "Run none of the overdue fires, the latest, or all. The others are recorded as missed.")
    static let window = key("window", .duration(.zero...(.days(3_660))), "\"1d\"", "Fires that are overdue by more than this are recorded as missed, whatever the policy.")
    static let limit = key("limit", .integer(1...100_000), "100", "Most fires that \"all\" runs, the newest ones; the rest are recorded as missed.")
    static let all = [policy, window, limit]
}

/// `retry = { … }`
enum RetryKeys {
    private static func key(_ name: String, _ kind: ConfigKey.Kind, _ defaultText: String, _ doc: String) -> ConfigKey {
        ConfigKey("jobs.NAME.retry", name, kind, defaultText, doc)
    }
    static let delay: ClosedRange<Duration> = .milliseconds(1)...(.days(7))
    static let maxAttempts = key(
        "max_attempts", .integer(1...1_000), "4", "Attempts in all; 1: no retry. After the last the run is discarded (dead letter).")
    static let initial = key("initial", .duration(delay), "\"300ms\"", "Delay before the second attempt; at most `max`.")
    static let max = key("max", .duration(delay), "\"2s\"", "Longest delay.")
    static let multiplier = key("multiplier", .number(1...100), "2.0", "Growth of the delay from one attempt to the next.")
    static let jitter = key("jitter", .number(0...1), "0.1", "Each delay is spread by up to ± this part of itself.")
    static let all = [maxAttempts, initial, max, multiplier, jitter]
}

/// `breaker = { … }`
enum BreakerKeys {
    private static func key(_ name: String, _ kind: ConfigKey.Kind, _ defaultText: String, _ doc: String) -> ConfigKey {
        ConfigKey("jobs.NAME.breaker", name, kind, defaultText, doc)
    }
    static let failures = key("failures", .integer(1...10_000), "5", "Failed attempts that open it: in a row, or inside `window`.")
    static let window = key("window", .duration(.milliseconds(1)...(.days(7)), orNone: true), "\"none\"", "\"none\": failures in a row count.")
    static let openFor = key(
        "open_for", .duration(.milliseconds(1)...(.days(7))), "\"2m\"", "How long it is open before a probe; scheduled fires are recorded as skipped meanwhile.")
    static let successes = key("successes", .integer(1...1_000), "2", "Successful probes, one at a time, that close it.")
    static let all = [failures, window, openFor, successes]
}

/// `retention = { … }`
enum RetentionKeys {
    static let age = ConfigKey(
        "jobs.NAME.retention", "age", .duration(.seconds(1)...(.days(3_660))), "\"7d\"", "Ended runs older than this are deleted.")
    static let runs = ConfigKey(
        "jobs.NAME.retention", "runs", .integer(1...10_000_000), "1000", "Ended runs above this number are deleted, oldest first.")
    static let all = [age, runs]
}

/// `health = { warning = { … }, critical = { … } }`
enum HealthKeys {
    private static let limit: ClosedRange<Duration> = .milliseconds(1)...(.days(366))
    static let warning = ConfigKey("jobs.NAME.health", "warning", .table, "unset", "Bounds from which the job needs a look.")
    static let critical = ConfigKey("jobs.NAME.health", "critical", .table, "unset", "Bounds from which somebody should be woken.")
    static let all = [warning, critical]
    static let ofWarning = bounds("warning", failingFor: "\"1m\"", errors: "5", breaker: "\"half_open\"")
    static let ofCritical = bounds("critical", failingFor: "\"1h\"", errors: "20", breaker: "\"open\"")

    private static func bounds(_ grade: String, failingFor: String, errors: String, breaker: String) -> [ConfigKey] {
        func key(_ name: String, _ kind: ConfigKey.Kind, _ defaultText: String, _ doc: String) -> ConfigKey {
            ConfigKey("jobs.NAME.health.\(grade)", name, kind, defaultText, doc)
        }
        return [
            key("success_age", .duration(limit, orNone: true), "\"none\"", "The last success is this long ago."),
            key("failing_for", .duration(limit, orNone: true), failingFor, "It has been failing for this long, without a success."),
            key("duration", .duration(limit, orNone: true), "\"none\"", "The last attempt took, or one under way has taken, this long."),
            key("errors_per_hour", .integer(0...1_000_000), errors, "This many attempts failed within the last hour. 0: not checked."),
            key(
                "breaker", .choice(HealthBounds.BreakerState.allCases.map(\.rawValue) + ["none"]), breaker,
                "The breaker is open, or (`half_open`) anything but closed. \"none\": not checked."),
            key("metrics", .table, "{}", "Names of metrics that the plugin reports for the job, and numbers that they may not exceed."),
        ]
    }
}
