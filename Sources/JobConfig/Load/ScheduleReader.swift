import JobCore

/// The one key of a job that says when.
struct ScheduleReader {
    let section: SectionReader
    let run: LoadRun
    let jobs: Set<String>

    /// nil: none is given, or what is given was refused.
    func schedule() -> ScheduleSpec? {
        let timezone = section.string(JobKeys.timezone) ?? "UTC"
        let zone = section.value(JobKeys.timezone).flatMap { run.zone(timezone, $0.position) } ?? Zone.utc
        let given = JobKeys.schedules.filter(section.has)
        guard given.count <= 1 else {
            let names = given.map { "'\($0.name)'" }
            let list = names.dropLast().joined(separator: ", ") + " and " + names[names.count - 1]
            let last = given.compactMap { section.table.keyPosition($0.name) }.max { ($0.line, $0.column) < ($1.line, $1.column) }
            run.faults.add(last, "\(list) say when this job is due; only one may")
            return nil
        }
        switch given.first?.name {
        case JobKeys.every.name: return every()
        case JobKeys.cron.name: return cron(timezone)
        case JobKeys.at.name: return at(zone)
        case JobKeys.after.name: return after()
        case JobKeys.adaptive.name: return adaptive()
        case JobKeys.schedule.name: return section.word(JobKeys.schedule) == nil ? nil : ScheduleSpec.none
        default: return nil
        }
    }

    private func every() -> ScheduleSpec? {
        guard let value = section.value(JobKeys.every) else { return nil }
        guard case .table = value.content, let table = section.section(JobKeys.every, keys: EveryKeys.all) else {
            return everyText(value)
        }
        guard table.has(EveryKeys.interval) else {
            run.faults.add(value.position, "'every' lacks 'interval'", hint: "as in every = { interval = \"10s\", after = \"finish\" }")
            return nil
        }
        guard let interval = table.duration(EveryKeys.interval) else { return nil }
        let phase = table.duration(EveryKeys.phase) ?? .zero
        if table.word(EveryKeys.after) != nil {
            if let place = table.table.keyPosition(EveryKeys.phase.name) {
                run.faults.add(place, "'phase' has no effect with after = \"finish\"", hint: "remove it")
            }
            return .afterFinish(interval)
        }
        guard phase < interval else {
            run.faults.add(table.value(EveryKeys.phase)?.position, "'phase' \(durationText(phase)) must be less than the interval \(durationText(interval))")
            return nil
        }
        return .every(interval, phase: phase)
    }

    private func everyText(_ value: ConfigValue) -> ScheduleSpec? {
        var hint: String? = durationUnitsHint
        switch value.content {
        case .string(let text):
            let parsed = parseDuration(text)
            if let parsed, JobKeys.limit.contains(parsed) { return .every(parsed, phase: .zero) }
            if parsed != nil { hint = nil }
        case .integer(let number): hint = "write the unit: \"\(number)s\""
        default: break
        }
        section.refuse(JobKeys.every, value, hint: hint)
        return nil
    }

    private func cron(_ timezone: String) -> ScheduleSpec? {
        guard let value = section.value(JobKeys.cron) else { return nil }
        guard case .string(let text) = value.content else {
            section.refuse(JobKeys.cron, value)
            return nil
        }
        do {
            return try run.cron(text, timeZone: timezone)
        } catch {
            run.faults.add(value.position, "'cron': " + error.message, hint: error.hint)
            return nil
        }
    }

    private func at(_ zone: Zone) -> ScheduleSpec? {
        guard let value = section.value(JobKeys.at) else { return nil }
        let text: String? =
            switch value.content {
            case .string(let text): text
            case .date(let date): date.text
            default: nil
            }
        if let text {
            if let instant = Instant(rfc3339: text) { return .once(instant) }
            if let civil = localTime(text) {
                switch zone.instants(of: civil) {
                case .once(let instant), .twice(let instant, _): return .once(instant)
                case .never(let gapEnd): return .once(gapEnd)
                }
            }
        }
        section.refuse(JobKeys.at, value, hint: "as in \"2027-01-01T00:00:00Z\"")
        return nil
    }

    /// "2027-01-01T09:00:00", "2027-01-01 09:00"
    private func localTime(_ text: String) -> CivilTime? {
        let parts = text.split(maxSplits: 1, whereSeparator: { $0 == "T" || $0 == "t" || $0 == " " })
        guard parts.count == 2, let date = CivilDate(String(parts[0])), let second = CivilTime.secondOfDay(String(parts[1])),
            second < 86_400
        else { return nil }
        return CivilTime(localSeconds: date.daysSinceEpoch * 86_400 + Int64(second))
    }

    private func after() -> ScheduleSpec? {
        guard let other = section.string(JobKeys.after) else { return nil }
        guard jobs.contains(other) else {
            run.faults.add(section.value(JobKeys.after)?.position, "there is no job '\(shownName(other))'", hint: nameHint(other, among: Array(jobs)))
            return nil
        }
        return .after(job: other)
    }

    private func adaptive() -> ScheduleSpec? {
        guard let table = section.section(JobKeys.adaptive, keys: AdaptiveKeys.all) else { return nil }
        for key in AdaptiveKeys.all where !table.has(key) {
            run.faults.add(section.value(JobKeys.adaptive)?.position, "'adaptive' lacks '\(key.name)'", hint: "as in adaptive = { min = \"1s\", max = \"1m\" }")
        }
        guard let min = table.duration(AdaptiveKeys.min), let max = table.duration(AdaptiveKeys.max) else { return nil }
        guard min < max else {
            run.faults.add(table.value(AdaptiveKeys.max)?.position, "'max' \(durationText(max)) must be above 'min' \(durationText(min))")
            return nil
        }
        return .adaptive(min: min, max: max)
    }
}
