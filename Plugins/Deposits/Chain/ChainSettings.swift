import ExchangeKit
import JobKit

/// How a chain is reached.
enum ChainAdapter: String, CaseIterable, Codable, Sendable {
    /// Embedded in the exchange's database; simulations only.
    case paper
    /// Ethereum's JSON-RPC, which BSC, Polygon and others speak too.
    case ethereum
    /// Bitcoin Core's JSON-RPC, with a wallet.
    case bitcoin
    case solana

    /// A fault of the node means that it cannot answer now, whatever its code says otherwise.
    func isTransient(_ code: Int) -> Bool {
        // Bitcoin Core: not connected, downloading, warming up. Solana's are of JSON-RPC's own range.
        self == .bitcoin && [-9, -10, -28].contains(code)
    }
}

/// When a deposit counts as confirmed.
enum ConfirmOn: String, CaseIterable, Codable, Sendable {
    /// Its number of confirmations.
    case depth
    /// The block that the chain calls `safe`.
    case safe
    /// The block that the chain calls `finalized`.
    case finalized
}

/// A token that is credited.
struct TokenSettings: Hashable, Codable, Sendable {
    var contract = ""
    /// Of the wallet it goes to.
    var currency = ""
    /// Digits of its smallest unit after the point.
    var decimals = 18

    init(contract: String, currency: String, decimals: Int) {
        self.contract = contract
        self.currency = currency
        self.decimals = decimals
    }

    init(from decoder: any Decoder) throws {
        let keys = try decoder.container(keyedBy: CodingKeys.self)
        contract = try keys.decodeIfPresent(String.self, forKey: .contract) ?? ""
        currency = try keys.decodeIfPresent(String.self, forKey: .currency) ?? ""
        decimals = try keys.decodeIfPresent(Int.self, forKey: .decimals) ?? 18
    }
}

/// One table of `chains`. Keys that are not given follow from the chain's name.
struct ChainSettings: Hashable, Codable, Sendable {
    var adapter: ChainAdapter?
    /// Blocks, the deposit's own among them; nil: by the table `chains`, or by the name.
    var confirmations: Int?
    var confirmOn = ConfirmOn.depth
    /// Blocks after which a credited deposit is no longer looked at; nil: four times `confirmations`.
    var watch: Int?
    /// Of the native coin; nil: by the name.
    var currency: String?
    var decimals: Int?
    var tokens: [TokenSettings] = []
    /// Where a scan begins that has never been made; nil: where the listener is, else at the head.
    var startBlock: Int64?
    /// Blocks in one question.
    var range = 100
    /// The node's address: "https://host/path".
    var url = ""
    /// For HTTP's basic authentication.
    var user = ""
    var password = ""
    /// For bearer authentication.
    var token = ""
    /// nil: by the name.
    var chainID: Int64?
    var genesis: String?
    /// Questions in one request.
    var batch = 50
    /// Of one question, the first included.
    var attempts = 4
    var timeLimit = Span.seconds(10)
    /// 0: no limit.
    var requestsPerMinute = 0

    init() {}

    enum CodingKeys: CodingKey {
        case adapter, confirmations, watch, currency, decimals, tokens, range, url, user, password, token, genesis, batch
        case attempts, confirmOn, startBlock, chainID, timeLimit, requestsPerMinute
    }

    init(from decoder: any Decoder) throws {
        let keys = try decoder.container(keyedBy: CodingKeys.self)
        let defaults = ChainSettings()
        adapter = try keys.decodeIfPresent(ChainAdapter.self, forKey: .adapter)
        confirmations = try keys.decodeIfPresent(Int.self, forKey: .confirmations)
        confirmOn = try keys.decodeIfPresent(ConfirmOn.self, forKey: .confirmOn) ?? defaults.confirmOn
        watch = try keys.decodeIfPresent(Int.self, forKey: .watch)
        currency = try keys.decodeIfPresent(String.self, forKey: .currency)
        decimals = try keys.decodeIfPresent(Int.self, forKey: .decimals)
        tokens = try keys.decodeIfPresent([TokenSettings].self, forKey: .tokens) ?? defaults.tokens
        startBlock = try keys.decodeIfPresent(Int64.self, forKey: .startBlock)
        range = try keys.decodeIfPresent(Int.self, forKey: .range) ?? defaults.range
        url = try keys.decodeIfPresent(String.self, forKey: .url) ?? defaults.url
        user = try keys.decodeIfPresent(String.self, forKey: .user) ?? defaults.user
        password = try keys.decodeIfPresent(String.self, forKey: .password) ?? defaults.password
        token = try keys.decodeIfPresent(String.self, forKey: .token) ?? defaults.token
        chainID = try keys.decodeIfPresent(Int64.self, forKey: .chainID)
        genesis = try keys.decodeIfPresent(String.self, forKey: .genesis)
        batch = try keys.decodeIfPresent(Int.self, forKey: .batch) ?? defaults.batch
        attempts = try keys.decodeIfPresent(Int.self, forKey: .attempts) ?? defaults.attempts
        timeLimit = try keys.decodeIfPresent(Span.self, forKey: .timeLimit) ?? defaults.timeLimit
        requestsPerMinute = try keys.decodeIfPresent(Int.self, forKey: .requestsPerMinute) ?? defaults.requestsPerMinute
    }
}
