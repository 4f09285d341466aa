import ExchangeKit
import JobKit

/// One table of `agents`.
struct AgentSettings: Codable, Hashable, Sendable {
    var strategy = Strategy.hold
    /// With strategy = "model": the model's name at the endpoint; "": that of `model.name`.
    var model = ""
    /// … and what it is told about how to trade.
    var instructions = ""

    init(_ strategy: Strategy) { self.strategy = strategy }

    enum CodingKeys: CodingKey { case strategy, model, instructions }

    init(from decoder: any Decoder) throws {
        let keys = try decoder.container(keyedBy: CodingKeys.self)
        strategy = try keys.decodeIfPresent(Strategy.self, forKey: .strategy) ?? .hold
        model = try keys.decodeIfPresent(String.self, forKey: .model) ?? ""
        instructions = try keys.decodeIfPresent(String.self, forKey: .instructions) ?? ""
    }

    static let standard: [String: AgentSettings] = [
        "holder": AgentSettings(.hold), "follower": AgentSettings(.momentum), "contrarian": AgentSettings(.reversion),
        "gambler": AgentSettings(.random),
    ]
}
