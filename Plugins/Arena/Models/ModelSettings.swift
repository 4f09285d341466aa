import ExchangeKit
import JobCore
import JobKit
import OutsideKit

/// An endpoint that speaks OpenAI's chat completions. Off until it has a `url` and an agent asks for it.
struct ModelSettings: Codable, Hashable, Sendable {
    /// Up to the path before /chat/completions: "https://api.openai.com/v1".
    var url = ""
    var key = ""
    /// Of agents that name none.
    var name = ""
    /// One model for all, whatever agents name.
    var forAll = ""
    var maxTokens = 500
    var spacing = Span.zero
    var autoSpacing = false
    var inFlight = 2
    var timeLimit = Span.seconds(30)
    var attempts = 2
    /// For a million tokens.
    var priceIn = Amount.zero
    var priceOut = Amount.zero
    /// In a day (UTC).
    var maxSpend = Amount.one

    init() {}

    static let fields = [
        SettingsField("model.url", "An OpenAI-compatible endpoint, up to the path before /chat/completions; empty: off."),
        SettingsField("model.key", "Its key: \"file:\" and a path, or \"env:\" and the name of a variable; empty: none."),
        SettingsField("model.name", "The model of agents that name none."),
        SettingsField("model.for_all", "One model for all agents, whatever they name; empty: each its own."),
        SettingsField("model.max_tokens", "The longest answer.", range: 16 ... 100_000),
        SettingsField("model.spacing", "At least so long from one request to the next."),
        SettingsField("model.auto_spacing", "Requests of a window are spread over the time that the run has."),
        SettingsField("model.in_flight", "Requests at the same time.", range: 1 ... 50),
        SettingsField("model.time_limit", "The longest one request may take."),
        SettingsField("model.attempts", "Of a request, the first included.", range: 1 ... 10),
        SettingsField("model.price_in", "What a million tokens cost that are sent …"),
        SettingsField("model.price_out", "… and that are answered, in the currency of `model.max_spend`."),
        SettingsField("model.max_spend", "What requests may cost in a day (UTC) for this simulation; what may exceed it is not sent."),
    ]

    func validate(agents: [String: AgentSettings]) throws {
        for (agent, settings) in agents.sorted(by: { $0.key < $1.key }) where settings.strategy == .model {
            guard !url.isEmpty else {
                throw JobFailure.badSettings("agents.\(agent): strategy = \"model\" needs model.url; asking models is off by default")
            }
            guard !model(of: settings).isEmpty else {
                throw JobFailure.badSettings("agents.\(agent).model: it names none, and neither does model.name")
            }
        }
        try AmountRules.notNegative(["model.price_in": priceIn, "model.price_out": priceOut, "model.max_spend": maxSpend])
        guard !url.isEmpty else { return }
        try HTTPClient.origin(of: url, key: "model.url")
        if timeLimit == .zero { throw JobFailure.badSettings("model.time_limit: 0s leaves no time for an answer") }
        guard !key.isEmpty else { return }
        try Secret.validate(key, key: "model.key")
        guard HTTPClient.isProtected(url) else {
            throw JobFailure.badSettings("model.url: a key does not go over plain http to another machine; write https")
        }
    }

    func model(of agent: AgentSettings) -> String {
        if !forAll.isEmpty { return forAll }
        return agent.model.isEmpty ? name : agent.model
    }

    func client() throws -> HTTPClient {
        let secret = key.isEmpty ? nil : try Secret(from: key, key: "model.key")
        return try HTTPClient(
            base: url, key: "model.url", headers: secret.map { [("Authorization", "Bearer " + $0.reveal)] } ?? [],
            secrets: secret.map { [$0] } ?? [], largest: 1 << 20, connections: inFlight)
    }

    /// - Parameters:
    ///   - requests: how many are to be sent.
    ///   - remaining: milliseconds that the run has; nil: no limit.
    func peer(requests: Int, remaining: Int64?) -> Peer {
        let gap = RequestSpacing(minimum: spacing.milliseconds, isAutomatic: autoSpacing)
            .between(requests: requests, remaining: remaining, longest: timeLimit.milliseconds)
        return Peer("model", CallPolicy(
            retry: RetryPolicy(maxAttempts: attempts, initial: .seconds(1), max: .seconds(5)),
            rate: gap == 0 ? .none : RateLimit(calls: 1, per: .milliseconds(gap), burst: 1),
            timeLimit: timeLimit.duration, inFlight: inFlight))
    }
}

/// How long to wait from one request to the next.
struct RequestSpacing: Hashable, Sendable {
    /// Milliseconds.
    var minimum: Int64
    var isAutomatic: Bool
    /// Without a limit of the run, requests are spread over so much.
    static let unlimited: Int64 = 60_000
    /// Automatic spacing is never longer.
    static let longest: Int64 = 10_000

    /// Milliseconds. Automatic: so that the last request begins early enough to be answered, with a
    /// tenth of the time to spare.
    ///
    /// - Parameter longest: what one request may take.
    func between(requests: Int, remaining: Int64?, longest: Int64) -> Int64 {
        guard isAutomatic, requests > 1 else { return minimum }
        let time = (remaining ?? Self.unlimited) / 10 * 9 - longest
        return max(minimum, min(Self.longest, max(0, time) / Int64(requests - 1)))
    }
}
