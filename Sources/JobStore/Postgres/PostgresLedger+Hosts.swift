import JobCore
import SQL

// Who serves the store. One host at a time, by a lease that the database's clock measures.

extension PostgresLedger {
    /// A host whose clock differs by more starts nothing: its fire times would be other instants
    /// than everybody else's.
    static let skewLimit = Duration.seconds(5)

    func enter(owner: Owner, place: String, for length: Duration, now: Instant) throws -> Bool {
        // One at a time: two that begin at once would not see each other's rows.
        try connection.run("LOCK TABLE \(schema)hosts IN SHARE ROW EXCLUSIVE MODE")
        let other = try connection.first("""
            SELECT name, (\(Self.clock) - seen_at) / 1000000, (lease_until - \(Self.clock)) / 1000000 + 1 FROM \(schema)hosts
            WHERE lease_until > \(Self.clock) AND (name <> ? OR place <> ?) ORDER BY lease_until DESC LIMIT 1
            """, [.text(owner.host), .text(place)]
        ) { (name: try $0.text(0), seen: try $0.int64(1), rest: try $0.int64(2)) }
        if let other {
            throw StoreError(
                .held,
                "the host \(other.name) serves the store \(connection.address), last seen \(other.seen) s ago: one host at a time does. If it is dead, its lease ends in \(other.rest) s")
        }
        try checkClock(now)
        let earlier = try connection.first("SELECT place FROM \(schema)hosts WHERE name = ?", [.text(owner.host)]) { try $0.text(0) }
        try connection.run("""
            INSERT INTO \(schema)hosts (name, epoch, place, lease_until, seen_at, skew_us)
            VALUES (?1, ?2, ?3, \(Self.clock) + ?4, \(Self.clock), ?5 - \(Self.clock))
            ON CONFLICT (name) DO UPDATE SET epoch = excluded.epoch, place = excluded.place,
                lease_until = excluded.lease_until, seen_at = excluded.seen_at, skew_us = excluded.skew_us
            """, [.text(owner.host), .text(owner.epoch), .text(place), .int(length.microseconds), .int(now.stored)])
        session.place = place
        return earlier == place
    }

    func leave(owner: Owner) throws {
        try connection.run(
            "DELETE FROM \(schema)hosts WHERE name = ? AND epoch = ?", [.text(owner.host), .text(owner.epoch)])
        session.place = nil
    }

    /// The lease of everything that `owner` runs, in one row. One that has lapsed is taken again if
    /// nobody else has one.
    func renewLeases(owner: Owner, for length: Duration, now: Instant) throws {
        guard let place = session.place else { return }
        try checkClock(now)
        let renewed = try connection.run("""
            UPDATE \(schema)hosts SET lease_until = \(Self.clock) + ?1, seen_at = \(Self.clock), skew_us = ?2 - \(Self.clock)
            WHERE name = ?3 AND epoch = ?4 AND lease_until > \(Self.clock)
            """, [.int(length.microseconds), .int(now.stored), .text(owner.host), .text(owner.epoch)])
        if renewed == 0 { _ = try enter(owner: owner, place: place, for: length, now: now) }
    }

    /// Claims are made under a lease alone. Shared, so that whoever takes it over waits for this
    /// transaction's end.
    func demandLease(_ owner: Owner) throws {
        guard session.place != nil, !hasShownLease else { return }
        let held = try connection.first("""
            SELECT 1 FROM \(schema)hosts WHERE name = ? AND epoch = ? AND lease_until > \(Self.clock) FOR SHARE
            """, [.text(owner.host), .text(owner.epoch)]) { try $0.int64(0) }
        guard held != nil else {
            throw StoreError(.unavailable, "this host's lease on the store has ended, so it starts nothing: it was away for too long, or another host serves it")
        }
        hasShownLease = true
    }

    private func checkClock(_ now: Instant) throws {
        let clock = try connection.first("SELECT \(Self.clock)") { try $0.instant(0) } ?? now
        let skew = now - clock
        guard max(skew, .zero - skew) <= Self.skewLimit else {
            let seconds = abs(skew.microseconds) / 1_000_000
            throw StoreError(
                .unavailable,
                "this machine's clock is \(seconds) s \(skew > .zero ? "ahead of" : "behind") the database's: nothing starts here beyond \(Self.skewLimit.microseconds / 1_000_000) s; is its time synchronised?")
        }
    }

    /// Of earlier lives of this host, and of hosts whose lease has ended.
    func orphans(host: String, currentEpoch: String) throws -> [RunRecord] {
        try connection.rows("""
            SELECT \(RunRow.columns) FROM \(schema)runs
            WHERE \(StateSQL.running) AND (owner = ?1 AND epoch <> ?2 OR owner <> ?1 AND (
                owner IN (SELECT name FROM \(schema)hosts WHERE lease_until <= \(Self.clock))
                OR \(session.place == nil ? "false" : "owner NOT IN (SELECT name FROM \(schema)hosts)")))
            ORDER BY id
            """, [.text(host), .text(currentEpoch)], RunRow.decode)
    }
}
