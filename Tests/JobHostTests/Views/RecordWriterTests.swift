import JobCore
import JobStore
import JobTestKit
import Testing

@testable import JobHost

@Suite("What must reach the store, where it refuses some of it") struct RecordWriterTests {
    private static let broken = StoreError(.broken, "the store refused a statement: prepared statement does not exist")
    private static let owner = Owner(host: "alpha", epoch: "life-1")

    private final class Hand: TimeSource {
        func now() -> Now { Now(wall: Instant(seconds: 1_777_888_700), monotonic: MonotonicInstant(microseconds: 1_000_000)) }
    }

    private func store(_ change: (inout FakeStore.Contents) -> Void = { _ in }) -> FakeStore {
        let store = FakeStore()
        store.edit {
            $0.records = []
            change(&$0)
        }
        return store
    }

    private func writer(_ store: FakeStore) -> RecordWriter { RecordWriter(store: store, owner: Self.owner, clock: Hand()) }

    private func end(_ run: Int64, _ change: (inout Completion) -> Void = { _ in }) -> PendingRecord {
        var completion = Completion(
            run: RunID(run), fence: run, outcome: .succeeded, state: .succeeded, finishedAt: Instant(seconds: 1_777_888_700))
        change(&completion)
        return PendingRecord(.complete(job: "mint", completion))
    }

    /// Two of each kind.
    private var one: [PendingRecord] {
        let claims = (1...6).map { HeldClaim(run: RunID($0), job: "mint", fence: $0) }
        return [end(1), end(2)] + [
            .refuse(Refusal(claims[2], .paused)), .refuse(Refusal(claims[3], .paused)), .release(claims[4]), .release(claims[5]),
            .audit(AuditRow(at: Instant(seconds: 1), actor: .system, action: "one")),
            .audit(AuditRow(at: Instant(seconds: 1), actor: .system, action: "two")),
        ].map { PendingRecord($0) }
    }

    @Test(
        "One that the store refuses is kept, and tried again ever more seldom; all others are recorded, those behind it too",
        arguments: ["complete 1", "refuse 3", "release 5", "audit one"])
    func oneOfThem(word: String) async throws {
        let store = store { $0.refused = [word: Self.broken] }
        var written = await writer(store).write(one)
        #expect(Set(store.records) == Set(await all()).subtracting([word]), "\(store.records)")
        #expect(store.records.count == 7, "something was recorded twice: \(store.records)")
        #expect(written.failure == nil && written.answered)
        #expect(written.rest.count == 1 && written.lines == [])
        var due = try #require(written.rest[0].due)
        for fault in 2...20 {
            written = await writer(store).write(written.rest)
            #expect(written.rest.count == 1 && written.rest[0].faults == fault)
            #expect(written.failure == nil && !written.answered, "the store was thought to be away for one that it refuses")
            let next = try #require(written.rest[0].due)
            #expect(next > due || next == MonotonicInstant(microseconds: 61_000_000))
            due = next
            #expect(written.lines.count == (fault == PendingRecord.patience ? 1 : 0), "\(written.lines)")
        }
        #expect(written.rest[0].sentence?.contains("prepared statement does not exist; it is kept, and tried again") == true)
        store.edit { $0.refused = [:] }
        written = await writer(store).write(written.rest)
        #expect(written.rest.isEmpty && store.records.last == word)
    }

    private func all() async -> [String] {
        let store = store()
        _ = await writer(store).write(one)
        return store.records
    }

    @Test("A store of a newer format, or one that is away, keeps everything waiting, and nothing is counted against any of it", arguments: [
        StoreError.Kind.incompatible, .unavailable, .held,
    ])
    func everybodys(kind: StoreError.Kind) async {
        let store = store { $0.fault = StoreError(kind, "not now") }
        let written = await writer(store).write(one)
        #expect(written.rest.count == 8 && written.rest.allSatisfy { $0.faults == 0 && $0.due == nil })
        #expect((written.failure as? StoreError)?.kind == kind)
        #expect(written.ends.isEmpty && written.lines.isEmpty)
    }

    @Test("What was refused with everything else is tried as soon as the store takes something; what it refuses beside that waits for its time")
    func broughtForward() {
        func at(_ seconds: Int64) -> MonotonicInstant { MonotonicInstant(microseconds: seconds * 1_000_000) }
        var record = end(1)
        for _ in 0..<8 {
            record.failed(Self.broken, now: at(100))
            record.heard(storeTook: false)
        }
        #expect(!record.isDue(at(101)) && record.isDue(at(160)))
        record.heard(storeTook: true)
        #expect(record.isDue(at(101)))
        record.failed(Self.broken, now: at(101))
        for _ in 0..<5 { record.heard(storeTook: true) }
        #expect(!record.isDue(at(102)), "its own fault: not beside every other record")
        // The store refuses everything again, and takes something again.
        record.heard(storeTook: false)
        record.heard(storeTook: true)
        #expect(record.isDue(at(102)))
    }

    @Test("What went before the store went away is not written again") func halfOfIt() async {
        let store = store { $0.refused = ["audit two": StoreError(.unavailable, "not now")] }
        let written = await writer(store).write(one)
        #expect(written.failure != nil && written.ends.count == 2)
        #expect(written.rest.map(\.operation.words) == ["the audit of \"two\" by system"])
    }

    @Test("An end whose state is what the store refuses is recorded without it, once there is no hope") func withoutState() async {
        let store = store { $0.refused = ["state of 1": Self.broken] }
        var rest = [end(1) { $0.stateBlob = Completion.StateWrite(version: 1, bytes: [7]) }, end(2)]
        var lines: [String] = []
        for _ in 1..<PendingRecord.patience {
            let written = await writer(store).write(rest)
            rest = written.rest
            #expect(rest.count == 1)
        }
        let written = await writer(store).write(rest)
        lines += written.lines
        #expect(written.rest.isEmpty && store.records == ["complete 2", "complete 1"])
        #expect(store.refusals(of: "state of 1") == PendingRecord.patience + 1, "once beside run 2, then alone")
        #expect(lines.count == 1 && lines[0].contains("run 1 of mint: its end is recorded without what it left behind (its job's state)"))
        #expect(written.ends[0].completion.reason.contains("not recorded with it: its job's state"))
        #expect(written.withoutState == ["mint"] && written.withoutBreaker.isEmpty)
    }
}
