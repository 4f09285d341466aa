import Glibc
import JobCore
import Testing

@testable import JobHost

private struct Broken: Error, CustomStringConvertible {
    var description: String
}

@Suite("Doctor")
struct DoctorTests {
    private func healthy() -> DoctorFacts {
        DoctorFacts(
            stateDir: .init(path: "/var/lib/jobhost", access: .writable(mode: 0o750), holder: 77),
            disk: .init(freeBytes: 20_000_000_000, freeInodes: 1_000_000), timeZoneProblem: nil,
            worker: .answered("/usr/bin/jobhost-worker", version: "1.0", expected: "1.0"), descriptorLimit: 1_024, maxWorkers: 32,
            wall: Instant(seconds: 1_800_000_000), isClockSynchronised: true, store: .read(history { _ in }), config: nil)
    }
    private func history(_ change: (inout DoctorFacts.History) -> Void) -> DoctorFacts.History {
        var history = DoctorFacts.History(format: .current(2))
        change(&history)
        return history
    }
    private func finding(_ name: String, _ change: (inout DoctorFacts) -> Void) -> Doctor.Finding? {
        var facts = healthy()
        change(&facts)
        return Doctor.findings(facts).first { $0.name == name }
    }

    @Test("a healthy machine: every check, all well")
    func allWell() {
        let findings = Doctor.findings(healthy())
        #expect(findings.map(\.name) == ["host", "state_dir", "disk", "tzdata", "worker", "descriptors", "clock", "store", "breakers", "dead letters", "waiting"])
        #expect(Doctor.worst(findings) == .ok)
    }

    @Test("of one job: the machine, its plugin and itself")
    func aboutOneJob() {
        let names = ["disk", "config", "plugin deposits", "plugin deposit", "job credit", "job creditor"]
        let findings = names.map { Doctor.Finding($0, .fail, "x") }
        let found = Doctor.findings(findings, about: "credit", of: "deposits")
        #expect(found.map(\.name) == ["disk", "config", "plugin deposits", "job credit"])
    }

    @Test("state_dir", arguments: [
        (.writable(mode: 0o700), .ok), (.writable(mode: 0o770), .warn), (.writable(mode: 0o777), .fail),
        (.notWritable("Permission denied"), .fail), (.notAFolder, .fail), (.missing(canBeMade: true), .ok), (.missing(canBeMade: false), .fail),
    ] as [(DoctorFacts.StateDir.Access, Doctor.Level)])
    func stateDir(access: DoctorFacts.StateDir.Access, level: Doctor.Level) {
        #expect(finding("state_dir") { $0.stateDir.access = access }?.level == level)
    }

    @Test("disk space", arguments: [
        (nil, .warn), (.init(freeBytes: 49_000_000, freeInodes: nil), .fail), (.init(freeBytes: 900_000_000, freeInodes: nil), .warn),
        (.init(freeBytes: 9_000_000_000, freeInodes: 10), .fail), (.init(freeBytes: 9_000_000_000, freeInodes: nil), .ok),
    ] as [(DoctorFacts.Disk?, Doctor.Level)])
    func disk(disk: DoctorFacts.Disk?, level: Doctor.Level) {
        #expect(finding("disk") { $0.disk = disk }?.level == level)
    }

    @Test("the worker binary", arguments: [
        (.missing("/w"), "/w is not there; install jobhost-worker beside jobhost"),
        (.notExecutable("/w"), "/w is not executable; chmod +x it"),
        (.silent("/w", why: "exec format error"), "/w does not start: exec format error"),
        (.answered("/w", version: "0.9", expected: "1.0"), "/w is version 0.9, this is 1.0; install both from one build"),
    ] as [(DoctorFacts.Worker, String)])
    func worker(facts: DoctorFacts.Worker, sentence: String) {
        #expect(finding("worker") { $0.worker = facts } == Doctor.Finding("worker", .fail, sentence))
    }

    @Test("what a plugin says of a job stands under the job's name, its level in the words of doctor")
    func pluginFindings() {
        let result = ExaminationResult(
            findings: [
                PluginFinding(.ok, "pairs", "3 active"), PluginFinding(.warning, "trades", "none since 02:00"),
                PluginFinding(.error, "", "broken"),
            ], end: .complete(dropped: 0))
        #expect(Doctor.examination(result, of: "candles") == [
            Doctor.Finding("candles pairs", .ok, "3 active"), Doctor.Finding("candles trades", .warn, "none since 02:00"),
            Doctor.Finding("candles", .fail, "broken"),
        ])
    }

    @Test("how a plugin's checks ended is said, unless they ended well", arguments: [
        (.complete(dropped: 0), .ok, "its plugin has nothing to check"),
        (.complete(dropped: 7), .warn, "its plugin found 7 things more; only the first 0 are shown"),
        (.absent, .ok, "its plugin has no checks of its own"),
        (.failed("exited by signal 11"), .fail, "its plugin's checks did not end well: exited by signal 11"),
        (.notLoaded("no symbol"), .fail, "its plugin could not be asked: no symbol"),
        (.hostFault("EMFILE"), .fail, "its plugin could not be asked: no worker starts: EMFILE"),
    ] as [(ExaminationResult.End, Doctor.Level, String)])
    func pluginEnds(end: ExaminationResult.End, level: Doctor.Level, sentence: String) {
        #expect(Doctor.examination(ExaminationResult(findings: [], end: end), of: "j") == [Doctor.Finding("j", level, sentence)])
    }

    @Test("descriptors: five for each worker, and some", arguments: [(288, .ok), (287, .warn), (127, .fail)] as [(UInt64, Doctor.Level)])
    func descriptors(limit: UInt64, level: Doctor.Level) {
        #expect(finding("descriptors") { $0.descriptorLimit = limit }?.level == level)
        #expect(finding("descriptors") { $0.maxWorkers = .max }?.level == .warn)
    }

    @Test("a clock that cannot be", arguments: [
        (0, true, .fail), (7_300_000_000, true, .fail), (1_800_000_000, false, .warn), (1_800_000_000, nil, .ok), (.min, nil, .fail),
    ] as [(Int64, Bool?, Doctor.Level)])
    func clock(seconds: Int64, isSynchronised: Bool?, level: Doctor.Level) {
        let finding = finding("clock") {
            $0.wall = Instant(seconds: seconds)
            $0.isClockSynchronised = isSynchronised
        }
        #expect(finding?.level == level)
    }

    @Test("store and time zones")
    func others() {
        #expect(finding("store") { $0.store = .failed("locked") }?.level == .fail)
        #expect(finding("store") { $0.store = .skipped("no folder yet") }?.level == .warn)
        #expect(finding("tzdata") { $0.timeZoneProblem = "Etc/UTC: missing" }?.sentence
            == "the time-zone database cannot be read (Etc/UTC: missing); install the package tzdata")
    }

    @Test("whether a host runs is said")
    func runs() {
        #expect(finding("host") { _ in }?.sentence == "a host runs here, pid 77")
        #expect(finding("host") { $0.stateDir.holder = nil }?.level == .warn)
        let first = finding("host") {
            $0.stateDir.holder = nil
            $0.store = .read(.init(format: .absent))
        }
        #expect(first == Doctor.Finding("host", .ok, "no host has run here yet; start one: jobhost run"))
    }

    @Test("the store's format is judged, never changed", arguments: [
        (.absent, .ok), (.current(2), .ok), (.older(1, known: 2), .warn), (.newer(3, known: 2), .fail), (.foreign, .fail),
    ] as [(DoctorFacts.History.Format, Doctor.Level)])
    func format(_ format: DoctorFacts.History.Format, level: Doctor.Level) {
        #expect(finding("store") { $0.store = .read(.init(format: format)) }?.level == level)
    }

    @Test("the store on a disk of its own is looked at apart")
    func storeDisk() {
        #expect(finding("disk") { _ in }?.sentence.hasSuffix("of state_dir and store") == true)
        let full = finding("disk store") { $0.storeDisk = .init(freeBytes: 1_000_000, freeInodes: nil) }
        #expect(full == Doctor.Finding("disk store", .fail, "only 1 MB are free on the disk of the store; the ledger needs room to write"))
    }

    @Test("what waits for somebody: open breakers, dead letters, old runs, copies that are gone")
    func waitsForSomebody() {
        func said(_ name: String, isRunning: Bool = true, _ change: (inout DoctorFacts.History) -> Void) -> Doctor.Finding? {
            finding(name) {
                if !isRunning { $0.stateDir.holder = nil }
                $0.store = .read(history(change))
            }
        }
        let now = Instant(seconds: 1_800_000_000)
        #expect(said("breakers") { $0.breakers = [.init(job: "j", until: nil, reason: "by root")] }
            == Doctor.Finding("breakers", .warn, "j's is open until somebody closes it: by root. See: jobhost show j"))
        #expect(said("breakers") { $0.breakers = [.init(job: "j", until: now, reason: "")] }?.sentence
            == "j's is open, the next run is a probe. See: jobhost show j")
        #expect(said("dead letters") { $0.dead = ["mint": 3, "a": 1] }
            == Doctor.Finding("dead letters", .warn, "1 of a, 3 of mint. See: jobhost dead list"))
        #expect(said("waiting") { $0.oldestWaiting = ["mint": now - .seconds(300)] }?.level == .ok)
        #expect(said("waiting") { $0.oldestWaiting = ["mint": now - .seconds(7_200)] }?.sentence
            == "a run of mint waits since 2027-01-15 06:00:00Z, 2h. Why: jobhost runs mint")
        #expect(said("copies") { $0.missingCopies = ["p"] }?.level == .fail)
        #expect(said("copies", isRunning: false) { $0.missingCopies = ["p"] }?.level == .warn)
    }

    @Test("a config that is refused: each error; one that is read: each plugin and each refused job")
    func config() {
        var report = ReloadReport(generation: 1, at: .epoch, accepted: false, errors: ["jobs.toml:1:1: no"])
        #expect(Doctor.config(report) == [Doctor.Finding("config", .fail, "jobs.toml:1:1: no")])
        report = ReloadReport(
            generation: 1, at: .epoch, accepted: true, warnings: ["w"],
            plugins: [.init(plugin: "a", change: .added, detail: "1.0"), .init(plugin: "b", change: .refused, detail: "no symbol")],
            jobs: [.init(job: "x", change: .added), .init(job: "y", change: .refused, detail: "no entry")])
        #expect(Doctor.config(report) == [
            Doctor.Finding("config", .warn, "w"), Doctor.Finding("plugin a", .ok, "the library loads (1.0)"),
            Doctor.Finding("plugin b", .fail, "no symbol"), Doctor.Finding("job y", .fail, "no entry"),
        ])
    }

    // MARK: Looking

    @Test("looking at a real folder leaves nothing in it")
    func looking() throws {
        let folder = try EmptyFolder()
        #expect(DoctorFacts.lookAtStateDir(folder.path) == .init(path: folder.path, access: .writable(mode: 0o700)))
        #expect(rmdir(folder.path) == 0, "it was empty")
        #expect(DoctorFacts.lookAtStateDir(folder.path).access == .missing(canBeMade: true))
        #expect(DoctorFacts.nearestFolder(folder.path + "/a/b") == "/tmp")
        #expect(DoctorFacts.lookAtStateDir("/dev/null").access == .notAFolder)
    }

    @Test("a folder in use names its holder")
    func holder() throws {
        let folder = try EmptyFolder()
        let lock = try StateLock.acquire(stateDir: folder.path, pid: 77)
        defer { lock.release() }
        #expect(DoctorFacts.lookAtStateDir(folder.path).holder == 77)
    }

    @Test("gathering asks everybody and believes what they say")
    func gather() async throws {
        let folder = try EmptyFolder()
        let tools = DoctorCollaborators(
            workerVersion: { _ in "1.0" }, readStore: { throw Broken(description: "not a database") },
            readZone: { name in if name == "Europe/Berlin" { throw Broken(description: "no such file") } })
        let facts = await DoctorFacts.gather(
            stateDir: folder.path, workerPath: "/bin/sh", version: "1.0", maxWorkers: 4, config: nil, now: Instant(seconds: 5),
            collaborators: tools)
        #expect(facts.worker == .answered("/bin/sh", version: "1.0", expected: "1.0"))
        #expect(facts.store == .failed("not a database"))
        #expect(facts.timeZoneProblem == "Europe/Berlin: no such file")
        #expect((facts.disk?.freeBytes ?? 0) > 0)
        #expect(facts.descriptorLimit > 0)
        let absent = await DoctorFacts.gather(
            stateDir: folder.path + "/none", workerPath: folder.path, version: "1.0", maxWorkers: 4, config: nil,
            now: .epoch, collaborators: tools)
        #expect(absent.worker == .missing(folder.path), "a folder is no program")
    }
}
