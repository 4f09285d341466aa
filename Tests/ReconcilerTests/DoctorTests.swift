import ExchangeKit
import ExchangeTestKit
import Glibc
import JobKit
import OutsideTestKit
import Testing

@testable import Reconciler

@Suite struct ReconcilerDoctorTests {
    private func findings(_ test: TestExchange, after minutes: Int64 = 0, _ settings: String = #""mode": "live""#) -> [String] {
        test.doctor(ReconcilerEntry.self, at: Shop.now + minutes * Shop.minute, job: "reconcile", settings)
    }

    @Test func `Open orders are to be asked for in time`() throws {
        let shop = try Shop(.disk)
        try shop.order(synced: 3)
        try shop.order(status: "filled", synced: 300)
        #expect(findings(shop.test) == [
            "ok mode: live", "ok exchange: paper is in the exchange's database", "ok orders: 1 open order, each asked for in time",
            "ok failures: none of 3 in a row",
        ])
        try shop.order(synced: 30)
        #expect(findings(shop.test).contains(
            "warning orders: 1 of 2 open orders not asked for in time, the oldest for 30m (sync_after is 5m); "
                + "does the job run? jobhost show reconcile"))
    }

    @Test func `Orders that fail again and again are named with the reason`() throws {
        let shop = try Shop(.disk)
        for (id, failures) in [(1, 2), (2, 7), (3, 3)] as [(Int64, Int64)] {
            try shop.test.connection.run(
                "INSERT INTO exchange_order_syncs (order_id, failures, not_found, next_sync_ms, reason) VALUES (?, ?, 0, 0, 'HTTP 500')",
                [.text(String(id)), .int(failures)])
        }
        #expect(findings(shop.test).last
            == "error failures: 2 orders could not be asked for 3 times in a row or more; order 2 7 times: HTTP 500")
    }

    @Test func `Paper on a live exchange is an error`() throws {
        let test = try TestExchange(.disk, purpose: .live)
        #expect(findings(test).contains(
            "error exchange: paper, and this is a live exchange: nothing is done; set exchange = \"binance\""))
    }

    @Test func `An exchange tells its clock, or why it does not answer`() throws {
        setenv("DOCTOR_TEST_KEY", "k", 1)
        defer { unsetenv("DOCTOR_TEST_KEY") }
        let shop = try Shop(.disk, at: "binance")
        func ask(_ reply: LoopbackServer.Reply) throws -> String? {
            let server = try LoopbackServer { _ in reply }
            defer { server.close() }
            let settings = #""mode": "live", "exchange": "binance", "url": "\#(server.url)", "api_key": "env:DOCTOR_TEST_KEY", "api_secret": "env:DOCTOR_TEST_KEY""#
            let found = findings(shop.test, settings).first { $0.contains(" exchange: ") }
            #expect(server.requests.allSatisfy { $0.method == "GET" && $0.path == "/api/v3/time" })
            return found
        }
        #expect(try ask(.json(#"{"serverTime": 4102444800000}"#))?.hasPrefix("ok exchange: binance answers; its clock is ") == true)
        #expect(try ask(.json(#"{"code": -2015, "msg": "Invalid API-key"}"#, status: 401))?.hasPrefix("error exchange: ") == true)
    }
}
