import JobCore

/// `[jobs.NAME]` over `[defaults]`.
struct JobReader {
    struct Names {
        var plugins: Set<String>
        var calendars: Set<String>
        var jobs: Set<String>
    }

    let run: LoadRun
    let defaults: ConfigTable
    let names: Names
    let plugins: [String: PluginConfig]

    /// Reads the defaults by themselves, so that they are checked without any job too.
    func checkDefaults() {
        let section = SectionReader(defaults, title: "[defaults]", keys: JobKeys.all, faults: run.faults)
        var scratch = JobConfig.Own(name: "", plugin: "", entry: "", position: SourcePosition(file: "", line: 0, column: 0))
        var limits = JobConfig.Limits()
        _ = section.string(JobKeys.entry)
        if let plugin = section.string(JobKeys.plugin) { check(plugin, isIn: names.plugins, section, JobKeys.plugin, "plugin") }
        _ = section.subtable(JobKeys.settings)
        readSimpleKeys(section, into: &scratch, &limits)
        readPolicies(section, of: scratch, into: &limits)
        _ = ScheduleReader(section: section, run: run, jobs: names.jobs).schedule()
    }

    func job(_ name: String, _ table: ConfigTable, place: SourcePosition) -> JobConfig? {
        let title = "[jobs.\(name)]"
        var merged = inherited(by: table).overlaid(by: table)
        merged.position = place
        let section = SectionReader(merged, title: title, keys: JobKeys.all, faults: run.faults, own: table)
        let plugin = section.required(JobKeys.plugin, title: title)
        let entry = section.required(JobKeys.entry, title: title)
        if let plugin { check(plugin, isIn: names.plugins, section, JobKeys.plugin, "plugin") }
        var job = JobConfig.Own(name: name, plugin: plugin ?? "", entry: entry ?? "", position: place)
        job.places = section.places
        var limits = JobConfig.Limits()
        readSimpleKeys(section, into: &job, &limits)
        readPolicies(section, of: job, into: &limits)
        job.schedule = ScheduleReader(section: section, run: run, jobs: names.jobs).schedule()
        checkTimezone(table, section)
        job.settings = settings(table, plugin: plugins[job.plugin])
        return plugin == nil || entry == nil ? nil : JobConfig(job, run.shared(limits))
    }

    /// What a job takes over from the defaults: not their schedule when it has its own, and
    /// not their settings, which lie below those of the plugin.
    private func inherited(by table: ConfigTable) -> ConfigTable {
        var out = defaults
        out.entries[JobKeys.settings.name] = nil
        if JobKeys.schedules.contains(where: { table[$0.name] != nil }) {
            for key in JobKeys.schedules { out.entries[key.name] = nil }
        }
        return out
    }

    /// defaults < plugin < job
    private func settings(_ table: ConfigTable, plugin: PluginConfig?) -> ConfigTable {
        func settings(in table: ConfigTable) -> ConfigTable {
            if case .table(let settings)? = table[JobKeys.settings.name]?.content { settings } else { ConfigTable() }
        }
        return settings(in: defaults).overlaid(by: plugin?.settings ?? ConfigTable()).overlaid(by: settings(in: table))
    }

    private func check(_ name: String, isIn known: Set<String>, _ section: SectionReader, _ key: ConfigKey, _ what: String) {
        guard !known.contains(name) else { return }
        let hint = known.isEmpty ? "there is no [\(what)s.NAME]" : nameHint(name, among: Array(known))
        run.faults.add(section.value(key)?.position, "there is no \(what) '\(shownName(name))'", hint: hint)
    }

    /// A default zone may lie idle; one that a job writes itself is meant to do something.
    private func checkTimezone(_ own: ConfigTable, _ section: SectionReader) {
        guard let place = own.keyPosition(JobKeys.timezone.name), !section.has(JobKeys.cron), !section.has(JobKeys.at) else { return }
        run.faults.add(place, "'timezone' has no effect without 'cron' or 'at'", hint: "remove it")
    }

    private func readSimpleKeys(_ section: SectionReader, into job: inout JobConfig.Own, _ limits: inout JobConfig.Limits) {
        if let value = section.string(JobKeys.description) { job.description = value }
        if let value = section.strings(JobKeys.labels) {
            job.labels = value.map(\.text)
            for label in value where !isName(label.text) {
                run.faults.add(label.position, "'\(shownName(label.text))' is no label", hint: labelHint)
            }
        }
        if let value = section.boolean(JobKeys.enabled) { job.enabled = value }
        if let value = section.boolean(JobKeys.onStart) { job.onStart = value }
        switch section.limit(JobKeys.timeout) {
        case .unlimited: limits.timeout = nil
        case .duration(let value): limits.timeout = value
        case nil: break
        }
        if let value = section.duration(JobKeys.killGrace) { limits.killGrace = value }
        if case .duration(let value)? = section.limit(JobKeys.heartbeat) { limits.heartbeat = value }
        if let word = section.word(JobKeys.logLevel), let level = LogLevel.allCases.first(where: { "\($0)" == word }) { limits.logLevel = level }
        if let value = section.choice(JobKeys.overlap, OverlapPolicy.self) { limits.overlap = value }
        if let value = section.integer(JobKeys.concurrency) { limits.concurrency = value }
        if let value = section.strings(JobKeys.runOn) {
            limits.runOn = value.map(\.text)
            for label in value where !isName(label.text) {
                run.faults.add(label.position, "'\(shownName(label.text))' is no label", hint: labelHint)
            }
        }
        if case .duration(let value)? = section.limit(JobKeys.expiresAfter) { limits.expiresAfter = value }
        if let value = section.integer(JobKeys.approval) { limits.approval = value }
        if let value = section.boolean(JobKeys.isolate) { limits.isolate = value }
        if let value = section.integer(JobKeys.priority) { limits.priority = value }
        if let value = section.duration(JobKeys.jitter) { limits.jitter = value }
        if let value = section.string(JobKeys.calendar) {
            check(value, isIn: names.calendars, section, JobKeys.calendar, "calendar")
            limits.calendar = value
        }
    }

    private func readPolicies(_ section: SectionReader, of job: JobConfig.Own, into limits: inout JobConfig.Limits) {
        if let catchUp = section.section(JobKeys.catchUp, keys: CatchUpKeys.all) {
            if let value = catchUp.choice(CatchUpKeys.policy, CatchUpPolicy.self) { limits.catchUp.policy = value }
            if let value = catchUp.duration(CatchUpKeys.window) { limits.catchUp.window = value }
            if let value = catchUp.integer(CatchUpKeys.limit) { limits.catchUp.limit = value }
        }
        if let rate = section.section(JobKeys.rate, keys: RateKeys.all) {
            if !rate.has(RateKeys.runs) { run.faults.add(job.place(of: JobKeys.rate.name), "'rate' lacks 'runs'", hint: "rate = { runs = 100, per = \"1m\" }") }
            let per = rate.duration(RateKeys.per) ?? .seconds(60)
            limits.rate = rate.integer(RateKeys.runs).map { RateLimit(runs: $0, per: per) }
        }
        if let retry = section.section(JobKeys.retry, keys: RetryKeys.all) { readRetry(retry, into: &limits.retry) }
        readBreaker(section, into: &limits)
        if let retention = section.section(JobKeys.retention, keys: RetentionKeys.all) {
            if let value = retention.duration(RetentionKeys.age) { limits.retention.age = value }
            if let value = retention.integer(RetentionKeys.runs) { limits.retention.runs = value }
        }
        if let health = section.section(JobKeys.health, keys: HealthKeys.all) {
            HealthReader(faults: run.faults).read(health, into: &limits.health)
        }
    }

    private func readRetry(_ section: SectionReader, into retry: inout RetryPolicy) {
        if let value = section.integer(RetryKeys.maxAttempts) { retry.maxAttempts = value }
        if let value = section.duration(RetryKeys.initial) { retry.initial = value }
        if let value = section.duration(RetryKeys.max) { retry.max = value }
        if let value = section.number(RetryKeys.multiplier) { retry.multiplier = value }
        if let value = section.number(RetryKeys.jitter) { retry.jitter = value }
        if retry.initial > retry.max {
            let place = (section.value(RetryKeys.initial) ?? section.value(RetryKeys.max))?.position
            run.faults.add(place, "the first delay of 'retry', \(durationText(retry.initial)), is above its 'max', \(durationText(retry.max))")
        }
    }

    private func readBreaker(_ section: SectionReader, into limits: inout JobConfig.Limits) {
        guard let value = section.value(JobKeys.breaker) else { return }
        if case .boolean(false) = value.content {
            limits.breaker = nil
            return
        }
        guard case .table = value.content, let breaker = section.section(JobKeys.breaker, keys: BreakerKeys.all) else {
            section.refuse(JobKeys.breaker, value)
            return
        }
        var policy = BreakerPolicy()
        if let value = breaker.integer(BreakerKeys.failures) { policy.failures = value }
        if case .duration(let value)? = breaker.limit(BreakerKeys.window) { policy.window = value }
        if let value = breaker.duration(BreakerKeys.openFor) { policy.openFor = value }
        if let value = breaker.integer(BreakerKeys.successes) { policy.successes = value }
        limits.breaker = policy
    }
}
