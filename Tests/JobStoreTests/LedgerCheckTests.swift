import JobCore
import JobStore
import SQL
import StoreSuite
import Testing

/// The checker finds what it is there for.
@Suite struct LedgerChecks {
    /// A store with a running fire at 2, a range before it, and an ended run; then spoilt.
    private func violations(after spoiling: String) async throws -> [String] {
        try await TemporaryStore.use { file in
            let store = try await file.open()
            let owner = TemporaryStore.owner
            let skipped = FireRange(reason: .overlap, first: .at(2), last: .at(4), count: 3)
            let first = try await store.claimFires([.candles(1)], owner: owner, now: .at(1))
            let run = try #require(first.first ?? nil)
            let end = Completion(run: run.id, fence: run.fence, outcome: .succeeded, state: .succeeded, finishedAt: .at(1))
            _ = try await store.complete([end], now: .at(1))
            let move = CursorMove(
                job: "candles", expectedCursor: .at(1), newCursor: .at(4), scheduleText: "every 1s", ranges: [skipped])
            #expect(try await store.moveCursors([move], now: .at(4)) == [true])
            #expect(try await store.claimFires([.candles(5)], owner: owner, now: .at(5)).compactMap { $0 }.count == 1)
            await store.close()
            #expect(try LedgerCheck.violations(in: file.path) == [])
            try file.otherProgram().execute(spoiling)
            return try LedgerCheck.violations(in: file.path)
        }
    }

    @Test(arguments: [
        ("DROP INDEX runs_fire; INSERT INTO runs SELECT 9, job, trigger, state, outcome, fire_time, available_at, rank, created_at, started_at, finished_at, lease_until, attempt, max_attempts, priority, 9, owner, epoch, pid, library_hash, generation, reason, code, items, cpu_us, unique_key, idempotency_key, retry_of, payload, idempotent, expires_at FROM runs WHERE id = 2; UPDATE sequences SET value = 9",
         "two live runs of one due time: candles at 1764547205000000"),
        ("UPDATE runs SET owner = '' WHERE id = 2", "running without owner, fence, lease or attempt: run 2"),
        ("UPDATE runs SET state = 'succeeded', outcome = 'failed' WHERE id = 2", "ended without an end, or an end without having ended: run 2 succeeded"),
        ("UPDATE runs SET state = 'finished' WHERE id = 1", "an unknown word: run 1 finished schedule succeeded"),
        ("UPDATE sequences SET value = 1 WHERE name = 'fence'", "a number beyond its sequence: run 2 fence 2"),
        ("UPDATE job_states SET cursor = cursor - 1", "a cursor behind a run of its schedule: candles at 1764547205000000"),
        ("UPDATE job_states SET cursor = 0", "a cursor behind a range: candles at 1764547204000000"),
        ("INSERT INTO ledger_ranges (job, reason, first, last, count) VALUES ('candles', 'paused', 1764547204000000, 1764547204000000, 1)",
         "overlapping ranges: candles overlap and paused at 1764547204000000"),
        ("UPDATE ledger_ranges SET first = first - 1000000, count = 4", "a run inside a range: run 1 of candles in overlap"),
        ("UPDATE ledger_ranges SET count = 1", "a range whose count and span disagree: candles overlap at 1764547202000000"),
        ("DELETE FROM counters", "fewer counted than there are: candles succeeded"),
        ("INSERT INTO attempts VALUES (1, 5, 'failed', NULL, 0, 0, '', '', 0)", "an attempt on record that the run did not have: run 1 attempt 5"),
        ("UPDATE runs SET retry_of = 7 WHERE id = 2", "a retry of something later: run 2"),
    ])
    func finds(spoiling: String, sentence: String) async throws {
        #expect(try await violations(after: spoiling).contains(sentence))
    }
}
