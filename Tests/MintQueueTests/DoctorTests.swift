import ExchangeKit
import ExchangeTestKit
import JobKit
import OutsideTestKit
import Testing

@testable import MintQueue

@Suite struct MintQueueDoctorTests {
    private let test: TestExchange
    init() throws { test = try TestExchange(.disk, statements: .mintQueue) }

    private func mint(_ cause: String, _ status: String, minutes: Int64) throws {
        try test.connection.run(
            """
            INSERT INTO mint_requests (cause, asset_id, size, status, attempts, created_ms, updated_ms)
            VALUES (?, '7', '1', ?, 1, 0, ?)
            """, [.text(cause), .text(status), .int(noon - minutes * 60_000)])
    }
    private func findings(_ settings: String) -> [String] {
        test.doctor(MintEntry.self, at: noon, job: "mint", #""mode": "live", "# + settings)
    }

    @Test func onPaperNobodyIsAsked() throws {
        let all = [
            "ok mode: live", "ok minter: on paper, in the exchange's database", "ok mints: there are none",
            "ok rate: 0 in the last hour; 1000 are allowed",
        ]
        #expect(findings(#""minter": "paper""#) == all)
        let live = try TestExchange(.disk, purpose: .live)
        let refused = live.doctor(MintEntry.self, at: noon, #""mode": "live", "minter": "paper""#)
        #expect(refused.contains("error minter: on paper, and this is a live exchange: nothing is done; set it to \"http\" with a url"))
    }

    @Test func mintsWithoutAnEndAreNamed() throws {
        for (index, status) in ["minted", "minted", "unknown", "sent"].enumerated() { try mint("sale-\(index)", status, minutes: 90) }
        try mint("sale-9", "minted", minutes: 5)
        #expect(findings(#""minter": "paper", "max_mints_per_hour": 1"#).suffix(4) == [
            "ok mints: 3 minted, 1 sent, 1 unknown",
            "warning unknown: 1 mint with an unknown result, the oldest for 1h30m; the minter is asked with the next attempt: jobhost dead list mint",
            "warning pending: accepted by the minter 1h30m ago and not minted; pending_limit is 1h",
            "error rate: 1 in the last hour, as many as max_mints_per_hour allows: the others wait",
        ])
    }

    @Test func aMinterIsAskedForWhatItHasNeverHeardOf() throws {
        let server = try LoopbackServer { _ in .json("{}", status: 404) }
        defer { server.close() }
        #expect(findings(#""url": "\#(server.url)""#).contains("ok minter: answers"))
        #expect(server.requests.map { "\($0.method) \($0.path)" } == ["GET /mints/jobhost-doctor"])
        #expect(findings(#""url": "\#(server.url)", "lookup": false"#).contains(
            "ok minter: not asked: lookup is false, and an order would have an effect"))
        #expect(server.requests.count == 1)
    }

    @Test func aGatewayThatDoesNotTakeOurTokenIsAnError() throws {
        let server = try LoopbackServer { _ in .json("{}", status: 401) }
        defer { server.close() }
        let found = test.doctor(ManagePositionEntry.self, at: noon, #""mode": "shadow", "url": "\#(server.url)""#)
        #expect(found.count == 3, "\(found)")
        #expect(found.first == "ok mode: shadow: it decides and logs, and writes nothing")
        #expect(found.dropFirst().first?.hasPrefix("error gateway: ") == true)
        #expect(found.last == "ok rate: 0 in the last hour; 200 are allowed")
        #expect(server.requests.map { "\($0.method) \($0.path)" } == ["GET /orders/jobhost-doctor"])
    }
}
