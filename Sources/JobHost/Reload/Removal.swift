import JobCore
import JobJSON
import JobStore

// Jobs that are gone. A config that was cut short may well be valid: the rest of the jobs is then
// removed as if somebody had wished it, so it is said before, at the moment, and afterwards.

extension ReloadReport {
    /// Jobs that served before and are not in the config any more, by name.
    public var removedJobs: [String] { jobs.filter { $0.change == .removed }.map(\.job) }

    /// Half of the jobs or more go: what a config does that was cut short.
    public var removesMany: Bool { Self.isMany(removedJobs.count, of: jobsBefore) }

    private static func isMany(_ removed: Int, of before: Int) -> Bool { removed >= 2 && removed * 2 >= before }

    /// For `plan` and for the reload itself; nil: few or none are removed.
    var removalWarning: String? {
        guard removesMany else { return nil }
        return "this removes \(removedJobs.count) of \(jobsBefore) jobs: if that is not meant, is the config cut short?"
    }

    /// At a start there is nothing to compare with but what served in the host's last life.
    mutating func compare(withLastLife served: Set<String>) {
        let named = Set(jobs.map(\.job))
        jobs += served.subtracting(named).map { JobLine(job: $0, change: .removed, detail: "while the host was not running") }
        jobs.sort { $0.job < $1.job }
        jobsBefore = served.count
        if let removalWarning { warnings.append(removalWarning) }
    }

    /// `check` judges as a start does, job by job; a host that runs keeps a plugin whole if one of
    /// its jobs is refused. Says so.
    /// - Parameter plugins: of each job of the config.
    mutating func sayWhatAReloadWouldDo(_ plugins: [String: String]) {
        let refused = Set(jobs.filter { $0.change == .refused }.compactMap { plugins[$0.job] })
        for plugin in refused.sorted() {
            let all = plugins.filter { $0.value == plugin }.keys.sorted()
            guard all.count > 1 else { continue }
            warnings.append(
                "a host that runs would refuse plugin '\(plugin)' whole: these \(all.count) jobs would stay as they are there: \(all.joined(separator: ", "))")
        }
    }
}

extension Generation {
    /// The config's file was not looked at: what it asks for and was refused stays so, which is no
    /// news of this reload.
    mutating func keepRefusals(of previous: Generation, _ report: inout ReloadReport) {
        (refused, kept, refusedPlugins, unserved) = (previous.refused, previous.kept, previous.refusedPlugins, previous.unserved)
        report.jobs += previous.refused.map { .init(job: $0.key, change: .kept, detail: "refused: \($0.value.reason)", serves: false) }
        report.jobs.sort { $0.job < $1.job }
    }
}

/// Which jobs there were when, by the reports of past reloads. Pure.
struct ReloadHistory {
    /// One accepted reload, or start.
    struct Entry {
        struct Line {
            var change: String
            var detail: String
            var serves: Bool
            /// It is in the config, and does not serve.
            var isRefused: Bool { !serves && change != "removed" }
        }
        var generation: Int64
        var at: Instant
        var jobs: [String: Line]
    }

    /// Whether a job served at an instant.
    enum Presence {
        case served
        /// `since`: the reload that removed it; nil: it had not been there yet, as far as is known.
        case absent(since: Entry?, until: Entry?)
        case refused(since: Entry, reason: String)
        /// Older than what is known.
        case unknown
    }

    /// The oldest first.
    private let entries: [Entry]

    /// - Parameter rows: as the store gives them, the newest first. Refused ones changed nothing.
    init(_ rows: [ReloadRow]) {
        entries = rows.reversed().filter(\.accepted).compactMap(Self.entry)
    }

    private static func entry(_ row: ReloadRow) -> Entry? {
        let limits = JSON.Limits(bytes: 16 << 20, depth: 32, allowsDuplicateKeys: true)
        guard let report = try? JSON(parsing: row.report, limits: limits), let lines = report["jobs"]?.arrayValue else { return nil }
        var jobs: [String: Entry.Line] = [:]
        for line in lines {
            guard let name = line["name"]?.stringValue, let change = line["change"]?.stringValue else { continue }
            let servesByItsWord = change != "removed" && change != "refused"
            var serves = servesByItsWord
            if case .bool(let said)? = line["serves"] { serves = said }
            jobs[name] = Entry.Line(change: change, detail: line["detail"]?.stringValue ?? "", serves: serves)
        }
        return Entry(generation: row.generation, at: row.at, jobs: jobs)
    }

    /// Jobs that served by the newest of them, which is the only one that is read: with thousands of jobs each is
    /// long.
    static func served(_ rows: [ReloadRow]) -> Set<String> {
        guard let newest = rows.lazy.filter(\.accepted).compactMap(entry).first else { return [] }
        return Set(newest.jobs.filter(\.value.serves).keys)
    }

    /// The newest reload that removed the job; nil: none, or it came back after that.
    func removal(of job: String) -> Entry? {
        guard let last = entries.lastIndex(where: { $0.jobs[job]?.serves == true }), last + 1 < entries.count else { return nil }
        return entries[last + 1]
    }

    func presence(of job: String, at instant: Instant) -> Presence {
        guard let now = entries.lastIndex(where: { $0.at <= instant }) else { return .unknown }
        if let line = entries[now].jobs[job] {
            if line.serves { return .served }
            if line.isRefused {
                let since = entries[...now].lastIndex { $0.jobs[job]?.isRefused != true }.map { $0 + 1 } ?? 0
                return .refused(since: entries[since], reason: line.detail)
            }
        }
        let until = entries[(now + 1)...].first { $0.jobs[job]?.serves == true }
        let before = entries[...now].lastIndex { $0.jobs[job]?.serves == true }
        return .absent(since: before.map { entries[$0 + 1] }, until: until)
    }

    /// The first reload after the instant that changed what the job is; a start that found it as
    /// it was changes nothing.
    func change(of job: String, after instant: Instant) -> Entry? {
        for (index, entry) in entries.enumerated() where entry.at > instant {
            guard let line = entry.jobs[job], line.change != "kept" else { continue }
            let isRestart = line.change == "added" && index > 0 && entries[index - 1].jobs[job]?.serves == true
            if !isRestart { return entry }
        }
        return nil
    }
}
