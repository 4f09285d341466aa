import ExchangeKit
import ExchangeTestKit
import Foundation
import JobKit
import OutsideTestKit
import Testing

@testable import Arena
@testable import Candles
@testable import ExchangeKit

/// Which prices are believed.
@Suite struct QuoteBoardTests {
    private func quote(_ pair: String = "BTC/USD", at instant: Int64 = noon - 1_000, bid: Int32 = 99, ask: Int32 = 101) -> Quote {
        Quote(pair: pair, bid: Amount(bid), ask: Amount(ask), price: Amount(100), instant: instant)
    }
    private func board(isDelayed: Bool = false) -> QuoteBoard {
        QuoteBoard(["BTC/USD", "ETH/USD", "SOL/USD"], clock: noon, maxAge: 60_000, isDelayed: isDelayed)
    }

    @Test func aQuoteIsTakenOnce() {
        var board = board()
        #expect(board.offer(quote()) == nil)
        #expect(board.offer(quote(bid: 1)) == nil)
        #expect(board.quotes["BTC/USD"] == quote())
        #expect(board.missing == ["ETH/USD", "SOL/USD"])
        #expect(board.batches(of: 8) == [["ETH/USD", "SOL/USD"]])
        #expect(board.batches(of: 1) == [["ETH/USD"], ["SOL/USD"]])
    }

    @Test func whatCannotBeIsRefused() {
        var board = board()
        #expect(board.offer(quote(bid: 102)) == "BTC/USD: bid 102, ask 101, price 100 cannot be")
        #expect(board.offer(quote(bid: 0)) == "BTC/USD: bid 0, ask 101, price 100 cannot be")
        #expect(board.offer(quote(at: noon - 61_000)) == "BTC/USD: its price is 61 seconds old")
        #expect(board.offer(quote(at: noon + 6_000)) == "BTC/USD: its price is of 2026-01-05 12:00:06, later than the market's clock")
        for instant in [Int64.min, -1, 0] {
            #expect(board.offer(quote(at: instant)) == "BTC/USD: its price is of no time, ts_ms \(instant)")
        }
        #expect(board.quotes.isEmpty)
        // A clock that is a little ahead is forgiven; what it says was before ours.
        // While others kept us waiting prices went on.
        #expect(board.offer(quote(at: noon + 65_001), passed: 60_000) != nil)
        #expect(board.offer(quote(at: noon + 65_000), passed: 60_000) == nil)
        #expect(board.quotes["BTC/USD"]?.instant == noon - 1)
        // … but not where the market is behind on purpose: that would be the future.
        var delayed = self.board(isDelayed: true)
        #expect(delayed.offer(quote(at: noon + 1)) != nil)
        #expect(delayed.offer(quote(at: noon)) == nil)
    }
}

/// Real prices, from servers on loopback that speak as providers document it.
@Suite struct RealtimeTests {
    /// A provider of `GET /quotes`, which knows these prices.
    private static func provider(_ prices: [String: String], at instant: @escaping @Sendable () -> Int64) throws -> LoopbackServer {
        try LoopbackServer { request in
            guard request.path == "/quotes" else { return .respond(404) }
            let symbols = (request.parameter("symbols") ?? "").split(separator: ",").map(String.init)
            let moment = request.parameter("at").flatMap { Int64($0) }.map { $0 - 500 } ?? instant()
            let quotes = symbols.compactMap { symbol in
                prices[symbol].map { #"{"symbol": "\#(symbol)", "price": "\#($0)", "ts_ms": \#(moment)}"# }
            }
            return .json(#"{"quotes": [\#(quotes.joined(separator: ","))]}"#)
        }
    }
    private static let now: @Sendable () -> Int64 = { ExchangeClock.system.now() }

    private func settings(_ test: TestExchange, _ pairs: [String], _ providers: [String], _ more: String = "") -> String {
        #"{"database": "\#(test.database)", "mode": "realtime", "simulation": "live", "quotes": {"pairs": [\#(pairs.map { "\"\($0)\"" }.joined(separator: ", "))], "#
            + #""providers": [\#(providers.joined(separator: ", "))]\#(more)}}"#
    }
    private func http(_ server: LoopbackServer, _ name: String = "one", _ more: String = "") -> String {
        #"{"name": "\#(name)", "url": "\#(server.url)"\#(more)}"#
    }

    @Test func aTickAsksInBatchesOf8AndWritesPrints() throws {
        let test = try TestExchange(.disk, statements: .arena, at: noon)
        let pairs = (1 ... 20).map { "C\($0)/USD" }
        let server = try Self.provider(Dictionary(uniqueKeysWithValues: pairs.map { ($0, "10.5") }), at: Self.now)
        defer { server.close() }
        let run = TestRun(settings: settings(test, pairs, [http(server)], #", "spacing": "1ms""#))
        #expect(run.run(TickEntry.self) == .succeeded, "\(run.text)")
        #expect(server.requests.map { $0.parameter("symbols")?.split(separator: ",").count } == [8, 8, 4])
        #expect(run.text.contains(": 20 prices, 20 from one"))
        #expect(run.items == 20)
        #expect(try test.number("SELECT count(*) FROM trades WHERE amount = '0' AND price = '10.5'") == 20)
        #expect(try test.number("SELECT count(*) FROM quotes WHERE bid = '10.5'") == 20)
        #expect(try test.texts("SELECT mode, ticks FROM simulations WHERE name = 'live'") == ["realtime 1"])
        // A market in real time has no clock of its own: its candles close by the real one.
        #expect(try test.number("SELECT count(*) FROM pairs WHERE clock_ms IS NULL") == 20)
        #expect(run.samples.contains { $0.name == "arena_quotes" && $0.value == 20 && $0.labels == ["provider": "one"] })
    }

    /// The gap between two requests, by the rate limit's own clock: what is asked is that it is kept.
    @Test func requestsAreSpaced() throws {
        let test = try TestExchange(.disk, statements: .arena, at: noon)
        let server = try Self.provider(["A/USD": "1", "B/USD": "2", "C/USD": "3"], at: Self.now)
        defer { server.close() }
        let run = TestRun(settings: settings(test, ["A/USD", "B/USD", "C/USD"], [http(server)], #", "batch": 1"#))
        let began = ExchangeClock.system.elapsed()
        #expect(run.run(TickEntry.self) == .succeeded)
        #expect(server.requests.count == 3)
        // Two gaps of 150 ms.
        #expect(ExchangeClock.system.elapsed() - began >= 299)
    }

    @Test func whatOneDoesNotKnowTheNextIsAskedFor() throws {
        let test = try TestExchange(.disk, statements: .arena, at: noon)
        let first = try Self.provider(["BTC/USD": "64000.25"], at: Self.now)
        let second = try Self.provider(["BTC/USD": "1", "ether": "3200"], at: Self.now)
        defer { first.close(); second.close() }
        let providers = [http(first), http(second, "two", #", "symbols": {"ETH/USD": "ether"}"#)]
        let run = TestRun(settings: settings(test, ["BTC/USD", "ETH/USD", "GONE/USD"], providers, #", "spacing": "0s""#))
        #expect(run.run(TickEntry.self) == .succeeded)
        #expect(run.text.contains("2 prices, 1 from one, 1 from two; none for GONE/USD"))
        #expect(second.requests.map { $0.parameter("symbols") } == ["ether,GONE/USD"])
        #expect(try test.texts("SELECT p.symbol, t.price FROM trades t JOIN pairs p ON p.id = t.pair_id ORDER BY 1") == ["BTC/USD 64000.25", "ETH/USD 3200"])
    }

    @Test(arguments: [
        LoopbackServer.Reply.respond(500), .respond(429, headers: ["Retry-After": "1000"]), .drop, .raw("no HTTP at all\r\n\r\n"),
        .json("[1, 2"), .json(#"{"quotes": 5}"#), .json(#"{"quotes": [{"symbol": "BTC/USD", "price": "cheap", "ts_ms": 1}]}"#), .respond(401),
        .json(#"{"quotes": [{"symbol": "BTC/USD", "price": "5", "ts_ms": 1}]}"#), .json(#"{"quotes": [{"symbol": "BTC/USD", "price": "-5", "ts_ms": 1}]}"#),
    ])
    func whoeverFailsIsReplacedByTheNext(_ reply: LoopbackServer.Reply) throws { try expectReplaced(reply, guard: "60s") }

    @Test func whoeverHangsIsReplacedByTheNext() throws { try expectReplaced(.hang, guard: "10s") }

    /// `limit`: of each of them, and only whoever hangs is to be left because of it.
    private func expectReplaced(_ reply: LoopbackServer.Reply, guard limit: String) throws {
        let test = try TestExchange(.disk, statements: .arena, at: noon)
        let ill = try LoopbackServer { _ in reply }
        let well = try Self.provider(["BTC/USD": "64000"], at: Self.now)
        defer { ill.close(); well.close() }
        let own = #", "spacing": "0s", "guard": "\#(limit)", "attempts": 1"#
        let run = TestRun(settings: settings(test, ["BTC/USD"], [http(ill), http(well, "two")], own))
        #expect(run.run(TickEntry.self) == .succeeded, "\(run.text)")
        #expect(run.text.contains(": 1 price, 1 from two"))
        #expect(run.log.count { $0.level >= 3 } >= 1)
    }

    @Test func withoutAnyPriceTheTickIsTriedAgainAndNothingMoves() throws {
        let test = try TestExchange(.disk, statements: .arena, at: noon)
        let server = try LoopbackServer { _ in .respond(503) }
        defer { server.close() }
        let run = TestRun(settings: settings(test, ["BTC/USD"], [http(server)], #", "attempts": 1"#))
        #expect(run.run(TickEntry.self) == .retry)
        #expect(run.text.hasPrefix("no provider has a price: quotes of 1 pair at http://127.0.0.1:"))
        #expect(try test.number("SELECT count(*) FROM simulations") == 0)
        // Five failures open the breaker, which is the same for the next run.
        for _ in 0 ..< 4 {
            run.state = run.stateAlways
            #expect(run.run(TickEntry.self) == .retry)
        }
        run.state = run.stateAlways
        let before = server.requests.count
        #expect(run.run(TickEntry.self) == .retry)
        #expect(server.requests.count == before)
        #expect(run.text.contains("its breaker is open"))
    }

    @Test func delayedPricesAreOfThenAndNothingLater() throws {
        let test = try TestExchange(.disk, statements: .arena, at: noon)
        let server = try Self.provider(["BTC/USD": "64000"], at: Self.now)
        defer { server.close() }
        let run = TestRun(settings: settings(test, ["BTC/USD"], [http(server)], #", "delayed": true"#))
        let began = ExchangeClock.system.now()
        #expect(run.run(TickEntry.self) == .succeeded, "\(run.text)")
        let asked = try #require(server.requests.first?.parameter("at").flatMap { Int64($0) })
        #expect((began - 1_800_000 ... ExchangeClock.system.now() - 1_800_000).contains(asked))
        #expect(run.text.contains(" (delayed by 30m): 1 price"))
        #expect(try test.texts("SELECT clock_ms FROM pairs") == ["\(asked)"])
        #expect(try test.number("SELECT max(ts_ms) FROM trades") == asked - 500)
        // One that answers with the present all the same is refused.
        let hasty = try LoopbackServer { _ in .json(#"{"quotes": [{"symbol": "BTC/USD", "price": "1", "ts_ms": \#(ExchangeClock.system.now())}]}"#) }
        defer { hasty.close() }
        let other = try TestExchange(.disk, statements: .arena, at: noon)
        let refused = TestRun(settings: settings(other, ["BTC/USD"], [http(hasty)], #", "delayed": true"#))
        #expect(refused.run(TickEntry.self) == .retry)
        #expect(refused.text.hasSuffix("later than the market's clock"))
    }

    /// As Binance documents its market data: prices in a list, an unknown symbol fails the whole request.
    @Test func binanceIsUnderstood() throws {
        let test = try TestExchange(.disk, statements: .arena, at: noon)
        let server = try LoopbackServer { request in
            if request.path == "/api/v3/klines" {
                let end = Int64(request.parameter("endTime") ?? "") ?? 0
                let open = end / 60_000 * 60_000
                return .json(#"[[\#(open),"1","3","1","2.5","9",\#(open + 59_999),"20",5,"1","2","0"]]"#)
            }
            let symbols = request.parameter("symbols") ?? ""
            if symbols.contains("GONEUSDT") { return .json(#"{"code":-1121,"msg":"Invalid symbol."}"#, status: 400) }
            let known = ["BTCUSDT", "ETHUSDT"].filter { symbols.contains("\"\($0)\"") }
            return .json("[" + known.map { #"{"symbol":"\#($0)","bidPrice":"99.00000000","bidQty":"1","askPrice":"101.00000000","askQty":"2"}"# }.joined(separator: ",") + "]")
        }
        defer { server.close() }
        let provider = #"{"adapter": "binance", "url": "\#(server.url)"}"#
        let pairs = ["BTC/USDT", "ETH/USDT", "GONE/USDT"]
        let run = TestRun(settings: settings(test, pairs, [provider], #", "spacing": "0s""#))
        #expect(run.run(TickEntry.self) == .succeeded, "\(run.text)")
        #expect(run.text.contains("2 prices, 2 from binance; none for GONE/USDT"))
        #expect(server.requests.first?.parameter("symbols") == #"["BTCUSDT","ETHUSDT","GONEUSDT"]"#)
        #expect(try test.texts("SELECT DISTINCT bid, ask FROM quotes") == ["99 101"])
        #expect(try test.texts("SELECT DISTINCT price FROM trades") == ["100"])

        let delayed = TestRun(settings: settings(test, ["BTC/USDT"], [provider], #", "delayed": true"#).replacingOccurrences(of: "live", with: "behind").replacingOccurrences(of: "BTC/USDT", with: "BTC/USDC"))
        #expect(delayed.run(TickEntry.self) == .succeeded, "\(delayed.text)")
        let line = try test.texts("SELECT t.price, p.clock_ms - t.ts_ms FROM trades t JOIN pairs p ON p.id = t.pair_id WHERE p.symbol = 'BTC/USDC'")
        #expect(line.count == 1 && line[0].hasPrefix("2.5 "))
        #expect(try #require(Int64(line[0].dropFirst(4))) > 0)
    }

    @Test func aTokenIsSentAndNeverShown() throws {
        let test = try TestExchange(.disk, statements: .arena, at: noon)
        let server = try LoopbackServer { request in
            request.headers["authorization"] == "Bearer sesame-sesame" ? .respond(500, "sesame-sesame") : .respond(401)
        }
        defer { server.close() }
        let run = TestRun(settings: settings(test, ["BTC/USD"], [http(server, "one", #", "token": "sesame-sesame""#)], #", "attempts": 1"#))
        #expect(run.run(TickEntry.self) == .retry)
        #expect(run.text.contains("HTTP 500"))
        #expect(!(run.text + run.log.map(\.text).joined()).contains("sesame"))
    }

    /// Fresh prices for those who trade: at most 25 pairs, those that agents hold first.
    @Test func beforeAWindowPricesAreAskedForAnew() throws {
        let test = try TestExchange(.disk, statements: .arena, at: noon)
        let pairs = (1 ... 30).map { "C\($0)/USD" }
        let server = try Self.provider(Dictionary(uniqueKeysWithValues: pairs.map { ($0, "10") }), at: Self.now)
        let fresh = try Self.provider(Dictionary(uniqueKeysWithValues: pairs.map { ($0, "11") }), at: Self.now)
        defer { server.close(); fresh.close() }
        let tick = TestRun(settings: settings(test, pairs, [http(server)], #", "spacing": "0s""#))
        #expect(tick.run(TickEntry.self) == .succeeded)
        let window = TestRun(settings: #"""
            {"database": "\#(test.database)", "simulation": "live", "agents": {"dice": {"strategy": "random"}, "rest": {}}, "prefetch_guard": "30s",
             "quotes": {"providers": [\#(http(fresh))], "spacing": "0s"}}
            """#)
        #expect(window.run(TradeWindowEntry.self) == .succeeded, "\(window.text)")
        #expect(fresh.requests.map { $0.parameter("symbols")?.split(separator: ",").count } == [8, 8, 8, 1])
        #expect(try test.number("SELECT count(*) FROM trades WHERE price = '11'") == 25)
        // Windows are half an hour there; this one is over.
        #expect(window.run(TradeWindowEntry.self) == .nothingToDo)
        #expect(window.text.hasPrefix("the next window of 'live' opens at "))
        #expect(fresh.requests.count == 4)
        let length = try test.number("SELECT opens_ms FROM simulation_windows")
        #expect(length % 1_800_000 == 0)
    }

    /// Whatever the window's own settings say of it.
    @Test func agentsOfADelayedMarketSeeNothingNewer() throws {
        let test = try TestExchange(.disk, statements: .arena, at: noon)
        let server = try Self.provider(["BTC/USD": "64000"], at: Self.now)
        let hasty = try LoopbackServer { _ in .json(#"{"quotes": [{"symbol": "BTC/USD", "price": "1", "ts_ms": \#(ExchangeClock.system.now())}]}"#) }
        defer { server.close(); hasty.close() }
        let tick = TestRun(settings: settings(test, ["BTC/USD"], [http(server)], #", "delayed": true"#))
        #expect(tick.run(TickEntry.self) == .succeeded, "\(tick.text)")
        let window = TestRun(settings: #"""
            {"database": "\#(test.database)", "simulation": "live", "agents": {"rest": {}}, "prefetch_guard": "30s",
             "quotes": {"providers": [\#(http(hasty)), \#(http(server, "two"))], "spacing": "0s"}}
            """#)
        #expect(window.run(TradeWindowEntry.self) == .succeeded, "\(window.text)")
        let latest = ExchangeClock.system.now() - 1_800_000
        #expect(window.log.contains { $0.text.hasSuffix("later than the market's clock") })
        let asked = try (hasty.requests + server.requests.dropFirst()).map { try #require($0.parameter("at").flatMap { Int64($0) }) }
        #expect(asked.count == 2)
        #expect(asked.allSatisfy { $0 <= latest })
        #expect(try test.number("SELECT clock_ms FROM simulation_windows") <= latest)
        #expect(try test.texts("SELECT DISTINCT price FROM trades") == ["64000"])
    }

    @Test func theDoctorAsksEachProvider() throws {
        let test = try TestExchange(.disk, statements: .arena, at: noon)
        let now = ExchangeClock.system.now()
        let well = try Self.provider(["BTC/USD": "64000"], at: { now - 1_000 })
        let ill = try LoopbackServer { _ in .respond(403) }
        defer { well.close(); ill.close() }
        let found = test.doctor(
            TickEntry.self, at: now, #""mode": "realtime", "quotes": {"pairs": ["BTC/USD"], "attempts": 1, "providers": [\#(http(well)), \#(http(ill, "two"))]}"#)
        #expect(found.contains { $0.hasPrefix("ok provider one: BTC/USD is at 64000, of ") })
        #expect(found.contains { $0.hasPrefix("error provider two: quotes of 1 pair at http://127.0.0.1:") && $0.hasSuffix("HTTP 403") })
    }

    @Test(arguments: [
        ("{}", "quotes.pairs: mode = \"realtime\" needs pairs"), (#"{"pairs": ["BTC"]}"#, #"quotes.pairs: "BTC" is no pair"#),
        (#"{"pairs": ["A/B", "A/B"]}"#, "quotes.pairs: one is there twice"), (#"{"pairs": ["A/B"]}"#, "quotes.providers: mode = \"realtime\" needs one"),
        (#"{"pairs": ["A/B"], "providers": [{}]}"#, "quotes.providers[0].url: there is none"),
        (#"{"pairs": ["A/B"], "providers": [{"url": "http://a.example", "token": "x"}]}"#, "quotes.providers[0].url: a token does not go over plain http"),
        (#"{"pairs": ["A/B"], "providers": [{"url": "https://a"}, {"url": "https://b"}]}"#, #"quotes.providers[1].name: there are two called "http""#),
        (#"{"pairs": ["A/B"], "guard": "0s", "providers": [{"url": "https://a"}]}"#, "quotes.guard: 0s leaves no time"),
    ])
    func settingsThatCannotBeAreRefused(_ quotes: String, _ sentence: String) {
        let said = TestRun(settings: #"{"mode": "realtime", "quotes": \#(quotes)}"#).validate(TickEntry.self)
        #expect(said?.hasPrefix(sentence) == true, "\(said ?? "accepted")")
    }
}
