import ExchangeKit
import ExchangeTestKit
import Foundation
import JobKit
import OutsideTestKit
import Testing

@testable import Arena
@testable import ExchangeKit

/// The pure parts: spacing, spending, what an answer means.
@Suite struct ModelRuleTests {
    @Test func spacingIsTheMinimumOrWhatTheTimeAllows() {
        let fixed = RequestSpacing(minimum: 2_000, isAutomatic: false)
        #expect(fixed.between(requests: 10, remaining: 1_000, longest: 500) == 2_000)
        let automatic = RequestSpacing(minimum: 0, isAutomatic: true)
        #expect(automatic.between(requests: 11, remaining: 100_000, longest: 30_000) == 6_000)
        #expect(automatic.between(requests: 1, remaining: 100_000, longest: 30_000) == 0)
        #expect(automatic.between(requests: 11, remaining: 20_000, longest: 30_000) == 0)
        #expect(automatic.between(requests: 3, remaining: 1_000_000, longest: 0) == 10_000)
        #expect(automatic.between(requests: 7, remaining: nil, longest: 30_000) == 4_000)
        #expect(RequestSpacing(minimum: 7_000, isAutomatic: true).between(requests: 11, remaining: 100_000, longest: 30_000) == 7_000)
    }

    @Test func whatMayExceedTheCapIsNotSent() throws {
        var meter = SpendingMeter(cap: .one, priceIn: Amount(1), priceOut: Amount(10))
        let most = try meter.most(bytes: 100_000, maxTokens: 50_000, attempts: 1)
        #expect(most.description == "0.6")
        #expect(try meter.reserve(most))
        #expect(try !meter.reserve(most))
        #expect((meter.spent.description, meter.calls) == ("0.6", 1))
        try meter.settle(most, cost: meter.cost(tokensIn: 20_000, tokensOut: 1_000))
        #expect(meter.spent.description == "0.03")
        #expect(try meter.reserve(most))
    }

    @Test(arguments: [
        (#"{"orders": [{"pair": "BTC/USD", "side": "buy", "amount": "0.01"}], "note": "up"}"#, "buy 0.01 BTC/USD|up"),
        ("```json\n{\"orders\": [{\"pair\": \"BTC/USD\", \"side\": \"sell\", \"amount\": 0.10}]}\n```", "sell 0.1 BTC/USD|"),
        (#"{"orders": [], "note": "waits"}"#, "|waits"),
        (#"{"orders": [{"pair": "BTC/USD", "side": "short", "amount": "1"}, {"pair": "BTC/USD", "side": "buy", "amount": "1e3"}, 7]}"#, "|3 orders not understood. "),
        ("I would buy.", "|its answer is no JSON object: I would buy."), (#"{"buy": 1}"#, #"|its answer has no orders: {"buy": 1}"#),
    ])
    func anAnswerIsADecisionOrSaysThatItIsNone(_ content: String, _ expected: String) {
        let decision = ModelTalk.decision(content, by: "m")
        let orders = decision.orders.map { "\($0.side.rawValue) \($0.amount) \($0.pair)" }.joined(separator: ", ")
        #expect("\(orders)|\(decision.note)" == expected)
        #expect(decision.by == "m")
    }
}

/// Agents that ask a model, against an endpoint on loopback that speaks chat completions.
@Suite struct ModelTests {
    private static func answer(_ content: String, tokensIn: Int = 1_000, tokensOut: Int = 100) -> LoopbackServer.Reply {
        let text = JSON.string(content).text
        return .json(#"""
            {"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "choices": [{"index": 0, "finish_reason": "stop",
             "message": {"role": "assistant", "content": \#(text)}}], "usage": {"prompt_tokens": \#(tokensIn), "completion_tokens": \#(tokensOut), "total_tokens": 0}}
            """#)
    }
    private static let buys = answer(#"{"orders": [{"pair": "BTC/USD", "side": "buy", "amount": "0.5"}], "note": "believes in it"}"#)

    /// A market of one pair, after one tick.
    private func market() throws -> TestExchange {
        let test = try TestExchange(.disk, statements: .arena, at: noon)
        let tick = TestRun(settings: #"{"database": "\#(test.database)", "accounts": 0, "pairs": {"BTC/USD": "64000"}}"#)
        #expect(tick.run(TickEntry.self) == .succeeded)
        return test
    }

    private func window(_ test: TestExchange, _ server: LoopbackServer, agents: String = #""mind": {"strategy": "model"}"#, _ more: String = "") -> TestRun {
        TestRun(settings: #"""
            {"database": "\#(test.database)", "agents": {\#(agents)},
             "model": {"url": "\#(server.url)/v1", "name": "small", "price_in": "1", "price_out": "10", "attempts": 1\#(more)}}
            """#)
    }

    @Test func aModelIsAskedAndItsOrdersAreExecuted() throws {
        let test = try market()
        let server = try LoopbackServer { $0.path == "/v1/chat/completions" ? Self.buys : .respond(404) }
        defer { server.close() }
        // What the market does not know yet.
        let clock = try test.number("SELECT clock_ms FROM simulations")
        try test.trade(try test.number("SELECT id FROM pairs"), 900_000, at: clock + 1, "424242.42", "1")
        let run = window(test, server, agents: #""mind": {"strategy": "model", "instructions": "Be bold."}"#, #", "key": "sk-secret-1""#)
        #expect(run.run(TradeWindowEntry.self) == .succeeded, "\(run.text)")
        let request = try #require(server.requests.first)
        #expect(request.headers["authorization"] == "Bearer sk-secret-1")
        let body = try JSON(parsing: request.text)
        #expect(body["model"] == "small")
        #expect(body["max_tokens"]?.int64Value == 500)
        let messages = try #require(body["messages"]?.arrayValue)
        #expect(messages.map { $0["role"]?.stringValue } == ["system", "user"])
        #expect(messages[0]["content"]?.stringValue?.hasSuffix("Be bold.") == true)
        let state = try JSON(parsing: try #require(messages[1]["content"]?.stringValue))
        #expect(state["cash"]?["USD"] == "100000")
        #expect(state["pairs"]?.arrayValue?.first?["pair"] == "BTC/USD")
        #expect(!request.text.contains("424242"))
        #expect(run.text.contains("1 agent decided: 1 traded, 1 order filled"))
        #expect(try test.texts("SELECT available FROM wallets WHERE owner = 'agent:main:mind' AND currency = 'BTC'") == ["0.5"])
        // 1,000 tokens in at 1, 100 out at 10 for a million.
        #expect(try test.texts("SELECT spent, calls FROM simulation_spending") == ["0.002 1"])
        #expect(!(run.text + run.log.map(\.text).joined()).contains("sk-secret"))
        #expect(try test.differences() == [])
        // The window is traded: nobody is asked again.
        #expect(run.run(TradeWindowEntry.self) == .nothingToDo)
        #expect(server.requests.count == 1)
    }

    /// As many digits as a model likes to write.
    @Test func anOrderBeyondEveryAmountIsRefusedAndTheWindowEnds() throws {
        let test = try market()
        let server = try LoopbackServer { _ in
            Self.answer(#"{"orders": [{"pair": "BTC/USD", "side": "buy", "amount": "10000000000000000"}, {"pair": "BTC/USD", "side": "buy", "amount": "0.5"}]}"#)
        }
        defer { server.close() }
        let run = window(test, server)
        #expect(run.run(TradeWindowEntry.self) == .succeeded, "\(run.text)")
        #expect(run.text.contains("1 agent decided: 1 traded, 1 order filled, 1 refused"))
        #expect(run.log.contains { $0.text.hasSuffix("is refused: the amount does not fit into 38 digits with 18 after the point") })
        #expect(try test.texts("SELECT state FROM simulation_windows") == ["traded"])
        #expect(try test.texts("SELECT state FROM simulation_decisions") == ["done"])
        #expect(try test.texts("SELECT available FROM wallets WHERE owner = 'agent:main:mind' AND currency = 'BTC'") == ["0.5"])
        #expect(try test.differences() == [])
    }

    /// What was asked together was paid for together.
    @Test(.enabled(if: TestExchange.dialect == .sqlite)) func anAnswerThatCannotBeTakenTakesNoOtherAway() throws {
        let test = try market()
        let server = try LoopbackServer { _ in Self.buys }
        defer { server.close() }
        try test.connection.execute("""
            CREATE TRIGGER broken BEFORE INSERT ON simulation_decisions WHEN NEW.agent = 'a' BEGIN SELECT raise(ABORT, 'broken'); END
            """)
        let run = window(test, server, agents: #""a": {"strategy": "model"}, "b": {"strategy": "model"}"#, #", "in_flight": 2"#)
        #expect(run.run(TradeWindowEntry.self) != .succeeded)
        #expect(run.text.contains("broken"))
        #expect(try test.texts("SELECT agent FROM simulation_decisions") == ["b"])
        #expect(try test.texts("SELECT spent, calls FROM simulation_spending") == ["0.004 2"])
        try test.connection.execute("DROP TRIGGER broken")
        #expect(run.run(TradeWindowEntry.self) == .succeeded, "\(run.text)")
        #expect(server.requests.count == 3)
    }

    @Test(arguments: [
        "", #", "usage": {"prompt_tokens": 0, "completion_tokens": 0}"#, #", "usage": {"prompt_tokens": -1000000, "completion_tokens": 5}"#,
        #", "usage": {"prompt_tokens": 5, "completion_tokens": -1000000}"#,
    ])
    func theSpendingCapHoldsWhateverIsAnswered(_ usage: String) throws {
        let test = try market()
        // An endpoint that does not say what it used, or says what cannot be, is taken to have used all.
        let server = try LoopbackServer { _ in .json(#"{"choices": [{"message": {"content": "{\"orders\": []}"}}]\#(usage)}"#) }
        defer { server.close() }
        let agents = (1 ... 6).map { #""a\#($0)": {"strategy": "model"}"# }.joined(separator: ", ")
        // Of one request: 500 tokens out at 10 for a million are 0.005, its bytes less than 0.005.
        let run = window(test, server, agents: agents, #", "max_spend": "0.02", "in_flight": 1"#)
        #expect(run.run(TradeWindowEntry.self) == .succeeded, "\(run.text)")
        let sent = server.requests.count
        #expect((2 ... 3).contains(sent))
        #expect(run.log.count { $0.text.contains("not asked, the day's spending cap is reached") } == 6 - sent)
        let spent = try #require(try test.texts("SELECT spent FROM simulation_spending").first)
        #expect(try Amount(parsing: spent) <= Amount(parsing: "0.02"))
        #expect(run.samples.contains { $0.name == "arena_model_spent_today" })
    }

    @Test(arguments: [
        (LoopbackServer.Reply.respond(500), "HTTP 500", true), (.drop, "at http://", true), (.json("{}"), "the answer is not understood", true),
        (.json(#"{"error": {"message": "Incorrect API key provided: sk-secret-1", "code": "invalid_api_key"}}"#, status: 401), "HTTP 401: Incorrect API key provided: •••", false),
        (.json(#"{"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}"#, status: 429), "HTTP 429: You exceeded", false),
        (.json(#"{"error": {"message": "no such model"}}"#, status: 404), "HTTP 404: no such model", false),
    ])
    func withoutAnAnswerTheOthersTrade(_ reply: LoopbackServer.Reply, _ sentence: String, _ mayHaveCost: Bool) throws {
        let test = try market()
        let server = try LoopbackServer { _ in reply }
        defer { server.close() }
        let run = window(test, server, agents: #""mind": {"strategy": "model"}, "holder": {"strategy": "hold"}"#, #", "key": "sk-secret-1""#)
        #expect(run.run(TradeWindowEntry.self) == .succeeded, "\(run.text)")
        #expect(run.text.contains("1 agent decided: 1 traded"))
        let lines = run.log.map(\.text)
        #expect(lines.contains { $0.hasPrefix("mind: decision by small at http://127.0.0.1:") && $0.contains(sentence) && $0.hasSuffix("it does not trade in this window") }, "\(lines)")
        #expect(!lines.joined().contains("sk-secret"))
        // What was refused has cost nothing; what was lost may have.
        let spent = try #require(try test.texts("SELECT spent FROM simulation_spending").first)
        #expect(try Amount(parsing: spent).isPositive == mayHaveCost)
    }

    @Test func eachAgentHasItsModelUnlessThereIsOneForAll() throws {
        let agents = #""a": {"strategy": "model"}, "b": {"strategy": "model", "model": "large"}"#
        for (more, models) in [("", ["large", "small"]), (#", "for_all": "tiny""#, ["tiny", "tiny"])] {
            let test = try market()
            let server = try LoopbackServer { _ in Self.answer(#"{"orders": []}"#) }
            defer { server.close() }
            #expect(window(test, server, agents: agents, more).run(TradeWindowEntry.self) == .succeeded)
            #expect(try server.requests.map { try JSON(parsing: $0.text)["model"]?.stringValue ?? "" }.sorted() == models)
        }
    }

    /// No more at a time than is allowed, and never sooner than the spacing.
    @Test func requestsAreSpacedAndFewAtATime() throws {
        let test = try market()
        let server = try LoopbackServer { _ in Self.answer(#"{"orders": []}"#) }
        defer { server.close() }
        let agents = (1 ... 4).map { #""a\#($0)": {"strategy": "model"}"# }.joined(separator: ", ")
        let began = ExchangeClock.system.elapsed()
        #expect(window(test, server, agents: agents, #", "spacing": "60ms", "in_flight": 1"#).run(TradeWindowEntry.self) == .succeeded)
        #expect(server.requests.count == 4)
        #expect(server.connections == 1)
        #expect(ExchangeClock.system.elapsed() - began >= 179)
    }

    @Test func theDoctorLooksAtSpendingAndModels() throws {
        let test = try market()
        let server = try LoopbackServer { $0.path == "/v1/models" ? .json(#"{"data": [{"id": "small"}]}"#) : .respond(404) }
        defer { server.close() }
        func found(_ model: String) -> [String] {
            test.doctor(TradeWindowEntry.self, at: noon, #""agents": {"mind": {"strategy": "model"}}, "model": {"url": "\#(server.url)/v1", "name": "\#(model)", "price_in": "1"}"#)
        }
        #expect(found("small").suffix(2) == ["ok spending: 0 of 1 spent today in 0 requests", "ok model: \(server.url) answers: small"])
        #expect(found("big").last == "error model: \(server.url) has no model big")
    }

    @Test(arguments: [
        (#"{}"#, #"agents.mind: strategy = "model" needs model.url; asking models is off by default"#),
        (#"{"url": "https://a"}"#, "agents.mind.model: it names none, and neither does model.name"),
        (#"{"url": "http://a.example", "name": "m", "key": "k"}"#, "model.url: a key does not go over plain http to another machine; write https"),
        (#"{"url": "https://a", "name": "m", "max_spend": "-1"}"#, "model.max_spend: -1 is below 0"),
        (#"{"url": "ftp://a", "name": "m"}"#, #"model.url: this is no address; write "https://" and a host"#),
    ])
    func settingsThatCannotBeAreRefused(_ model: String, _ sentence: String) {
        let run = TestRun(settings: #"{"agents": {"mind": {"strategy": "model"}}, "model": \#(model)}"#)
        #expect(run.validate(TradeWindowEntry.self) == sentence)
    }
}
