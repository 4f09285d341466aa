import JobCore

/// `jobhost doctor`: what would keep this machine or this config from serving well. The rules
/// are here and pure; `DoctorFacts.gather` does the looking.
public enum Doctor {
    public enum Level: String, Codable, Comparable, Sendable {
        case ok, warn, fail
        public static func < (a: Level, b: Level) -> Bool { a.rank < b.rank }
        private var rank: Int {
            switch self {
            case .ok: 0
            case .warn: 1
            case .fail: 2
            }
        }
    }

    public struct Finding: Hashable, Codable, Sendable {
        /// Short and stable, for `--json`: "state_dir", "disk", "tzdata" …
        public var name: String
        public var level: Level
        /// What was found and, unless all is well, what to do.
        public var sentence: String
        public init(_ name: String, _ level: Level, _ sentence: String) {
            self.name = name
            self.level = level
            self.sentence = sentence
        }
    }

    /// All findings, in the order of `doctor`'s output.
    public static func findings(_ facts: DoctorFacts) -> [Finding] {
        [
            host(facts.stateDir.holder, facts.store), stateDir(facts.stateDir), disk(facts.disk, of: facts.storeDisk == nil ? "state_dir and store" : "state_dir"),
        ] + (facts.storeDisk.map { [disk($0, of: "the store", name: "disk store")] } ?? []) + [
            timeZones(facts.timeZoneProblem), worker(facts.worker),
            descriptors(facts.descriptorLimit, maxWorkers: facts.maxWorkers),
            clock(facts.wall, isSynchronised: facts.isClockSynchronised), store(facts.store),
        ] + history(facts) + config(facts.config)
    }

    /// Those of one job: of plugins and jobs only its own.
    static func findings(_ findings: [Finding], about job: String, of plugin: String) -> [Finding] {
        findings.filter { finding in
            let isPart = finding.name.hasPrefix("plugin ") || finding.name.hasPrefix("job ")
            return !isPart || finding.name == "plugin \(plugin)" || finding.name == "job \(job)"
        }
    }

    public static func worst(_ findings: [Finding]) -> Level { findings.map(\.level).max() ?? .ok }

    static func stateDir(_ facts: DoctorFacts.StateDir) -> Finding {
        let name = "state_dir"
        switch facts.access {
        case .missing(let canBeMade):
            return canBeMade
                ? Finding(name, .ok, "\(facts.path) is not there yet; it will be made")
                : Finding(name, .fail, "\(facts.path) is not there and cannot be made; create it for the user that runs the host")
        case .notAFolder:
            return Finding(name, .fail, "\(facts.path) is not a folder; give state_dir another path")
        case .notWritable(let why):
            return Finding(name, .fail, "\(facts.path) cannot be written (\(why)); its owner must be the user that runs the host")
        case .writable(let mode):
            if mode & 0o002 != 0 {
                return Finding(name, .fail, "\(facts.path) can be written by everybody, who could replace libraries there; chmod o-w it")
            }
            if mode & 0o020 != 0 {
                return Finding(name, .warn, "\(facts.path) can be written by its group, who could replace libraries there")
            }
            let holder = facts.holder.map { ", in use by the host with pid \($0)" } ?? ""
            return Finding(name, .ok, "\(facts.path) is writable\(holder)")
        }
    }

    static func disk(_ facts: DoctorFacts.Disk?, of what: String, name: String = "disk") -> Finding {
        guard let facts else { return Finding(name, .warn, "the free space of \(what) cannot be read") }
        let free = "\(facts.freeBytes / 1_000_000) MB are free on the disk of \(what)"
        if facts.freeBytes < 50_000_000 { return Finding(name, .fail, "only \(free); the ledger needs room to write") }
        if let inodes = facts.freeInodes, inodes < 1_000 {
            return Finding(name, .fail, "only \(inodes) inodes are free on the disk of \(what)")
        }
        if facts.freeBytes < 1_000_000_000 { return Finding(name, .warn, "only \(free)") }
        return Finding(name, .ok, free)
    }

    static func timeZones(_ problem: String?) -> Finding {
        problem.map { Finding("tzdata", .fail, "the time-zone database cannot be read (\($0)); install the package tzdata") }
            ?? Finding("tzdata", .ok, "the time-zone database is there")
    }

    static func worker(_ facts: DoctorFacts.Worker) -> Finding {
        switch facts {
        case .missing(let path):
            Finding("worker", .fail, "\(path) is not there; install jobhost-worker beside jobhost")
        case .notExecutable(let path):
            Finding("worker", .fail, "\(path) is not executable; chmod +x it")
        case .silent(let path, let why):
            Finding("worker", .fail, "\(path) does not start: \(why)")
        case .answered(let path, let version, let expected) where version != expected:
            Finding("worker", .fail, "\(path) is version \(version), this is \(expected); install both from one build")
        case .answered(let path, let version, _):
            Finding("worker", .ok, "\(path), version \(version)")
        }
    }

    /// A worker costs the host up to 5 descriptors (socket, output, errors, pidfd, log).
    static func descriptors(_ limit: UInt64, maxWorkers: Int) -> Finding {
        let needed = 128 + 5 * UInt64(clamping: max(0, min(maxWorkers, 1_000_000)))
        if limit < needed {
            return Finding(
                "descriptors", limit < 128 ? .fail : .warn,
                "the limit of open files is \(limit); \(maxWorkers) workers may need \(needed) (ulimit -n, LimitNOFILE=)")
        }
        return Finding("descriptors", .ok, "the limit of open files is \(limit)")
    }

    static func clock(_ wall: Instant, isSynchronised: Bool?) -> Finding {
        let shown = wall.rfc3339
        guard wall >= earliestSane, wall < latestSane else {
            return Finding("clock", .fail, "the clock says \(shown), which cannot be; set it before starting the host")
        }
        switch isSynchronised {
        case true?: return Finding("clock", .ok, "the clock says \(shown) and is synchronised")
        case false?: return Finding("clock", .warn, "the clock says \(shown), but nothing synchronises it; run chrony or timesyncd")
        case nil: return Finding("clock", .ok, "the clock says \(shown)")
        }
    }
    /// 2025-01-01: older than this program.
    private static let earliestSane = Instant(seconds: 1_735_689_600)
    /// 2200-01-01.
    private static let latestSane = Instant(seconds: 7_258_118_400)

    /// What a job's plugin says itself, each finding as "JOB SUBJECT", and how it ended.
    static func examination(_ result: ExaminationResult, of job: String) -> [Finding] {
        let told = result.findings.map { finding in
            let level: Level =
                switch finding.level {
                case .ok: .ok
                case .warning: .warn
                case .error: .fail
                }
            return Finding(finding.subject.isEmpty ? job : "\(job) \(finding.subject)", level, finding.text)
        }
        return told + ending(result, of: job)
    }

    private static func ending(_ result: ExaminationResult, of job: String) -> [Finding] {
        switch result.end {
        case .complete(let dropped) where dropped > 0:
            [Finding(job, .warn, "its plugin found \(dropped) things more; only the first \(result.findings.count) are shown")]
        case .complete where result.findings.isEmpty: [Finding(job, .ok, "its plugin has nothing to check")]
        case .complete: []
        case .absent: [Finding(job, .ok, "its plugin has no checks of its own")]
        case .failed(let reason): [Finding(job, .fail, "its plugin's checks did not end well: \(reason)")]
        case .notLoaded(let reason): [Finding(job, .fail, "its plugin could not be asked: \(reason)")]
        case .hostFault(let reason): [Finding(job, .fail, "its plugin could not be asked: no worker starts: \(reason)")]
        }
    }

    /// One finding for the config; when it can be read, one per plugin and refused job.
    static func config(_ report: ReloadReport?) -> [Finding] {
        guard let report else { return [] }
        guard report.accepted else {
            return report.errors.map { Finding("config", .fail, $0) }
        }
        let first = report.warnings.isEmpty
            ? [Finding("config", .ok, "the config is valid: \(counted(report.jobs.count, "job"))")]
            : report.warnings.map { Finding("config", .warn, $0) }
        let plugins = report.plugins.filter { $0.change != .removed }.map { line in
            line.change == .refused
                ? Finding("plugin \(line.plugin)", .fail, line.detail)
                : Finding("plugin \(line.plugin)", .ok, line.detail.isEmpty ? "the library loads" : "the library loads (\(line.detail))")
        }
        let jobs = report.jobs.filter { $0.change == .refused }.map { Finding("job \($0.job)", .fail, $0.detail) }
        return first + plugins + jobs
    }
}
