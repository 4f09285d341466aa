import JobCore
import SQL

// Who serves the store: any number of hosts, each by a lease that the database's clock measures.

extension PostgresLedger {
    func enter(owner: Owner, as host: HostIntroduction, for length: Duration, now: Instant) throws -> Bool {
        try checkClock(now)
        let earlier = try connection.first(
            "SELECT place FROM \(schema)hosts WHERE name = ? FOR UPDATE", [.text(owner.host)]) { try $0.text(0) }
        // A second one of the name that begins at the same moment waits for this row, and finds it taken.
        let entered = try connection.run("""
            INSERT INTO \(schema)hosts AS h (name, epoch, place, lease_until, seen_at, skew_us, since_at, version, labels, listens)
            VALUES (?1, ?2, ?3, \(Self.clock) + ?4, \(Self.clock), ?5 - \(Self.clock), \(Self.clock), ?6, ?7, ?8)
            ON CONFLICT (name) DO UPDATE SET epoch = excluded.epoch, place = excluded.place,
                lease_until = excluded.lease_until, seen_at = excluded.seen_at, skew_us = excluded.skew_us,
                since_at = excluded.since_at, version = excluded.version, labels = excluded.labels, listens = excluded.listens
            WHERE h.lease_until <= \(Self.clock) OR h.place = excluded.place
            """, [
                .text(owner.host), .text(owner.epoch), .text(host.place), .int(length.microseconds), .int(now.stored),
                .text(host.version), .text(host.labels.joined(separator: " ")), .bool(session.listens),
            ])
        guard entered > 0 else { throw try nameIsTaken(owner) }
        session.introduction = host
        try forgetOldHosts()
        return earlier == host.place
    }

    private func nameIsTaken(_ owner: Owner) throws -> StoreError {
        let other = try connection.first("""
            SELECT (\(Self.clock) - seen_at) / 1000000, (lease_until - \(Self.clock)) / 1000000 + 1 FROM \(schema)hosts WHERE name = ?
            """, [.text(owner.host)]) { (seen: try $0.int64(0), rest: try $0.int64(1)) }
        return StoreError(
            .held,
            "another host of the name \(owner.host) serves the store \(connection.address), last seen \(other?.seen ?? 0) s ago: give each host a name of its own (host.name). If that one is dead, its lease ends in \(other?.rest ?? 0) s")
    }

    /// Those that died long ago, unless an operator has said something of them.
    private func forgetOldHosts() throws {
        try connection.run("""
            DELETE FROM \(schema)hosts h WHERE lease_until < \(Self.clock) - ? AND drained = 0
                AND NOT EXISTS (SELECT FROM \(schema)runs r WHERE \(StateSQL.running) AND r.owner = h.name)
            """, [.int(Duration.seconds(7 * 86_400).microseconds)])
        try connection.send("DELETE FROM \(schema)progress WHERE host NOT IN (SELECT name FROM \(schema)hosts)", [])
    }

    /// What an operator has said of a host outlives it.
    func leave(owner: Owner) throws {
        let gone = try connection.run(
            "DELETE FROM \(schema)hosts WHERE name = ? AND epoch = ? AND drained = 0", [.text(owner.host), .text(owner.epoch)])
        if gone == 0 {
            try connection.run(
                "UPDATE \(schema)hosts SET lease_until = \(Self.clock) WHERE name = ? AND epoch = ?", [.text(owner.host), .text(owner.epoch)])
        }
        try connection.send("DELETE FROM \(schema)definitions WHERE host = ?", [.text(owner.host)])
        try connection.send("DELETE FROM \(schema)progress WHERE host = ?", [.text(owner.host)])
        session.introduction = nil
    }

    /// The lease of everything that `owner` runs, in one row.
    func renewLeases(owner: Owner, for length: Duration, now: Instant) throws -> Standing {
        guard let host = session.introduction else { return Standing() }
        let skew = try connection.first("""
            UPDATE \(schema)hosts SET lease_until = \(Self.clock) + ?1, seen_at = \(Self.clock), skew_us = ?2 - \(Self.clock)
            WHERE name = ?3 AND epoch = ?4 RETURNING skew_us, (\(PostgresMigrations.demanded(schema)))
            """, [.int(length.microseconds), .int(now.stored), .text(owner.host), .text(owner.epoch)]) { row in
                try noteFormat(row.int64(1))
                return try row.int64(0)
            }
        if let skew { return Standing(skew: .microseconds(skew), formatProblem: newerFormat?.message) }
        // Somebody else had the name meanwhile, or the row is gone.
        _ = try enter(owner: owner, as: host, for: length, now: now)
        return Standing(formatProblem: newerFormat?.message)
    }

    /// Nothing new is begun in a format that this program does not know.
    func demandFormat() throws {
        if let newerFormat { throw newerFormat }
    }

    /// A newer host may change the format at any moment. The lease's answers say which one it is, so no claim is made in
    /// another than was believed.
    @discardableResult
    private func noteFormat(_ version: Int64) -> StoreError? {
        let newer = PostgresMigrations.problem(demanded: version, at: connection.address)
        newerFormat = newer
        return newer
    }

    /// The question of `demandLease`, which goes out with whatever is asked next; nil: it has been answered, or need not be.
    func askForLease(_ owner: Owner) throws -> PostgresStatement? {
        try demandFormat()
        guard session.introduction != nil, !hasShownLease else { return nil }
        let lease = try connection.prepare("""
            SELECT skew_us, \(Self.clock), (\(PostgresMigrations.demanded(schema)))
            FROM \(schema)hosts WHERE name = ? AND epoch = ? AND lease_until > \(Self.clock)
            """)
        try lease.bind([.text(owner.host), .text(owner.epoch)])
        try lease.send()
        return lease
    }

    /// Claims are made under a lease alone, by a clock that is right, in a format that this program knows. Whoever looks
    /// for abandoned runs looks again and again, so what this transaction claims at the lease's very end is found.
    func demandLease(_ asked: PostgresStatement?) throws {
        guard let asked, !hasShownLease else { return }
        defer { asked.reset() }
        guard try asked.step() else {
            throw StoreError(.unavailable, "this host's lease on the store has ended, so it starts nothing: it was away for too long, or another host has its name")
        }
        // By this very answer: what is noted may be another connection's by now.
        if let newer = try noteFormat(asked.int64(2)) { throw newer }
        if let problem = Standing(skew: .microseconds(try asked.int64(0))).skewProblem { throw StoreError(.unavailable, problem) }
        clockNow = try clockNow ?? asked.instant(1)
        hasShownLease = true
    }

    /// A clock that was set wrong is found at the lease's next renewal. Until then no claim goes by it
    /// either: what waits would start before its time, and a cursor that is carried into the future stops
    /// the job on every host. `now` may be old, since it waited for its turn; too new is a wrong clock.
    func demandClock(_ now: Instant, upTo furthest: Instant? = nil) throws {
        guard session.introduction != nil else { return }
        let clock = try databaseClock()
        let furthest = furthest.map { $0 - JobSchedule.preclaimReach } ?? now
        let skew = max(now, furthest) - clock
        guard skew > Standing.skewLimit else { return }
        throw StoreError(.unavailable, Standing(skew: skew).skewProblem ?? "this machine's clock is wrong")
    }

    /// As of claims; and a cursor that is set back goes back to now, not to where a wrong clock says.
    func demandClock(of moves: [CursorMove], now: Instant) throws {
        try demandFormat()
        try demandClock(now, upTo: moves.filter { !$0.rewind }.map(\.newCursor).max())
        guard session.introduction != nil, let earliest = moves.filter(\.rewind).map(\.newCursor).min() else { return }
        if let problem = try Standing(skew: earliest - databaseClock()).skewProblem { throw StoreError(.unavailable, problem) }
    }

    /// The database's clock, as it stood at the first question of this transaction.
    func databaseClock() throws -> Instant {
        if let clockNow { return clockNow }
        let clock = try connection.first("SELECT \(Self.clock)") { try $0.instant(0) } ?? .distantPast
        clockNow = clock
        return clock
    }

    /// No host's wrong clock ends what others would still start.
    func expiryClock(_ now: Instant) throws -> Instant { session.introduction == nil ? now : try databaseClock() }

    private func checkClock(_ now: Instant) throws {
        if let problem = try Standing(skew: now - databaseClock()).skewProblem { throw StoreError(.unavailable, problem) }
    }

    /// Of hosts whose lease has ended, or that are not on record. A host that came back looks after its
    /// earlier life itself.
    func abandonedRuns(seenBy owner: Owner) throws -> [RunRecord] {
        try connection.rows("""
            SELECT \(RunRow.columns) FROM \(schema)runs r
            WHERE \(StateSQL.running) AND owner <> ?
                AND NOT EXISTS (SELECT FROM \(schema)hosts h WHERE h.name = r.owner AND h.lease_until > \(Self.clock))
            ORDER BY id LIMIT 1000
            """, [.text(owner.host)], RunRow.decode)
    }

    // MARK: What hosts tell each other

    func sharedState(owner: Owner) throws -> SharedState {
        var state = SharedState()
        let drained = try connection.first(
            "SELECT drained, drain_reason FROM \(schema)hosts WHERE name = ?", [.text(owner.host)]
        ) { (try $0.bool(0), try $0.text(1)) }
        if let drained { (state.isDrained, state.drainReason) = drained }
        state.hostControl = try hostControl()
        state.controls = Dictionary(uniqueKeysWithValues: try controls())
        let breakers = try connection.rows(
            "SELECT job, generation, data FROM \(schema)breakers"
        ) { (try $0.text(0), BreakerRow(generation: try $0.int64(1), data: try $0.text(2))) }
        state.breakers = Dictionary(uniqueKeysWithValues: breakers)
        state.cancels = try connection.rows("""
            SELECT id, cancel_wanted FROM \(schema)runs
            WHERE \(StateSQL.running) AND owner = ? AND epoch = ? AND cancel_wanted IS NOT NULL
            """, [.text(owner.host), .text(owner.epoch)]
        ) { (run: RunID(try $0.int64(0)), reason: try $0.text(1)) }
        return state
    }

    func hosts() throws -> [HostRow] {
        try connection.rows("""
            SELECT name, since_at, seen_at, lease_until > \(Self.clock), version, labels, drained, drain_reason, skew_us,
                (SELECT count(*) FROM \(schema)runs r WHERE \(StateSQL.running) AND r.owner = h.name)
            FROM \(schema)hosts h ORDER BY name
            """
        ) { row in
            HostRow(
                name: try row.text(0), since: try row.instant(1), seen: try row.instant(2), isAlive: try row.bool(3),
                version: try row.text(4), labels: try row.text(5).split(separator: " ").map(String.init),
                running: try row.int64(9), isDrained: try row.bool(6), drainReason: try row.text(7),
                skew: .microseconds(try row.int64(8)))
        }
    }

    func setDrained(host: String, _ isDrained: Bool, by actor: Actor, now: Instant) throws -> Bool {
        let found = try connection.run(
            "UPDATE \(schema)hosts SET drained = ?, drain_reason = ? WHERE name = ?",
            [.bool(isDrained), .text(isDrained ? actor.reason : ""), .text(host)])
        guard found > 0 else { return false }
        // One that lives no longer was kept for this.
        if !isDrained {
            try connection.run("DELETE FROM \(schema)hosts WHERE name = ? AND lease_until <= seen_at", [.text(host)])
        }
        try writeAudit(AuditRow(at: now, actor: actor, action: isDrained ? "drain host" : "undo drain host", detail: host))
        return true
    }

    func cancelElsewhere(_ run: RunID, reason: String, by actor: Actor, now: Instant) throws -> Bool {
        let job = try connection.first(
            "UPDATE \(schema)runs SET cancel_wanted = ? WHERE id = ? AND \(StateSQL.running) RETURNING job",
            [.text(reason), .int(run.value)]) { try $0.text(0) }
        guard let job else { return false }
        try writeAudit(AuditRow(at: now, actor: actor, action: "cancel", job: job, detail: "run \(run)"))
        return true
    }

    func saveDefinitions(_ definitions: [DefinitionRow], labels: [String], host: String) throws {
        try connection.run(
            "UPDATE \(schema)hosts SET labels = ?1 WHERE name = ?2 AND labels <> ?1", [.text(labels.joined(separator: " ")), .text(host)])
        session.introduction?.labels = labels
        try connection.run("DELETE FROM \(schema)definitions WHERE host = ?", [.text(host)])
        var columns = PostgresColumns(3)
        for row in definitions {
            columns[0].append(row.job)
            columns[1].append(row.digest)
            columns[2].append(row.library)
        }
        let statement = try connection.prepare("""
            INSERT INTO \(schema)definitions (host, job, digest, library)
            SELECT ?4, * FROM unnest(?1::text[], ?2::text[], ?3::text[])
            """)
        try statement.bind(columns, from: 1)
        try statement.bind(host, at: 4)
        try statement.run()
    }

    func definitions() throws -> [DefinitionRow] {
        try connection.rows("""
            SELECT d.host, d.job, d.digest, d.library FROM \(schema)definitions d
            JOIN \(schema)hosts h ON h.name = d.host AND h.lease_until > \(Self.clock) ORDER BY d.job, d.host
            """
        ) { row in
            DefinitionRow(host: try row.text(0), job: try row.text(1), digest: try row.text(2), library: try row.text(3))
        }
    }

    // MARK: What runs have done so far

    func saveProgress(_ rows: [RunProgress], owner: Owner) throws {
        try demandFormat()
        var columns = PostgresColumns(7)
        for row in rows.sorted(by: { $0.run < $1.run }) {
            columns[0].append(row.run.value)
            columns[1].append(row.fence)
            columns[2].append(row.startedAt.stored)
            columns[3].append(Int64(row.pid))
            columns[4].append(Int64(clamping: row.done))
            columns[5].append(Int64(clamping: row.total))
            columns[6].append(row.text)
        }
        try connection.send(
            "DELETE FROM \(schema)progress WHERE host = ? AND run <> ALL (?::bigint[])",
            [.text(owner.host), .text(PostgresArray(rows.map(\.run.value)).value)])
        let statement = try connection.prepare("""
            INSERT INTO \(schema)progress AS p (run, fence, started_at, pid, done, total, text, host)
            SELECT *, ?8 FROM unnest(?1::bigint[], ?2::bigint[], ?3::bigint[], ?4::integer[], ?5::bigint[], ?6::bigint[], ?7::text[])
            ON CONFLICT (run) DO UPDATE SET fence = excluded.fence, started_at = excluded.started_at, pid = excluded.pid,
                done = excluded.done, total = excluded.total, text = excluded.text, host = excluded.host
            WHERE p.fence <= excluded.fence
            """)
        try statement.bind(columns, from: 1)
        try statement.bind(owner.host, at: 8)
        try statement.send()
    }

    func progress(of run: RunID) throws -> RunProgress? {
        try connection.first("""
            SELECT p.fence, p.started_at, p.pid, p.done, p.total, p.text FROM \(schema)progress p
            JOIN \(schema)runs r ON r.id = p.run AND r.fence = p.fence AND r.\(StateSQL.running) WHERE p.run = ?
            """, [.int(run.value)]
        ) { row in
            RunProgress(
                run: run, fence: try row.int64(0), startedAt: try row.instant(1), pid: Int32(clamping: try row.int64(2)),
                done: UInt64(clamping: try row.int64(3)), total: UInt64(clamping: try row.int64(4)), text: try row.text(5))
        }
    }

    // MARK: What the last one to write must not undo

    func put(breaker: BreakerRow, of job: String, now: Instant) throws {
        try connection.send("""
            INSERT INTO \(schema)breakers AS b (job, generation, data, updated_at, host) VALUES (?, ?, ?, ?, ?)
            ON CONFLICT (job) DO UPDATE SET generation = excluded.generation, data = excluded.data,
                updated_at = excluded.updated_at, host = excluded.host
            WHERE b.generation <= excluded.generation
            """, [.text(job), .int(breaker.generation), .text(breaker.data), .int(now.stored), .text(host)])
    }

    /// That of a newer attempt stands.
    func saveState(job: String, _ state: Completion.StateWrite, fence: Int64, now: Instant) throws {
        try connection.send("""
            INSERT INTO \(schema)state_blobs AS s (job, version, bytes, updated_at, fence) VALUES (?, ?, ?, ?, ?)
            ON CONFLICT (job) DO UPDATE SET version = excluded.version, bytes = excluded.bytes,
                updated_at = excluded.updated_at, fence = excluded.fence
            WHERE s.fence <= excluded.fence
            """, [.text(job), .int(Int64(state.version)), .bytes(state.bytes), .int(now.stored), .int(fence)])
    }

    /// The question for states that other hosts' attempts have left since the ones that `known` names (by job); nil: none
    /// is known. It goes out with whatever is asked next.
    func askForStates(newerThan known: [String: Int64]) throws -> PostgresStatement? {
        guard !known.isEmpty else { return nil }
        let (jobs, fences) = (known.sorted { $0.key < $1.key }.map(\.key), known.sorted { $0.key < $1.key }.map(\.value))
        let states = try connection.prepare("""
            SELECT s.job, s.version, s.bytes, s.fence FROM unnest(?::text[], ?::bigint[]) AS k (job, fence)
            JOIN \(schema)state_blobs s ON s.job = k.job AND s.fence > k.fence
            """)
        try states.bind([.text(PostgresArray(jobs).value), .text(PostgresArray(fences).value)])
        try states.send()
        return states
    }

    func addStates(_ asked: PostgresStatement?, to runs: [ClaimedRun?]) throws -> [ClaimedRun?] {
        guard let asked else { return runs }
        defer { asked.reset() }
        var states: [String: KeptState] = [:]
        while try asked.step() {
            states[try asked.text(0)] = KeptState(
                version: UInt32(clamping: try asked.int64(1)), bytes: try asked.bytes(2), fence: try asked.int64(3))
        }
        return runs.map { run in
            guard var run else { return nil }
            run.state = states[run.job]
            return run
        }
    }
}
