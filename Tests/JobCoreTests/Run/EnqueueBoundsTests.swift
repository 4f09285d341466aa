import JobCore
import Testing

@Suite("What every door to a queue asks for") struct EnqueueBoundsTests {
    private static let now = Instant(rfc3339: "2026-01-01T00:00:00Z")!

    @Test(arguments: [
        (0, nil, 0, nil), (-1_000, "k", 366 * 86_400, nil), (1_000, String(repeating: "k", count: 512), -5, nil),
        (1_001, nil, 0, "priority is 1001; allowed is -1000 … 1000"),
        (0, "", 0, "a unique key has 1 … 512 bytes; this one has 0"),
        (0, String(repeating: "é", count: 257), 0, "a unique key has 1 … 512 bytes; this one has 514"),
        (0, nil, 366 * 86_400 + 1, "it is due at 2027-01-02T00:00:01Z, more than 366 days from now"),
    ] as [(Int, String?, Int64, String?)])
    func bounds(priority: Int, key: String?, ahead: Int64, problem: String?) {
        #expect(EnqueueBounds.problem(priority: priority, key: key, due: Self.now + .seconds(ahead), now: Self.now) == problem)
    }

    @Test(arguments: [
        (0, nil, nil), (0, 1, nil), (-60, -1, nil), (60, 60 + 366 * 86_400, nil),
        (0, 0, "it expires at 2026-01-01T00:00:00Z, which is not after 2026-01-01T00:00:00Z, when it is due"),
        (60, 59, "it expires at 2026-01-01T00:00:59Z, which is not after 2026-01-01T00:01:00Z, when it is due"),
        (60, 61 + 366 * 86_400, "it expires at 2027-01-02T00:01:01Z, more than 366 days after it is due"),
        (-400 * 86_400, 60, nil), (-60, 1 + 366 * 86_400, "it expires at 2027-01-02T00:00:01Z, more than 366 days from now"),
    ] as [(Int64, Int64?, String?)])
    func expiry(due: Int64, expires: Int64?, problem: String?) {
        let end = expires.map { Self.now + .seconds($0) }
        #expect(EnqueueBounds.problem(priority: 0, key: nil, due: Self.now + .seconds(due), expires: end, now: Self.now) == problem)
    }

    @Test("Milliseconds taken for seconds, or anything else beyond the calendar, is far, and no crash")
    func extremes() {
        #expect(EnqueueBounds.problem(priority: 0, key: nil, due: .distantFuture, now: Self.now) != nil)
        #expect(EnqueueBounds.problem(priority: 0, key: nil, due: .distantPast, now: Self.now) == nil)
    }
}
