import JobCore
import SQL

// Rates of jobs: what was claimed lately, in `rate_takes`.

/// A job's rate as it stands.
struct RateRoom {
    var rate: RateLimit
    /// How many more may be claimed now.
    var room: Int
    /// What what is claimed now is noted under.
    var stamp: Instant
}

extension Ledger {
    /// How many attempts each job's rate still allows. What is counted stays so until the transaction's
    /// end: whoever claims has the job's row locked, or is alone.
    ///
    /// `clock`: the one that takes are stamped by.
    func rateRooms(_ rates: [String: RateLimit], clock: Instant) throws -> [String: RateRoom] {
        guard !rates.isEmpty else { return [:] }
        let taken = try connection.prepare("SELECT CAST(coalesce(sum(runs), 0) AS bigint) FROM \(schema)rate_takes WHERE job = ? AND at > ? AND at <= ?")
        return try Dictionary(uniqueKeysWithValues: rates.sorted { $0.key < $1.key }.map { job, rate in
            try taken.bind([.text(job), .int((clock - rate.per).stored), .int((clock + rate.per + RateTake.grid(rate)).stored)])
            defer { taken.reset() }
            let used = try taken.step() ? Int(taken.int64(0)) : 0
            return (job, RateRoom(rate: rate, room: max(0, rate.runs - used), stamp: RateTake.stamp(clock, rate)))
        })
    }

    /// Notes what was claimed. Returns the jobs of `rooms` whose rate is used up now, with how long it takes
    /// until there is room again.
    func noteTaken(_ counts: [String: Int], of rooms: [String: RateRoom], clock: Instant) throws -> [String: Duration] {
        var full: [String: Duration] = [:]
        for (job, room) in rooms.sorted(by: { $0.key < $1.key }) {
            let count = counts[job] ?? 0
            if count > 0 {
                // What counts no longer; and what a clock that was set back left in the future.
                try connection.send(
                    "DELETE FROM \(schema)rate_takes WHERE job = ? AND (at <= ? OR at > ?)",
                    [.text(job), .int((clock - room.rate.per).stored), .int((clock + room.rate.per + RateTake.grid(room.rate)).stored)])
                try connection.send("""
                    INSERT INTO \(schema)rate_takes AS t (job, at, runs) VALUES (?, ?, ?)
                    ON CONFLICT (job, at) DO UPDATE SET runs = t.runs + excluded.runs
                    """, [.text(job), .int(room.stamp.stored), .int(count)])
            }
            guard count >= room.room else { continue }
            let oldest = try connection.first(
                "SELECT min(at) FROM \(schema)rate_takes WHERE job = ? AND at > ?", [.text(job), .int((clock - room.rate.per).stored)]
            ) { try $0.instantOrNil(0) } ?? nil
            // A rate that was made smaller meanwhile may take longer: then it is asked again.
            full[job] = max(.milliseconds(1), (oldest ?? clock) + room.rate.per - clock)
        }
        return full
    }

    /// Fires that were believed to wait, of jobs whose rate is used up: those that begin, or have ended.
    func gone(_ limits: [String: WaitingLimit], of jobs: some Sequence<String>) throws -> Set<RunID> {
        let believed = jobs.flatMap { limits[$0]?.fires ?? [] }
        return try Set(believed.filter { run in
            try connection.first(
                "SELECT 1 FROM \(schema)runs WHERE id = ? AND \(StateSQL.waiting) AND attempt = 0", [.int(run.value)]) { _ in true } == nil
        })
    }

    /// Claims that never began count no longer. One that was found in the store is taken to be the job's newest.
    func giveBackTaken(_ claims: [HeldClaim]) throws {
        let counted = Dictionary(grouping: claims.filter { $0.taken != .never }, by: \.job)
        for (job, claims) in counted.sorted(by: { $0.key < $1.key }) {
            let takes = try connection.rows("SELECT at, runs FROM \(schema)rate_takes WHERE job = ? ORDER BY at", [.text(job)]) {
                (at: Instant(microseconds: try $0.int64(0)), runs: try $0.count(1))
            }
            guard !takes.isEmpty else { continue }
            var left = takes
            for claim in claims {
                let place =
                    switch claim.taken {
                    case .at(let instant): left.firstIndex { $0.at == instant && $0.runs > 0 }
                    case .unknown: left.lastIndex { $0.runs > 0 }
                    case .never: nil as Int?
                    }
                if let place { left[place].runs -= 1 }
            }
            for (before, after) in zip(takes, left) where after.runs < before.runs {
                let row: [SQLValue] = [.text(job), .int(after.at.stored)]
                if after.runs > 0 {
                    try connection.send("UPDATE \(schema)rate_takes SET runs = ? WHERE job = ? AND at = ?", [.int(after.runs)] + row)
                } else {
                    try connection.send("DELETE FROM \(schema)rate_takes WHERE job = ? AND at = ?", row)
                }
            }
        }
    }
}

extension [ClaimedRun] {
    /// With when each was counted.
    func noted(in rooms: [String: RateRoom]) -> [ClaimedRun] {
        map { run in
            var run = run
            run.taken = rooms[run.job]?.stamp
            return run
        }
    }
}

/// What is claimed within a thousandth of the span is one row, stamped by its end: so a job has a
/// thousand rows at the most, and is held back by that much more than its rate says, never by less.
enum RateTake {
    static func grid(_ rate: RateLimit) -> Duration { .microseconds(max(1_000, rate.per.microseconds / 1_000)) }

    static func stamp(_ clock: Instant, _ rate: RateLimit) -> Instant {
        let grid = grid(rate).microseconds
        return Instant(microseconds: (clock.microseconds + grid - 1).floorDivide(grid) * grid)
    }
}
