import ExchangeKit
import JobKit
import OutsideKit

/// Who is outside: a real peer over HTTP, or an invented one in a simulation.
public enum PeerKind: String, CaseIterable, Codable, Sendable {
    case http, paper
}

public struct MintSettings: ExchangeSettings {
    public var database = ExchangeLocation.defaultDatabase
    public var lockTimeout = ExchangeLocation.defaultLockTimeout
    public var sql: [String: String] = [:]
    public var statusMap: [String: String] = [:]
    public var mode = MoneyMode.shadow
    public var minter = PeerKind.http
    public var url = ""
    public var token = ""
    public var lookup = true
    public var calls = CallSettings()
    /// 0: no cap.
    public var maxSize = Amount.zero
    public var maxMintsPerHour = 1_000
    public var maxSends = 5
    public var pendingEvery = Span.seconds(5)
    public var pendingLimit = Span.hours(1)
    var paper = PaperLuck()

    public init() {}

    public static var fields: [SettingsField] {
        ExchangeLocation.fields + [
            ExchangeLocation.statusField,
            PeerSettings.modeField,
            SettingsField("minter", "http, or paper: invented, in simulations only."),
            SettingsField("url", "The minter's address, up to the path before /mints."),
            SettingsField("token", "Bearer token: \"file:\" and a path, or \"env:\" and the name of a variable; empty: none."),
            SettingsField("lookup", "The minter answers GET /mints/{key}. Without it an unknown result is never sent again."),
            SettingsField("max_size", "A larger mint is not sent; 0: no cap."),
            SettingsField("max_mints_per_hour", "More wait, with an alert.", range: 1 ... 1_000_000),
            SettingsField("max_sends", "A mint that never arrives is sent this often at most.", range: 1 ... 100),
            SettingsField("pending_every", "How often a mint that the minter has accepted is asked for."),
            SettingsField("pending_limit", "A mint pending for longer is a dead letter."),
            SettingsField("paper.lost_percent", "With minter = \"paper\": answers that are lost.", range: 0 ... 100),
            SettingsField("paper.refused_percent", "… and mints that are refused.", range: 0 ... 100),
        ] + CallSettings.fields()
    }

    func validate() throws {
        try location.validate(.mintQueue, statuses: PeerSettings.statuses)
        try PeerSettings.validate(minter, url: url, token: token, key: "minter")
        try calls.validate()
        try AmountRules.notNegative(["max_size": maxSize])
    }
}

/// What both entries check of their peer.
enum PeerSettings {
    /// Of orders and of mints: the map may stand on the plugin, for both.
    static let statuses = GatewayAnswer.statuses.sorted() + [PlacedOrder.unsent] + MintStatus.allCases.map(\.rawValue)

    static func validate(_ kind: PeerKind, url: String, token: String, key: String) throws {
        guard kind == .http else { return }
        if url.isEmpty { throw JobFailure.badSettings("url: \(key) = \"http\" needs its address, \"https://…\"") }
        try HTTPClient.origin(of: url, key: "url")
        if !token.isEmpty { try Secret.validate(token, key: "token") }
        if !token.isEmpty, !HTTPClient.isProtected(url) {
            throw JobFailure.badSettings("url: a token does not go over plain http to another machine; write https")
        }
    }

    static func client(url: String, token: String, connections: Int) throws -> HTTPClient {
        let secret = token.isEmpty ? nil : try Secret(from: token, key: "token")
        return try HTTPClient(
            base: url, headers: secret.map { [("Authorization", "Bearer " + $0.reveal)] } ?? [],
            secrets: secret.map { [$0] } ?? [], connections: connections)
    }

    static let modeField = SettingsField(
        "mode", "off (runs wait in the queue), shadow (decides and logs, writes nothing) or live.")

    /// With `mode = "off"`: consumed now, what was enqueued would be lost; so it waits.
    static func wait() -> RunOutcome { .snooze(until: (ExchangeClock.system.now() + 60_000) * 1_000, "mode is off") }

    /// A real database for a real peer, a simulation for an invented one.
    static func check(_ exchange: Exchange, _ kind: PeerKind) throws {
        guard kind == .paper, try exchange.purpose() != .simulation else { return }
        throw JobFailure.permanent(
            "\(exchange.place) was not created as a simulation: nothing is minted or placed on paper there")
    }
}

/// Mints after a sale, once.
public final class MintEntry: ExchangeEntry {
    public static let statements = StatementSet.mintQueue
    public static let info = EntryInfo(
        id: "mint", description: "Mints after a sale, once for its cause; run when enqueued.",
        idempotent: true, stateVersion: 1, payloadSchema: JSONSchema.text(of: MintPayload.self))
    public static func validate(_ settings: MintSettings) throws { try settings.validate() }

    private let settings: MintSettings
    private let http: HTTPClient?
    private let peer: Peer
    private let outside: Outside

    public init(settings: MintSettings) throws {
        try settings.validate()
        self.settings = settings
        http = settings.minter == .http
            ? try PeerSettings.client(url: settings.url, token: settings.token, connections: settings.calls.inFlight) : nil
        peer = Peer("minter", settings.calls.policy)
        outside = Outside([peer])
    }

    public func doctor(_ check: DoctorContext) throws {
        try check.exchange(settings.location, statements: .mintQueue) { exchange in
            let look = MintQueueDoctor(exchange: exchange, check: check, outside: outside)
            check.mode(settings.mode)
            try look.peer(settings.minter, "minter", settings.lookup ? { [self] in _ = try minter(exchange).look($0) } : nil)
            try look.mints(settings)
        }
    }

    public func run(_ context: RunContext) throws -> RunOutcome {
        let payload = try context.payload.decode(MintPayload.self)
        guard payload.size.isPositive else { return .failed("payload: size \(payload.size) is not above 0") }
        if settings.mode == .off { return PeerSettings.wait() }
        return try settings.onExchange(.mintQueue) { exchange, time in
            try PeerSettings.check(exchange, settings.minter)
            // One that was sent before such keys were refused goes on: under another key it would be minted twice.
            if MintOrder.isNumbered(context.idempotencyKey), try !MintRun.isOnRecord(context.idempotencyKey, exchange) {
                return .failed(
                    "it was enqueued without a unique key, and \(context.idempotencyKey) is another sale's in another store: nothing was "
                        + "sent; enqueue it with the sale's own id as its key", code: 6)
            }
            let order = MintOrder(
                key: context.idempotencyKey, asset: payload.assetId.text, size: payload.size,
                createdAt: payload.createdAt.milliseconds)
            var work = MintRun(exchange, minter(exchange), settings, actor: context.job, order: order, now: time.now)
            let outcome = Result { try outside.run(context) { try work.run(isCancelled: { context.isCancelled }) } }
            context.tell(work)
            context.metrics.histogram("mint_seconds", Double(time.milliseconds) / 1_000)
            if case .succeeded? = try? outcome.get() {
                context.items(1)
                context.metrics.counter("mints", labels: ["result": "minted"])
            } else {
                context.metrics.counter("mints", labels: ["result": "not_minted"])
            }
            return try outcome.get()
        }
    }

    private func minter(_ exchange: Exchange) -> any Minter {
        guard let http else { return PaperMinter(exchange: exchange, luck: settings.paper) }
        return HTTPMinter(http: http, peer: peer, looksUp: settings.lookup)
    }
}
