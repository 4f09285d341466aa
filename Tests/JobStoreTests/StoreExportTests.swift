import JobCore
import JobJSON
import JobStore
import PostgresTestKit
import SQL
import StoreSuite
import Synchronization
import Testing

@Suite struct StoreExportTests {
    /// What is written, as one text; `between` is called after each piece.
    private static func export(
        _ upkept: Upkept, _ request: StoreExport.Request, between: @escaping @Sendable (_ bytes: Int) throws -> Void = { _ in }
    ) async throws -> (text: String, rows: [Int64]) {
        let text = Mutex("")
        let tables = try await StoreExport.run(upkept.place, request) { bytes in
            text.withLock { $0 += String(decoding: bytes, as: UTF8.self) }
            try between(bytes.count)
        }
        return (text.withLock { $0 }, tables.map(\.rows))
    }

    private static func lines(_ text: String) throws -> [JSON] {
        try text.split(separator: "\n").map { try JSON(parsing: String($0)) }
    }

    @Test("Every table, a line for each row, with every field", arguments: TestPostgres.dialects)
    func everything(dialect: SQLDialect) async throws {
        try await Upkept.use(dialect) { upkept in
            _ = try await upkept.store.saveControl(
                job: "mint", .enabled(false), by: Actor(name: Actor.system.name, via: Actor.system.via, reason: "broken, \"really\""),
                action: "disable", now: .at(12))
            try upkept.execute("UPDATE runs SET started_at = 1764547201000007, payload = '{ \"a\" : 0.10,\n \"b\": \" \\n \" }' WHERE id = 1")
            try upkept.execute("UPDATE breakers SET updated_at = 1764547208000000")
            let all = try await Self.export(upkept, StoreExport.Request(tables: StoreExport.Table.allCases, format: .jsonl))
            let lines = try Self.lines(all.text)
            #expect(all.rows == [5, 1, 1, 2, 1, 0, 5, 1])
            #expect(Dictionary(grouping: lines) { $0["kind"]?.stringValue ?? "" }.mapValues(\.count)
                == ["run": 5, "attempt": 1, "range": 1, "job": 2, "breaker": 1, "counter": 5, "audit": 1])

            let run = try #require(lines.first { $0["kind"] == "run" && $0["id"]?.canonicalText == "1" })
            #expect(run["fire_time"] == "2025-12-01T00:00:01Z")
            #expect(run["started_at"] == "2025-12-01T00:00:01.000007Z", "to the microsecond")
            #expect(all.text.contains(#""payload":{"a":0.10,"b":" \n "}"#), "every digit, on one line")
            #expect(run["retry_of"] == .null)
            #expect(run["state"] == "succeeded" && run["outcome"] == "succeeded" && run["owner"] == "alpha")
            let attempt = try #require(lines.first { $0["kind"] == "attempt" })
            #expect(attempt["run"]?.canonicalText == "4" && attempt["job"] == "mint" && attempt["outcome"] == "retry")
            let range = try #require(lines.first { $0["kind"] == "range" })
            #expect(range["first"] == "2025-12-01T00:00:02Z" && range["last"] == "2025-12-01T00:00:04Z" && range["count"]?.canonicalText == "3")
            let job = try #require(lines.first { $0["kind"] == "job" && $0["job"] == "mint" })
            #expect(job["last_finished"] == "2025-12-01T00:00:09Z" && job["last_outcome"] == "failed")
            #expect(job["enabled"] == .bool(false) && job["paused"] == .bool(false) && job["reason"] == "broken, \"really\"")
            let breaker = try #require(lines.first { $0["kind"] == "breaker" })
            #expect(breaker["mode"] == "forced_open" && breaker["reason"] == "by hand" && breaker["until"] == .null)
            #expect(breaker["since"] == "2025-12-01T00:00:08Z" && breaker["updated_at"] == "2025-12-01T00:00:08Z")
            #expect(lines.contains { $0["kind"] == "counter" && $0["job"] == "mint" && $0["name"] == "retry" && $0["value"]?.canonicalText == "1" })
            #expect(lines.last?["action"] == "disable" && lines.last?["at"] == "2025-12-01T00:00:12Z")
        }
    }

    @Test("CSV: nothing is empty, an empty text has quotes, quotes are doubled", arguments: TestPostgres.dialects)
    func csv(dialect: SQLDialect) async throws {
        try await Upkept.use(dialect) { upkept in
            try await upkept.store.writeAudit(AuditRow(
                at: .at(1), actor: Actor(name: "ops", via: "cli", reason: "said \"so\",\nor not"), action: "note", detail: ""))
            let text = try await Self.export(upkept, StoreExport.Request(tables: [.audit], format: .csv)).text
            #expect(text == "id,at,actor,via,reason,action,job,detail\n1,2025-12-01T00:00:01Z,ops,cli,\"said \"\"so\"\",\nor not\",note,,\"\"\n")
            let ranges = try await Self.export(upkept, StoreExport.Request(tables: [.ranges], format: .csv)).text
            #expect(ranges == "id,job,reason,first,last,count\n1,candles,overlap,2025-12-01T00:00:02Z,2025-12-01T00:00:04Z,3\n")
        }
    }

    @Test("A plugin's state, byte for byte", arguments: TestPostgres.dialects)
    func states(dialect: SQLDialect) async throws {
        try await Upkept.use(dialect, filled: false) { upkept in
            let run = try #require(try await upkept.store.claimFires([.candles(1)], owner: TemporaryStore.owner, now: .at(1)).first ?? nil)
            var end = Completion(run: run.id, fence: run.fence, outcome: .succeeded, state: .succeeded, finishedAt: .at(1))
            end.stateBlob = Completion.StateWrite(version: 2, bytes: [0, 255, 3, 16])
            #expect(try await upkept.store.complete([end], now: .at(1)) == [true])
            let text = try await Self.export(upkept, StoreExport.Request(tables: [.states], format: .jsonl)).text
            #expect(text == #"{"kind":"state","job":"candles","version":2,"bytes":"AP8DEA==","updated_at":"2025-12-01T00:00:01Z"}"# + "\n")
        }
    }

    @Test("Of some jobs, of a time", arguments: TestPostgres.dialects)
    func filters(dialect: SQLDialect) async throws {
        try await Upkept.use(dialect) { upkept in
            func ids(_ tables: [StoreExport.Table], _ jobs: [String] = [], _ since: Int64? = nil, _ until: Int64? = nil) async throws -> [String] {
                let request = StoreExport.Request(tables: tables, format: .jsonl, jobs: jobs, since: since.map(Instant.at), until: until.map(Instant.at))
                return try Self.lines(try await Self.export(upkept, request).text).map { ($0["id"] ?? $0["job"])?.canonicalText ?? "" }
            }
            #expect(try await ids([.runs], ["mint"]) == ["3", "4", "5"])
            #expect(try await ids([.runs], ["mint", "candles"], 1) == ["1", "2"])
            #expect(try await ids([.runs], [], 1, 5) == ["1"], "the end is not included")
            #expect(try await ids([.ranges], [], 4) == ["1"])
            #expect(try await ids([.ranges], [], 5) == [])
            #expect(try await ids([.ranges], [], nil, 2) == [])
            #expect(try await ids([.attempts], [], 1) == [], "those of the runs")
            #expect(try await ids([.jobs], ["candles"]) == ["\"candles\""])
            do {
                _ = try await ids([.runs], ["mnt"])
                Issue.record("a job that is not there")
            } catch let error as StoreError { #expect(error.kind == .notFound) }
        }
    }

    @Test("Thousands of rows in pieces, each once and in order, all of one moment", arguments: TestPostgres.dialects)
    func pages(dialect: SQLDialect) async throws {
        try await Upkept.use(dialect, filled: false) { upkept in
            _ = try await upkept.store.enqueue((0..<4_500).map { _ in .mint(bytes: 20) }, now: .at(0))
            let largest = Mutex(0)
            let begun = Mutex(false)
            let result = try await Self.export(upkept, StoreExport.Request(tables: [.runs, .counters], format: .jsonl)) { bytes in
                largest.withLock { $0 = max($0, bytes) }
                // What others do after its beginning is not in it.
                let isFirst = begun.withLock { begun in
                    defer { begun = true }
                    return !begun
                }
                if isFirst { try upkept.execute("DELETE FROM runs WHERE id > 4000; UPDATE runs SET job = 'other' WHERE id > 3000") }
            }
            #expect(result.rows == [4_500, 0])
            let lines = try Self.lines(result.text)
            #expect(lines.compactMap { $0["id"]?.canonicalText } == (1...4_500).map(String.init))
            #expect(lines.allSatisfy { $0["job"] == "mint" })
            #expect(largest.withLock { $0 } < 70_000, "it is handed on as it comes")
            #expect(try upkept.number("SELECT count(*) FROM runs") == 4_000)
        }
    }

    @Test("What cannot be written ends it", arguments: TestPostgres.dialects)
    func full(dialect: SQLDialect) async throws {
        struct Full: Error {}
        try await Upkept.use(dialect) { upkept in
            await #expect(throws: Full.self) {
                _ = try await Self.export(upkept, StoreExport.Request(tables: [.runs], format: .jsonl)) { _ in throw Full() }
            }
        }
    }
}
