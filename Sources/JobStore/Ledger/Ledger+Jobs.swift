import JobCore
import SQL

// One row per job, per plugin, per reload, per worker; and the audit.

extension Ledger {
    /// - Parameter jobs: nil: all of them.
    func jobStates(of jobs: [String]? = nil) throws -> [String: JobStateRow] {
        var states: [String: JobStateRow] = [:]
        let (condition, values) = self.condition(on: jobs)
        let rows = try connection.rows(
            "SELECT job, cursor, schedule, adaptive_us, last_finished, last_outcome FROM \(schema)job_states WHERE \(condition)", values
        ) { row -> (String, JobStateRow) in
            var state = JobStateRow()
            state.cursor = try row.instantOrNil(1)
            state.scheduleText = try row.text(2)
            state.adaptiveInterval = try row.int64OrNil(3).map { .microseconds($0) }
            state.lastFinished = try row.instantOrNil(4)
            state.lastOutcome = try row.wordOrNil(5)
            return (try row.text(0), state)
        }
        for (job, state) in rows { states[job] = state }
        for end in try otherEnds(of: jobs) where states[end.job]?.lastFinished.map({ $0 <= end.finished }) ?? true {
            states[end.job, default: JobStateRow()].lastFinished = end.finished
            states[end.job, default: JobStateRow()].lastOutcome = end.outcome
        }
        for (job, breaker) in try breakers(of: jobs) { states[job, default: JobStateRow()].breaker = breaker }
        for (job, control) in try controls(of: jobs) { states[job, default: JobStateRow()].control = control }
        return states
    }

    func breakers(of jobs: [String]? = nil) throws -> [(String, BreakerRow)] {
        let (condition, values) = condition(on: jobs)
        return try connection.rows("SELECT job, generation, data FROM \(schema)breakers WHERE \(condition)", values) { row in
            (try row.text(0), BreakerRow(generation: try row.int64(1), data: try row.text(2)))
        }
    }

    func controls(of jobs: [String]? = nil) throws -> [(String, ControlRow)] {
        let (condition, values) = condition(on: jobs)
        return try connection.rows("SELECT job, \(Control.columns) FROM \(schema)controls WHERE job <> '' AND \(condition)", values) { row in
            (try row.text(0), try Self.control(row, from: 1))
        }
    }

    /// They all are.
    func otherEnds(of jobs: [String]?) throws -> [(job: String, finished: Instant, outcome: Outcome)] { [] }

    func condition(on jobs: [String]?) -> (String, [SQLValue]) {
        guard let jobs else { return ("1 = 1", []) }
        guard !jobs.isEmpty else { return ("1 = 0", []) }
        return ("job IN (\(jobs.map { _ in "?" }.joined(separator: ", ")))", jobs.map { .text($0) })
    }

    /// By the end of an attempt. What somebody else has decided since stands.
    func record(_ write: BreakerWrite, of job: String, now: Instant) throws {
        guard let row = BreakerRow.after(write, on: try storedBreaker(of: job)) else { return }
        try put(breaker: row, of: job, now: now)
        // The host that wrote it does not know: other hosts' failures made up the number.
        guard let count = write.count, let left = Breaker(encoded: row.data, policy: count.policy), case .open(let until) = left.mode,
            Breaker(encoded: write.data, policy: count.policy)?.mode == .closed
        else { return }
        try writeAudit(AuditRow(
            at: now, actor: Actor(name: "host", via: "host"), action: "breaker open", job: job,
            detail: "breaker opened until \(until.rfc3339): \(left.reason), over all hosts"))
    }

    /// By an operator, whatever it was.
    func saveBreaker(job: String, _ data: String, by actor: Actor, action: String, now: Instant) throws -> BreakerRow {
        let row = BreakerRow(data, generation: (try storedBreaker(of: job)?.generation ?? BreakerRow.first) + 1)
        try put(breaker: row, of: job, now: now)
        try writeAudit(AuditRow(at: now, actor: actor, action: action, job: job))
        return row
    }

    private func storedBreaker(of job: String) throws -> BreakerRow? {
        try connection.first("SELECT generation, data FROM \(schema)breakers WHERE job = ?\(forUpdate)", [.text(job)]) {
            BreakerRow(generation: try $0.int64(0), data: try $0.text(1))
        }
    }

    func put(breaker: BreakerRow, of job: String, now: Instant) throws {
        try connection.run("""
            INSERT INTO \(schema)breakers (job, generation, data, updated_at) VALUES (?, ?, ?, ?)
            ON CONFLICT (job) DO UPDATE SET generation = excluded.generation, data = excluded.data,
                updated_at = excluded.updated_at
            """, [.text(job), .int(breaker.generation), .text(breaker.data), .int(now.stored)])
    }

    // MARK: Controls

    static func control(_ row: some SQLStatement, from column: Int) throws -> ControlRow {
        ControlRow(
            enabled: try row.int64OrNil(column).map { $0 != 0 }, reason: try row.text(column + 1),
            since: try row.instantOrNil(column + 2), paused: try row.bool(column + 3),
            pauseReason: try row.text(column + 4), pausedSince: try row.instantOrNil(column + 5))
    }

    func hostControl() throws -> ControlRow {
        try connection.first(
            "SELECT \(Control.columns) FROM \(schema)controls WHERE job = ?", [.text(Control.host)]
        ) { try Self.control($0, from: 0) } ?? ControlRow()
    }

    /// Only what is switched is written: another host may be at the other half of the row.
    func saveControl(job: String, _ change: ControlChange, by actor: Actor, action: String, now: Instant) throws -> ControlRow {
        let insert = "INSERT INTO \(schema)controls AS c (job, \(Control.columns))"
        switch change {
        case .enabled(let enabled):
            try connection.run("""
                \(insert) VALUES (?, ?, ?, ?, ?, '', NULL)
                ON CONFLICT (job) DO UPDATE SET enabled = excluded.enabled, reason = excluded.reason, since = excluded.since
                """, [.text(job), enabled.map { .bool($0) } ?? .null, .text(actor.reason), .int(now.stored), .bool(false)])
        case .paused(let paused):
            let isNews = "c.paused <> excluded.paused OR excluded.pause_reason <> ''"
            try connection.run("""
                \(insert) VALUES (?, NULL, '', NULL, ?, ?, ?)
                ON CONFLICT (job) DO UPDATE SET paused = excluded.paused,
                    pause_reason = CASE WHEN \(isNews) THEN excluded.pause_reason ELSE c.pause_reason END,
                    paused_since = CASE WHEN \(isNews) THEN excluded.paused_since ELSE c.paused_since END
                """, [.text(job), .bool(paused), .text(paused ? actor.reason : ""), paused ? .int(now.stored) : .null])
        }
        let control = try connection.first(
            "SELECT \(Control.columns) FROM \(schema)controls WHERE job = ?", [.text(job)]) { try Self.control($0, from: 0) } ?? ControlRow()
        let enabled = control.enabled.map { $0 ? "yes" : "no" } ?? "as configured"
        try writeAudit(AuditRow(
            at: now, actor: actor, action: action, job: job == Control.host ? nil : job,
            detail: "enabled: \(enabled), paused: \(control.paused ? "yes" : "no")"))
        return control
    }

    func stateBlob(job: String) throws -> (version: UInt32, bytes: [UInt8])? { try stateBlobs(of: [job])[job] }

    func stateBlobs(of jobs: [String]) throws -> [String: (version: UInt32, bytes: [UInt8])] {
        let (condition, values) = condition(on: jobs)
        let blobs = try connection.rows(
            "SELECT job, version, bytes FROM \(schema)state_blobs WHERE \(condition)", values
        ) { row -> (String, (version: UInt32, bytes: [UInt8])) in
            (try row.text(0), (version: UInt32(clamping: try row.int64(1)), bytes: try row.bytes(2)))
        }
        return Dictionary(uniqueKeysWithValues: blobs)
    }

    // MARK: Libraries, reloads, workers

    func acceptedLibraries() throws -> [AcceptedLibrary] {
        try connection.rows("SELECT plugin, sha256, path, accepted_at FROM \(schema)accepted_libraries ORDER BY plugin") { row in
            AcceptedLibrary(
                plugin: try row.text(0), sha256: try row.text(1), path: try row.text(2), acceptedAt: try row.instant(3))
        }
    }

    func saveAcceptedLibrary(_ library: AcceptedLibrary) throws {
        try connection.run("""
            INSERT INTO \(schema)accepted_libraries (plugin, sha256, path, accepted_at) VALUES (?, ?, ?, ?)
            ON CONFLICT (plugin) DO UPDATE SET sha256 = excluded.sha256, path = excluded.path,
                accepted_at = excluded.accepted_at
            """, [.text(library.plugin), .text(library.sha256), .text(library.path), .int(library.acceptedAt.stored)])
    }

    func saveReload(_ reload: ReloadRow) throws {
        try connection.run(
            "INSERT INTO \(schema)reloads (generation, at, accepted, report) VALUES (?, ?, ?, ?)",
            [.int(reload.generation), .int(reload.at.stored), .bool(reload.accepted), .text(reload.report)])
    }

    func reloads(before: Int64?, limit: Int) throws -> [ReloadRow] {
        try connection.rows(
            "SELECT \(ReloadRow.columns) FROM \(schema)reloads WHERE id < ? ORDER BY id DESC LIMIT ?",
            [.int(before ?? .max), .int(Bounds.rows(limit))], ReloadRow.decode)
    }

    func saveWorkers(_ workers: [WorkerRow], host: String) throws {
        try connection.run("DELETE FROM \(schema)workers WHERE host = ?", [.text(host)])
        for worker in workers {
            try connection.run(
                """
                INSERT INTO \(schema)workers (host, pid, start_time, boot_id, plugin) VALUES (?, ?, ?, ?, ?)
                ON CONFLICT (host, pid) DO UPDATE SET start_time = excluded.start_time, boot_id = excluded.boot_id,
                    plugin = excluded.plugin
                """,
                [
                    .text(host), .int(Int64(worker.pid)), .int(Int64(bitPattern: worker.startTime)),
                    .text(worker.bootID), .text(worker.plugin),
                ])
        }
    }

    func workers(host: String) throws -> [WorkerRow] {
        try connection.rows(
            "SELECT pid, start_time, boot_id, plugin FROM \(schema)workers WHERE host = ? ORDER BY pid", [.text(host)]
        ) { row in
            WorkerRow(
                pid: Int32(clamping: try row.int64(0)), startTime: UInt64(bitPattern: try row.int64(1)),
                bootID: try row.text(2), plugin: try row.text(3))
        }
    }

    // MARK: Audit

    func writeAudit(_ row: AuditRow) throws {
        try connection.send(
            "INSERT INTO \(schema)audit (at, actor, via, reason, action, job, detail) VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                .int(row.at.stored), .text(row.actor.name), .text(row.actor.via), .text(row.actor.reason),
                .text(row.action), .text(row.job), .text(row.detail),
            ])
    }

    func audit(_ filter: AuditFilter) throws -> [AuditRow] {
        var (conditions, values): ([String], [SQLValue]) = ([], [])
        if let job = filter.job {
            // As the index has it.
            conditions.append("job = ? AND job IS NOT NULL")
            values.append(.text(job))
        }
        if let run = filter.run {
            conditions.append("(detail = ? OR detail LIKE ?)")
            values += [.text("run \(run)"), .text("run \(run) %")]
        }
        if let from = filter.from {
            conditions.append("at >= ?")
            values.append(.int(from.stored))
        }
        if let before = filter.before {
            conditions.append("id < ?")
            values.append(.int(before))
        }
        if let after = filter.after {
            conditions.append("id > ?")
            values.append(.int(after))
        }
        let which = conditions.isEmpty ? "" : "WHERE " + conditions.joined(separator: " AND ")
        return try connection.rows(
            """
            SELECT id, at, actor, via, reason, action, job, detail FROM \(schema)audit \(which) ORDER BY id DESC LIMIT ?
            """, values + [.int(Bounds.rows(filter.limit))]
        ) { row in
            var entry = AuditRow(
                at: try row.instant(1),
                actor: Actor(name: try row.text(2), via: try row.text(3), reason: try row.text(4)),
                action: try row.text(5), job: try row.textOrNil(6), detail: try row.text(7))
            entry.id = try row.int64(0)
            return entry
        }
    }
}

enum Control {
    /// The row of the host itself; no job has an empty name.
    static let host = ""
    static let columns = "enabled, reason, since, paused, pause_reason, paused_since"
}

package enum Bounds {
    /// One answer holds at most this many rows, whatever was asked for. Who asks for more than he takes, to see whether
    /// there is more, asks for fewer than these.
    package static let answer = 20_000
    package static func rows(_ limit: Int) -> Int { min(max(limit, 0), answer) }
}

extension ReloadRow {
    static let columns = "id, generation, at, accepted, report"

    static func decode(_ row: some SQLStatement) throws -> ReloadRow {
        var reload = ReloadRow(
            generation: try row.int64(1), at: try row.instant(2), accepted: try row.bool(3), report: try row.text(4))
        reload.id = try row.int64(0)
        return reload
    }
}
