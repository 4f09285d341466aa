import JobConfig
import JobCore
import NearestName

/// Fits the jobs of one plugin to what its library says of itself. Pure but for the zones.
struct JobResolver {
    var config: HostConfig
    var zones: any ZoneSource
    /// What serves: a job of which nothing has changed is taken over as it is.
    var previous: Generation?

    /// What became of a plugin's jobs: each is in one of the two.
    struct Result {
        var jobs: [String: ResolvedJob] = [:]
        /// Sentences, with the places in the config.
        var faults: [String: [String]] = [:]
        /// What the host could not read for a fault of its own: then the rest says nothing.
        var hostFault: String?
        var isWhole: Bool { faults.isEmpty }
    }

    /// `answers`: what the library's `validate` said, by job; nil or missing: accepted.
    func resolve(
        _ jobs: [JobConfig], descriptor: PluginDescriptor, copy: LibraryCopy, answers: [String: String]
    ) -> Result {
        var result = Result()
        var known = Known()
        for job in jobs {
            do {
                result.jobs[job.name] = try resolve(job, descriptor, copy, answers[job.name], &known)
            } catch {
                result.faults[job.name] = error.sentences
                if error.isOfHost, result.hostFault == nil { result.hostFault = error.sentences.first }
            }
        }
        return result
    }

    /// What many jobs have in common is read and kept once.
    private struct Known {
        private var schemas: [String: Swift.Result<JSONSchema, JSONSchema.Fault>] = [:]
        private var settings: Set<[UInt8]> = []
        /// By their bytes: to Swift texts are equal that are composed differently.
        private var texts: [[UInt8]: String] = [:]

        mutating func schema(_ text: String) throws(JSONSchema.Fault) -> JSONSchema {
            if let known = schemas[text] { return try known.get() }
            let read = Swift.Result { () throws(JSONSchema.Fault) in try JSONSchema(text: text) }
            schemas[text] = read
            return try read.get()
        }

        mutating func settings(_ text: String) -> [UInt8] { settings.insert(Array(text.utf8)).memberAfterInsert }

        mutating func text(_ text: String) -> String {
            let bytes = Array(text.utf8)
            if let known = texts[bytes] { return known }
            texts[bytes] = text
            return text
        }
    }

    private struct Faults: Error {
        var sentences: [String]
        var isOfHost = false
        init(_ sentences: [String]) { self.sentences = sentences }
        init(_ job: JobConfig, _ message: String, hint: String? = nil, at position: SourcePosition? = nil, isOfHost: Bool = false) {
            sentences = [ConfigError(position: position ?? job.position, message: message, hint: hint).description]
            self.isOfHost = isOfHost
        }
    }

    /// nil: it has to be looked at.
    private func unchanged(_ job: JobConfig, _ entry: EntryDescriptor, _ copy: LibraryCopy, _ answer: String?) -> ResolvedJob? {
        // A calendar's days and a zone's rules stand elsewhere.
        guard answer == nil, let old = previous?.jobs[job.name], old.libraryHash == copy.sha256, old.entry == entry,
            old.calendar == nil, job.calendar == nil, job.schedule?.isCron != true, old.schedule.isCron != true
        else { return nil }
        var wanted = job
        if wanted.schedule == nil { wanted.schedule = old.config.schedule }
        return wanted == old.config ? old : nil
    }

    private func resolve(
        _ job: JobConfig, _ descriptor: PluginDescriptor, _ copy: LibraryCopy, _ answer: String?, _ known: inout Known
    ) throws(Faults) -> ResolvedJob {
        let entry = try entry(of: job, descriptor)
        if let old = unchanged(job, entry, copy, answer) { return old }
        try checkState(job, entry)
        try checkSettings(job, entry, answer, &known)
        try checkPayloadSchema(job, entry, &known)
        let schedule = try schedule(of: job, entry)
        // As it is where nothing is missing, so that it is kept once.
        var resolved = job
        if job.schedule == nil { resolved.schedule = schedule }
        let calendar = job.calendar.flatMap { config.calendars[$0] }
        if let name = job.calendar, calendar == nil {
            throw Faults(job, "job '\(job.name)': there is no calendar '\(name)'", hint: hint(name, config.calendars.keys), at: job.place(of: "calendar"))
        }
        return ResolvedJob(
            config: resolved, entry: entry, pool: PoolPlan.key(of: job), libraryHash: copy.sha256,
            settings: known.settings(job.settings.canonicalJSON), maskedSettings: known.text(job.settings.maskedJSON),
            schedule: schedule, zone: try zone(of: job, schedule), calendar: calendar?.calendar,
            calendarZone: try calendar.map { calendar throws(Faults) in try zone(calendar.timezone, job) } ?? .utc)
    }

    private func entry(of job: JobConfig, _ descriptor: PluginDescriptor) throws(Faults) -> EntryDescriptor {
        if let entry = descriptor.entries.first(where: { $0.id == job.entry }) { return entry }
        throw Faults(
            job, "job '\(job.name)': plugin '\(job.plugin)' has no entry '\(job.entry)'",
            hint: hint(job.entry, descriptor.entries.map(\.id)), at: job.place(of: "entry"))
    }

    /// Two runs at once would each start from the same state, and the later one's would win.
    private func checkState(_ job: JobConfig, _ entry: EntryDescriptor) throws(Faults) {
        guard entry.stateVersion > 0, job.concurrency > 1 || job.overlap == .allow else { return }
        let (key, line) = job.concurrency > 1
            ? ("concurrency", "concurrency = \(job.concurrency)") : ("overlap", "overlap = \"allow\"")
        throw Faults(
            job, "job '\(job.name)': entry '\(entry.id)' keeps state, which two runs at once would overwrite; \(line) is not possible",
            hint: "use concurrency = 1 and overlap = \"skip\" or \"queue\"", at: job.place(of: key))
    }

    private func checkSettings(
        _ job: JobConfig, _ entry: EntryDescriptor, _ answer: String?, _ known: inout Known
    ) throws(Faults) {
        if !entry.settingsSchema.isEmpty {
            let schema: JSONSchema
            do {
                schema = try known.schema(entry.settingsSchema)
            } catch {
                throw Faults(job, "job '\(job.name)': the settings of entry '\(entry.id)' cannot be checked: \(error)")
            }
            let errors = schema.validate(job.settings, name: "settings of job '\(job.name)'", place: job.place(of: "settings"))
            if !errors.isEmpty { throw Faults(errors.map(\.description)) }
        }
        if let answer {
            throw Faults(
                job, "settings of job '\(job.name)': plugin '\(job.plugin)' refuses them: \(answer)",
                at: job.settings.position ?? job.place(of: "settings"))
        }
    }

    private func checkPayloadSchema(_ job: JobConfig, _ entry: EntryDescriptor, _ known: inout Known) throws(Faults) {
        guard !entry.payloadSchema.isEmpty else { return }
        do {
            _ = try known.schema(entry.payloadSchema)
        } catch {
            throw Faults(job, "job '\(job.name)': the payload of entry '\(entry.id)' cannot be checked: \(error)")
        }
    }

    private func schedule(of job: JobConfig, _ entry: EntryDescriptor) throws(Faults) -> ScheduleSpec {
        if let schedule = job.schedule { return schedule }
        guard !entry.defaultSchedule.isEmpty else {
            throw Faults(
                job, "job '\(job.name)' does not say when it runs, and entry '\(entry.id)' has no schedule of its own",
                hint: "add every, cron, at, after or adaptive; schedule = \"none\": only by hand or by enqueueing")
        }
        do {
            return try ScheduleSpec(defaultText: entry.defaultSchedule, zones: zones)
        } catch {
            throw Faults(job, "job '\(job.name)': the default schedule of entry '\(entry.id)' cannot be used: \(error)", isOfHost: error.isOfHost)
        }
    }

    private func zone(of job: JobConfig, _ schedule: ScheduleSpec) throws(Faults) -> Zone {
        guard case .cron(_, let name) = schedule else { return .utc }
        return try zone(name, job)
    }

    private func zone(_ name: String, _ job: JobConfig) throws(Faults) -> Zone {
        do {
            return try zones.zone(named: name)
        } catch {
            throw Faults(job, "job '\(job.name)': \(error)", isOfHost: error.isOfHost)
        }
    }

    private func hint(_ name: String, _ names: some Sequence<String>) -> String? {
        let sorted = names.sorted()
        if let near = nearestName(name, among: sorted) { return "did you mean '\(near)'?" }
        guard !sorted.isEmpty else { return nil }
        return "there are: " + sorted.prefix(20).joined(separator: ", ") + (sorted.count > 20 ? ", …" : "")
    }
}

extension ScheduleSpec {
    fileprivate var isCron: Bool { if case .cron = self { true } else { false } }
}
