import ExchangeKit
import JobKit
import OutsideKit

/// A question to a model, and how its answer is read: OpenAI's chat completions.
struct ChatCompletion: Hashable, Sendable {
    var model: String
    var system: String
    var user: String
    var maxTokens: Int

    struct Answer: Hashable, Sendable {
        var content: String
        /// nil: the endpoint does not say.
        var tokensIn: Int64?
        var tokensOut: Int64?
    }

    var body: [UInt8] {
        func message(_ role: String, _ text: String) -> JSON { .object(["role": .string(role), "content": .string(text)]) }
        return JSON.object(JSONObject([
            ("model", .string(model)), ("messages", .array([message("system", system), message("user", user)])),
            ("max_tokens", .integer(maxTokens)), ("response_format", .object(["type": "json_object"])),
        ])).bytes
    }

    /// - Throws: `CallError`.
    func send(_ http: HTTPClient, _ attempt: CallAttempt) throws -> Answer {
        // Asked twice it costs twice, and does no other harm.
        let request = HTTPRequest(
            "POST", "/chat/completions", headers: [("Content-Type", "application/json")], body: body, isRepeatable: true)
        return try Self.read(try http.send(request, attempt), http.redactor)
    }

    static func read(_ response: HTTPResponse, _ redactor: Redactor) throws(CallError) -> Answer {
        if var error = response.error {
            let said = (try? response.json())?["error"]
            // No money left is no matter of waiting, though it comes as 429.
            if said?["code"]?.stringValue == "insufficient_quota" { error.kind = .denied }
            if let text = said?["message"]?.stringValue { error.text += ": " + redactor.redact(String(text.prefix(200))) }
            throw error
        }
        let json = try response.json()
        guard let content = json["choices"]?.arrayValue?.first?["message"]?["content"]?.stringValue else { throw response.notUnderstood }
        return Answer(
            content: content, tokensIn: json["usage"]?["prompt_tokens"]?.int64Value, tokensOut: json["usage"]?["completion_tokens"]?.int64Value)
    }
}

/// What a model is told, and what it may say.
enum ModelTalk {
    private static let mostOrders = 20

    static func question(_ question: AgentQuestion, _ view: MarketView, _ fees: FeeSchedule, model: String, maxTokens: Int) -> ChatCompletion {
        let own = question.settings.instructions
        return ChatCompletion(
            model: model, system: rules + (own.isEmpty ? "" : "\n" + own), user: state(question, view, fees).text, maxTokens: maxTokens)
    }

    private static let rules = """
        You are a trader in a simulated market. You get its present state as JSON: the time, what you have, the fee, and of each \
        pair its past prices at even steps, the last one being the present price. Answer with one JSON object and nothing else: \
        {"orders": [{"pair": "BTC/USD", "side": "buy", "amount": "0.01"}], "note": "why, in one sentence"}. side is buy or sell; \
        amount is in the pair's first currency, a decimal as text. Orders are executed at once at the present price. You cannot \
        spend or sell more than you have. No orders is an answer, too.
        """

    private static func state(_ question: AgentQuestion, _ view: MarketView, _ fees: FeeSchedule) -> JSON {
        let portfolio = question.portfolio
        return .object(JSONObject([
            ("time", .string(utcText(view.clock / 1_000 * 1_000) + " UTC")),
            ("cash", .object(JSONObject([(portfolio.currency, .string(portfolio.cash.description))]))),
            ("holdings", .object(JSONObject(portfolio.holdings.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value.description)) }))),
            ("fee", .object(["basis_points": .integer(fees.basisPoints), "minimum": .string(fees.minimum.description)])),
            ("step_minutes", .integer(view.step / 60_000)),
            ("pairs", .array(view.pairs.map { pair in
                .object([
                    "pair": .string(pair.symbol.text), "bid": .string(pair.bid.description), "ask": .string(pair.ask.description),
                    "prices": .array(pair.history.map { .string($0.description) }),
                ])
            })),
        ]))
    }

    /// An answer that is no decision is one without orders, which says so.
    static func decision(_ content: String, by model: String) -> AgentDecision {
        var text = content[...]
        // Some put it into a fence all the same.
        if let open = text.firstIndex(of: "{"), let close = text.lastIndex(of: "}"), open < close { text = text[open ... close] }
        guard let json = (try? JSON(parsing: String(text)))?.objectValue else {
            return AgentDecision(by: model, note: "its answer is no JSON object: \(content.prefix(80))")
        }
        guard let items = json["orders"]?.arrayValue else {
            return AgentDecision(by: model, note: "its answer has no orders: \(content.prefix(80))")
        }
        let orders = items.prefix(mostOrders).compactMap { item -> AgentOrder? in
            guard let pair = item["pair"]?.stringValue, let side = item["side"]?.stringValue.flatMap(AgentOrder.Side.init(rawValue:)),
                let amount = item["amount"]?.amount
            else { return nil }
            return AgentOrder(pair: pair, side: side, amount: amount)
        }
        let lost = items.count - orders.count
        let note = String((json["note"]?.stringValue ?? "").prefix(500))
        return AgentDecision(by: model, orders: orders, note: lost == 0 ? note : "\(counted(lost, "order")) not understood. \(note)")
    }
}
