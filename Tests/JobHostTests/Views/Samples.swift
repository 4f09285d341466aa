import JobCore
import JobStore
import JobTestKit

@testable import JobHost

/// 2026-05-04T10:00:00Z.
let sampleNow = Instant(seconds: 1_777_888_800)

/// A host that has seen everything: a healthy job, a running one, a broken one, one off.
enum Samples {
    static func record(
        _ id: Int64, job: String = "candles", state: RunState = .succeeded, outcome: Outcome? = .succeeded, ago: Int64 = 48,
        took: Duration = .milliseconds(1_200), payload: String = "", reason: String = "", attempt: Int = 1
    ) -> RunRecord {
        let fire = sampleNow - .seconds(ago) - took
        let started = state == .available ? nil : fire + .milliseconds(2)
        return RunRecord(
            id: RunID(id), job: job, trigger: .schedule, state: state, outcome: outcome, fireTime: fire, availableAt: fire,
            createdAt: fire, startedAt: started, finishedAt: state.isTerminal ? started.map { $0 + took } : nil,
            attempt: attempt, maxAttempts: 4, priority: 0, fence: 900 + id, owner: "prod-1", epoch: "e1", pid: 812,
            libraryHash: "1a2b3c4d5e6f70819293", generation: 4, reason: reason, code: 0, items: 12, cpuMicroseconds: 850_000,
            uniqueKey: nil, idempotencyKey: "\(job)@\(fire.rfc3339)", retryOf: nil, payload: payload)
    }

    /// Attempts that ended so, the last one just now.
    static func recent(_ outcomes: [Outcome]) -> [RecentAttempt] {
        outcomes.enumerated().map { index, outcome in
            RecentAttempt(
                run: RunID(Int64(index + 1)), outcome: outcome, finishedAt: sampleNow - .seconds(Int64(outcomes.count - index)),
                duration: .milliseconds(1_200), lateness: .milliseconds(2))
        }
    }

    static var healthy: JobSnapshot {
        var job = JobSnapshot(name: "candles", plugin: "market", entry: "roll")
        job.description = "Rolls trades up into candles."
        job.schedule = "every 1m"
        job.nextFire = sampleNow + .seconds(12)
        job.last = record(41)
        job.recent = recent([.succeeded, .nothingToDo, .succeeded, .failed, .retry, .timedOut, .crashed, .succeeded])
        job.counters = ["succeeded": 41, "failed": 1]
        job.libraryHash = "1a2b3c4d5e6f70819293"
        job.settings = #"{"batch":200,"rate":0.10,"token":"***"}"#
        job.limits = [("timeout", "30s"), ("overlap", "skip")]
        return job
    }

    static var running: JobSnapshot {
        var job = JobSnapshot(name: "margin-check", plugin: "margin", entry: "check")
        job.schedule = "cron */10 * * * * *"
        job.nextFire = sampleNow + .seconds(4)
        var run = RunningRun(run: RunID(42), attempt: 1, startedAt: sampleNow - .seconds(2), pid: 900)
        run.done = 30
        run.total = 120
        run.text = "accounts"
        job.running = [run]
        job.recent = recent([.succeeded, .succeeded])
        return job
    }

    static var broken: JobSnapshot {
        var job = JobSnapshot(name: "deposits-credit", plugin: "deposits", entry: "credit")
        job.schedule = "every 10s"
        job.nextFire = sampleNow + .seconds(90)
        job.nextProbe = sampleNow + .seconds(90)
        job.last = record(39, job: "deposits-credit", state: .discarded, outcome: .crashed, ago: 30, reason: "exited by signal 11 (SIGSEGV)")
        job.recent = recent([.crashed, .crashed])
        job.failingSince = sampleNow - .seconds(31)
        job.pool = "deposits"
        job.breaker.state = "open"
        job.breaker.reason = "5 failures in 60s"
        job.breaker.failures = 5
        job.breaker.until = sampleNow + .seconds(84)
        job.dead = 1
        job.waiting = 3
        return job
    }

    static var off: JobSnapshot {
        var job = JobSnapshot(name: "mint", plugin: "mint", entry: "mint")
        job.schedule = "enqueued only"
        job.enabled = false
        job.disabledReason = "switched off by an operator: wrong numbers"
        job.control = ControlRow(enabled: false, reason: "wrong numbers", since: sampleNow - .seconds(60))
        return job
    }

    static func snapshot(_ jobs: [JobSnapshot] = [healthy, running, broken, off]) -> HostSnapshot {
        HostSnapshot(
            name: "prod-1", version: "1.0.0", pid: 4242, startedAt: sampleNow - .seconds(11_520), now: sampleNow,
            generation: 4, configFile: "/etc/jobhost/jobs.toml", stateDir: "/var/lib/jobhost",
            storeURL: "postgresql://jobhost:secret@db/jobs", control: ControlRow(), phase: "running", jobs: jobs,
            plugins: [
                PluginSnapshot(
                    name: "market", library: "/opt/libMarket.so", libraryHash: "1a2b", id: "market", version: "2.1",
                    description: "Market data.", entries: ["roll"])
            ],
            workers: [
                WorkerSnapshot(
                    pid: 900, startTime: 1, pool: "margin", plugin: "margin", libraryHash: "9f", state: "running",
                    run: RunID(42), runs: 7, startedAt: sampleNow - .seconds(600), residentBytes: 8_000_000)
            ])
    }

    static var store: FakeStore {
        FakeStore(
            .init(
                runs: [
                    record(41, payload: #"{"pair":"XRP/ETH","amount":0.1000000000000000055511151231257827}"#),
                    record(40, outcome: .nothingToDo, ago: 108, took: .microseconds(350)),
                    record(39, job: "deposits-credit", state: .discarded, outcome: .crashed, ago: 30, reason: "exited by signal 11 (SIGSEGV)", attempt: 4),
                    record(38, job: "mint", state: .available, outcome: nil, ago: 5),
                ],
                attempts: [
                    AttemptRecord(
                        run: RunID(39), attempt: 1, outcome: .timedOut, startedAt: sampleNow - .seconds(100),
                        finishedAt: sampleNow - .seconds(70), pid: 800, libraryHash: "9f",
                        reason: "no result within 25s; killed 5s later", code: 0)
                ],
                ranges: [
                    LedgerRange(
                        job: "deposits-credit", reason: .breaker, first: sampleNow - .seconds(600),
                        last: sampleNow - .seconds(60), count: 55)
                ],
                audit: [
                    AuditRow(
                        at: sampleNow - .seconds(60), actor: Actor(name: "root (uid 0)", via: "cli", reason: "wrong numbers"),
                        action: "disable", job: "mint").numbered(8),
                    AuditRow(
                        at: sampleNow - .seconds(300), actor: Actor(name: "ops (uid 7)", via: "cli", reason: "the chain is back"),
                        action: "retry", job: "deposits-credit", detail: "run 35 as run 39").numbered(7),
                ],
                reloads: [
                    ReloadRow(generation: 4, at: sampleNow - .seconds(3_600), accepted: true, report: report.jsonText).numbered(4)
                ]))
    }

    static var ask: Ask {
        Ask(id: 6, job: "mint", action: "trigger", command: "{}", askedBy: "alice", reason: "the chain is back", askedAt: sampleNow - .seconds(60))
    }

    static var report: ReloadReport {
        ReloadReport(
            generation: 5, at: sampleNow, accepted: true, warnings: ["jobs.toml:3:1: 'jitter' is longer than 'every'"],
            plugins: [.init(plugin: "market", change: .changed, detail: "library 1a2b3c → 4d5e6f")],
            jobs: [
                .init(job: "candles", change: .changed, detail: "schedule"), .init(job: "fees", change: .added),
                .init(job: "old", change: .removed), .init(job: "mint", change: .kept),
                .init(job: "deposits-credit", change: .refused, detail: "the library refused its settings: 'rate' must be positive"),
            ], milliseconds: 120)
    }
}

extension ReloadRow {
    fileprivate func numbered(_ id: Int64) -> Self {
        var row = self
        row.id = id
        return row
    }
}

extension AuditRow {
    fileprivate func numbered(_ id: Int64) -> Self {
        var row = self
        row.id = id
        return row
    }
}
