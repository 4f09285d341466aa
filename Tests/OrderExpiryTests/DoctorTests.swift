import ExchangeKit
import ExchangeTestKit
import JobKit
import Testing

@testable import OrderExpiry

@Suite struct ExpiryDoctorTests {
    private let desk: Desk
    init() throws { desk = try Desk(.disk) }

    private func findings(after seconds: Int64 = 0, _ settings: String) -> [String] {
        desk.test.doctor(OrderExpiryEntry.self, at: Desk.now + seconds * 1_000, job: "expiry", settings)
    }

    @Test func ordersPastTheirTimeAreCountedAndTooOldOnesAsked() throws {
        #expect(findings(#""mode": "live""#) == ["ok mode: live", "ok orders: none is past its time"])
        try desk.order(late: 60)
        try desk.order(late: 20)
        try desk.order(late: nil)
        #expect(findings(#""mode": "live""#).last == "ok orders: 2 past their time and open, the oldest for 1m")
        #expect(findings(after: 300, #""mode": "live""#).last
            == "warning orders: 2 past their time and open, the oldest for 6m; does the job run, and what does its log say? jobhost show expiry")
        #expect(findings(after: 300, #""mode": "shadow""#).last == "warning orders: 2 past their time and open, the oldest for 6m; mode is shadow")
    }

    @Test func anEngineThatDoesNotAnswerIsAnError() throws {
        let settings = #""mode": "live", "engine": "ack""#
        #expect(findings(settings).last == "ok engine: nothing was asked of it")
        try desk.order()
        try desk.order("sell")
        try desk.run(ack)
        #expect(findings(after: 10, settings).last == "ok engine: 2 removals asked for, none overdue")
        try desk.answer(1, removed: "0", at: 12)
        #expect(findings(after: 45, settings).last
            == "error engine: 1 removal without an answer, the oldest asked for 45s ago: is the matching engine up, and does it read the outbox?")
    }
}
