import ExchangeKit
import Foundation
import JobKit
import OutsideKit

/// A chain's settings with what follows from its name.
struct ChainPlan: Sendable {
    var name: String
    var adapter: ChainAdapter
    /// nil: the table `chains` says it, and `defaultConfirmations` where it does not.
    var confirmations: Int64?
    var defaultConfirmations: Int64
    var confirmOn: ConfirmOn
    var watch: Int64?
    var currency: String
    var decimals: Int
    /// By contract in the chain's one form.
    var tokens: [String: TokenSettings]
    var startBlock: Int64?
    var range: Int64
    var url: String
    /// How we say who we are; as the settings have it.
    var user: String
    var password: String
    var token: String
    /// Of Ethereum's relatives.
    var chainID: Int64?
    /// Hash of the first block; nil: whatever it is when the chain is first looked at.
    var genesis: String?
    var batch: Int
    var calls: CallSettings

    /// What is known of a chain by its name.
    private struct Known {
        var adapter: ChainAdapter
        var confirmations: Int64
        var currency: String
        var decimals: Int
        var chainID: Int64?
        var genesis: String?
    }
    private static let known: [String: Known] = [
        "paper": Known(adapter: .paper, confirmations: 12, currency: "ETH", decimals: 18),
        "bitcoin": Known(
            adapter: .bitcoin, confirmations: 6, currency: "BTC", decimals: 8,
            genesis: "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"),
        "solana": Known(
            adapter: .solana, confirmations: 32, currency: "SOL", decimals: 9,
            genesis: "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d"),
        "ethereum": Known(
            adapter: .ethereum, confirmations: 12, currency: "ETH", decimals: 18, chainID: 1,
            genesis: "0xd4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3"),
        "bsc": Known(
            adapter: .ethereum, confirmations: 15, currency: "BNB", decimals: 18, chainID: 56,
            genesis: "0x0d21840abff46b96c84b2ac9e10e4f5cdaeb5693cb665db62a2f3b02d2d57b5b"),
        "polygon": Known(
            adapter: .ethereum, confirmations: 128, currency: "POL", decimals: 18, chainID: 137,
            genesis: "0xa9c28ce2141b56c474f1dc504bee9b01eb1bd7d1a507580d5519d4437a97de1b"),
    ]

    /// - Throws: `JobFailure.badSettings` with the place and what is allowed.
    init(name: String, _ settings: ChainSettings) throws {
        let known = Self.known[name]
        guard let adapter = settings.adapter ?? known?.adapter else {
            let all = ChainAdapter.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: ", ")
            throw JobFailure.badSettings("chains.\(name): there is no adapter for this chain; name one: adapter = \(all)")
        }
        self.name = name
        self.adapter = adapter
        confirmations = settings.confirmations.map(Int64.init)
        defaultConfirmations = known?.confirmations ?? 12
        confirmOn = settings.confirmOn
        watch = settings.watch.map(Int64.init)
        decimals = settings.decimals ?? known?.decimals ?? 18
        startBlock = settings.startBlock
        range = Int64(settings.range)
        currency = settings.currency ?? known?.currency ?? ""
        tokens = [:]
        url = settings.url
        (user, password, token) = (settings.user, settings.password, settings.token)
        // An adapter of one's own choice: another network than the one of that name.
        let isKnown = settings.adapter == nil || settings.adapter == known?.adapter
        chainID = settings.chainID ?? (isKnown ? known?.chainID : nil)
        genesis = (settings.genesis ?? (isKnown && settings.chainID == nil ? known?.genesis : nil))
        if adapter != .solana { genesis = genesis?.lowercased() }
        batch = settings.batch
        calls = CallSettings()
        calls.retry.maxAttempts = settings.attempts
        calls.timeLimit = settings.timeLimit
        calls.rate.calls = settings.requestsPerMinute
        try checkRanges()
        try addTokens(settings.tokens)
        if adapter != .paper { try checkConnection() }
    }

    private func refuse(_ key: String, _ text: String) -> JobFailure { .badSettings("chains.\(name).\(key): \(text)") }

    private func checkRanges() throws {
        guard !currency.isEmpty else { throw refuse("currency", "write the currency of the chain's own coin, \"ETH\"") }
        let numbers: [(String, Int64?, ClosedRange<Int64>)] = [
            ("confirmations", confirmations, 1 ... 100_000), ("watch", watch, 1 ... 10_000_000), ("range", range, 1 ... 10_000),
            ("start_block", startBlock, 0 ... 1_000_000_000_000), ("decimals", Int64(decimals), 0 ... 77),
            ("batch", Int64(batch), 1 ... 1_000), ("chain_id", chainID, 1 ... Int64.max),
            ("attempts", Int64(calls.retry.maxAttempts), 1 ... 100),
            ("requests_per_minute", Int64(calls.rate.calls), 0 ... 1_000_000),
        ]
        for (key, value, allowed) in numbers {
            guard let value, !allowed.contains(value) else { continue }
            throw refuse(key, "\(value) is out of range (\(allowed.lowerBound) to \(allowed.upperBound))")
        }
    }

    private mutating func addTokens(_ list: [TokenSettings]) throws {
        for token in list {
            let contract = canonical(token.contract)
            guard !contract.isEmpty, !token.currency.isEmpty else {
                let example = "{ contract = \"0x…\", currency = \"USDT\", decimals = 6 }"
                throw refuse("tokens", "each needs a contract and a currency: \(example)")
            }
            guard (0 ... 77).contains(token.decimals) else {
                throw refuse("tokens", "\(token.contract): decimals \(token.decimals) is out of range (0 to 77)")
            }
            guard tokens.updateValue(token, forKey: contract) == nil else {
                throw refuse("tokens", "\(token.contract) is there twice")
            }
        }
    }

    private func checkConnection() throws {
        guard !url.isEmpty else { throw refuse("url", "write the address of the node, \"https://host/path\"") }
        try HTTPClient.origin(of: url, key: "chains.\(name).url")
        if adapter == .ethereum, chainID == nil { throw refuse("chain_id", "write the id of the chain; Ethereum's is 1") }
        if adapter == .bitcoin, !tokens.isEmpty { throw refuse("tokens", "Bitcoin has none") }
        if adapter == .bitcoin && confirmOn != .depth || adapter == .solana && confirmOn == .safe {
            throw refuse("confirm_on", "\(adapter.rawValue) does not know \"\(confirmOn.rawValue)\"")
        }
        if calls.timeLimit == .zero { throw refuse("time_limit", "0s leaves no time for an answer") }
        for (key, value) in [("password", password), ("token", token)] where !value.isEmpty {
            try Secret.validate(value, key: "chains.\(name).\(key)")
        }
        if !(user + password + token).isEmpty, !HTTPClient.isProtected(url) {
            throw refuse("url", "credentials would cross the network as plain text; write https")
        }
    }

    /// Sent with every question: basic authentication, or bearer.
    func headers() throws -> [(name: String, value: String)] {
        if !user.isEmpty || !password.isEmpty {
            let secret = password.isEmpty ? "" : try Secret(from: password, key: "chains.\(name).password").reveal
            return [("Authorization", "Basic " + Data("\(user):\(secret)".utf8).base64EncodedString())]
        }
        return token.isEmpty ? [] : [("Authorization", "Bearer " + (try Secret(from: token, key: "chains.\(name).token").reveal))]
    }

    /// The one form of a contract: in base 58 case counts.
    private func canonical(_ contract: String) -> String { adapter == .solana ? contract : contract.lowercased() }

    /// Currency and decimals of what a transfer moves; nil: a token that is not on the list.
    func asset(_ token: String) -> (currency: String, decimals: Int)? {
        if token.isEmpty { return (currency, decimals) }
        return tokens[canonical(token)].map { ($0.currency, $0.decimals) }
    }

    /// All of `chains`, in the order of their names.
    static func all(_ chains: [String: ChainSettings]) throws -> [ChainPlan] {
        try chains.sorted { $0.key < $1.key }.map { try ChainPlan(name: $0.key, $0.value) }
    }
}
