import JobCore
import JobStore
import Testing

@testable import JobHost

/// Jobs that are gone: how a reload counts them, and what past reloads know.
struct RemovalTests {
    private func at(_ second: Int64) -> Instant { Instant(seconds: 1_800_000_000 + second) }

    private func row(
        _ generation: Int64, at second: Int64, accepted: Bool = true, _ lines: [ReloadReport.JobLine], before: Set<String>? = nil
    ) -> ReloadRow {
        var report = ReloadReport(generation: generation, at: at(second), accepted: accepted, jobs: lines)
        if let before { report.compare(withLastLife: before) }
        return ReloadRow(generation: generation, at: at(second), accepted: accepted, report: report.jsonText)
    }

    /// a is there from 100 to 200 and from 300 on; b from 100 on, refused from 400 on.
    private var history: ReloadHistory {
        ReloadHistory(
            [
                row(1, at: 100, [.init(job: "a", change: .added), .init(job: "b", change: .added)]),
                row(2, at: 200, [.init(job: "a", change: .removed), .init(job: "b", change: .kept)]),
                row(2, at: 250, accepted: false, []),
                row(3, at: 300, [.init(job: "a", change: .added), .init(job: "b", change: .changed, detail: "schedule")]),
                row(4, at: 400, [.init(job: "a", change: .added), .init(job: "b", change: .refused, detail: "no library")]),
                row(5, at: 500, [
                    .init(job: "a", change: .refused, detail: "bad settings; it goes on as it was", serves: true),
                    .init(job: "b", change: .refused, detail: "no library"),
                ]),
            ].reversed())
    }

    private func presence(_ job: String, _ second: Int64) -> String {
        switch history.presence(of: job, at: at(second)) {
        case .served: "served"
        case .unknown: "unknown"
        case .refused(let since, let reason): "refused by \(since.generation): \(reason)"
        case .absent(let since, let until):
            "absent since \(since.map { "\($0.generation)" } ?? "ever") until \(until.map { "\($0.generation)" } ?? "now")"
        }
    }

    @Test("Past reloads know when a job was there, refused, or out of the config", arguments: [
        ("a", 50, "unknown"), ("a", 100, "served"), ("a", 200, "absent since 2 until 3"), ("a", 299, "absent since 2 until 3"),
        ("a", 300, "served"), ("a", 600, "served"), ("b", 399, "served"), ("b", 400, "refused by 4: no library"),
        ("b", 600, "refused by 4: no library"), ("c", 150, "absent since ever until now"),
    ] as [(String, Int64, String)])
    func presences(_ job: String, _ second: Int64, _ wanted: String) { #expect(presence(job, second) == wanted) }

    @Test("The reload that removed a job is found until the job is back")
    func removals() {
        let rows = [
            row(2, at: 200, [.init(job: "a", change: .removed), .init(job: "b", change: .kept)]),
            row(1, at: 100, [.init(job: "a", change: .added), .init(job: "b", change: .added)]),
        ]
        let first = ReloadHistory(rows)
        #expect(first.removal(of: "a")?.generation == 2)
        #expect(first.removal(of: "b") == nil)
        #expect(ReloadHistory.served(rows) == ["b"])
        #expect(ReloadHistory.served([row(3, at: 300, accepted: false, [])] + rows) == ["b"])
        #expect(ReloadHistory.served([]) == [])
        #expect(history.removal(of: "a") == nil)
    }

    @Test("A start that finds a job as it was is no change of it")
    func changes() {
        #expect(history.change(of: "b", after: at(150))?.generation == 3)
        #expect(history.change(of: "a", after: at(350))?.generation == 5, "generation 4 is a start")
        #expect(history.change(of: "a", after: at(500)) == nil)
    }

    @Test("Half of the jobs or more are many; one job never is", arguments: [
        (1, 1, false), (1, 2, false), (2, 4, true), (2, 5, false), (18, 19, true), (0, 19, false),
    ] as [(Int, Int, Bool)])
    func many(_ removed: Int, _ before: Int, _ isMany: Bool) {
        var report = ReloadReport(generation: 2, at: at(0), accepted: true)
        report.jobs = (0..<before).map { .init(job: "job-\($0)", change: $0 < removed ? .removed : .kept) }
        report.jobsBefore = before
        #expect(report.removesMany == isMany)
        #expect((report.removalWarning != nil) == isMany)
    }

    @Test("A start compares its config with what served in the last life")
    func starts() {
        var report = ReloadReport(generation: 7, at: at(0), accepted: true, jobs: [.init(job: "a", change: .added), .init(job: "new", change: .added)])
        report.compare(withLastLife: ["a", "b", "c"])
        #expect(report.removedJobs == ["b", "c"])
        #expect(report.job("b") == "removed: while the host was not running")
        #expect(report.warnings == ["this removes 2 of 3 jobs: if that is not meant, is the config cut short?"])
        report = ReloadReport(generation: 7, at: at(0), accepted: true, jobs: [.init(job: "a", change: .added)])
        report.compare(withLastLife: [])
        #expect(report.removedJobs == [] && report.warnings == [])
    }

    @Test("A check names what a reload would do with the other jobs of a plugin")
    func consequences() {
        var report = ReloadReport(generation: 1, at: at(0), accepted: true)
        report.jobs = [.init(job: "a", change: .refused), .init(job: "b", change: .added), .init(job: "alone", change: .refused)]
        report.sayWhatAReloadWouldDo(["a": "p", "b": "p", "alone": "q", "other": "r"])
        #expect(report.warnings == ["a host that runs would refuse plugin 'p' whole: these 2 jobs would stay as they are there: a, b"])
    }
}
