import JobJSON
import Testing

// Those who listen to the stream of events.

extension TestHost {
    /// Somebody at the socket in the state folder `state`; `id`: who was told everything up to then.
    func listen(_ query: String = "", in state: String = "var", after id: Substring? = nil) throws -> Child {
        try command(
            "/usr/bin/env", "curl", "-sSN", "-m", "100", "--unix-socket", folder + "/\(state)/jobhost.sock",
            "-H", id.map { "Last-Event-ID: \($0)" } ?? "X-None: 1", "http://localhost/api/v1/events" + (query.isEmpty ? "" : "?\(query)"))
    }
}

/// What a listener was told, by one stream or by several that he had one after the other.
struct Told {
    var lines: [String]

    func data(_ event: String) -> [JSON] {
        zip(lines, lines.dropFirst()).filter { $0.0 == "event: \(event)" }.compactMap { try? JSON(parsing: Array($0.1.dropFirst("data: ".count).utf8)) }
    }

    /// Runs that ended between two instants of the database without being told: neither by the host that had them, nor
    /// as those of a job of which some ended on another host.
    func missing(_ ledger: LedgerFile, after first: Int, upTo last: Int) throws -> [String] {
        let told = data("run_ended").compactMap { $0["id"]?.canonicalText }
        let elsewhere = data("elsewhere").compactMap { event in
            event["job"]?.stringValue.flatMap { job in event["at"]?.stringValue.map { "('\(job)', '\($0)'::timestamptz)" } }
        }
        return try ledger.texts("""
            SELECT id || ' of ' || job || ' on ' || owner FROM runs WHERE outcome IS NOT NULL AND finished_at > \(first) AND finished_at <= \(last)
            AND id NOT IN (\((told + ["0"]).joined(separator: ", "))) AND NOT EXISTS (
                SELECT FROM (VALUES \((elsewhere + ["('', 'epoch'::timestamptz)"]).joined(separator: ", "))) AS e (job, at)
                WHERE e.job = runs.job AND extract(epoch FROM e.at) * 1000000 >= runs.finished_at) ORDER BY id
            """)
    }

    /// Until nothing of that time is missing: what is of one moment is told in any order.
    static func wait(_ ledger: LedgerFile, after first: Int, upTo last: Int, _ lines: () -> [String]) throws {
        while true {
            let missing = try Told(lines: lines()).missing(ledger, after: first, upTo: last)
            if missing.isEmpty { return }
            if Task.isCancelled { Issue.record(TestHost.Failure("never told: \(missing)")) }
            try Task.checkCancellation()
        }
    }
}
