import ExchangeKit
import JobKit
import OutsideKit

public struct PositionSettings: ExchangeSettings {
    public var database = ExchangeLocation.defaultDatabase
    public var lockTimeout = ExchangeLocation.defaultLockTimeout
    public var sql: [String: String] = [:]
    public var statusMap: [String: String] = [:]
    public var mode = MoneyMode.shadow
    public var exchange = "main"
    public var gateway = PeerKind.http
    public var url = ""
    public var token = ""
    public var calls = CallSettings()
    public var maxAge = Span.hours(1)
    /// In the pair's quote currency; 0: no cap.
    public var maxNotional = Amount.zero
    public var maxOrdersPerRun = 20
    public var maxOrdersPerHour = 200
    var paper = PaperLuck()

    public init() {}

    public static var fields: [SettingsField] {
        ExchangeLocation.fields + [
            ExchangeLocation.statusField,
            PeerSettings.modeField,
            SettingsField("exchange", "Whose orders these are: exchange_orders.exchange."),
            SettingsField("gateway", "http, or paper: invented, in simulations only."),
            SettingsField("url", "The gateway's address, up to the path before /orders."),
            SettingsField("token", "Bearer token: \"file:\" and a path, or \"env:\" and the name of a variable; empty: none."),
            SettingsField("max_age", "Orders of an older trade are not placed again."),
            SettingsField("max_notional", "An order worth more is not placed again; in the quote currency, 0: no cap."),
            SettingsField("paper.lost_percent", "With gateway = \"paper\": answers that are lost.", range: 0 ... 100),
            SettingsField("paper.refused_percent", "… and orders that are refused.", range: 0 ... 100),
        ] + CountCaps.fields("orders", perRun: 1_000, perHour: 1_000_000) + CallSettings.fields()
    }

    var caps: CountCaps { CountCaps("orders", perRun: maxOrdersPerRun, perHour: maxOrdersPerHour) }

    func validate() throws {
        try location.validate(.mintQueue, statuses: PeerSettings.statuses)
        try PeerSettings.validate(gateway, url: url, token: token, key: "gateway")
        try calls.validate()
        try AmountRules.notNegative(["max_notional": maxNotional])
        if exchange.isEmpty { throw JobFailure.badSettings("exchange: the name is empty") }
    }
}

/// Places a trade's failed orders again, the remainder only, three times at most.
public final class ManagePositionEntry: ExchangeEntry {
    public static let statements = StatementSet.mintQueue
    public static let info = EntryInfo(
        id: "manage-position", description: "Places a trade's failed orders again, what remains of them; run when enqueued.",
        idempotent: true, stateVersion: 1, payloadSchema: JSONSchema.text(of: PositionPayload.self))
    public static func validate(_ settings: PositionSettings) throws { try settings.validate() }

    private let settings: PositionSettings
    private let http: HTTPClient?
    private let peer: Peer
    private let outside: Outside

    public init(settings: PositionSettings) throws {
        try settings.validate()
        self.settings = settings
        http = settings.gateway == .http
            ? try PeerSettings.client(url: settings.url, token: settings.token, connections: settings.calls.inFlight) : nil
        peer = Peer("order gateway", settings.calls.policy)
        outside = Outside([peer])
    }

    public func doctor(_ check: DoctorContext) throws {
        try check.exchange(settings.location, statements: .mintQueue) { exchange in
            let look = MintQueueDoctor(exchange: exchange, check: check, outside: outside)
            check.mode(settings.mode)
            try look.peer(settings.gateway, "gateway") { [http, peer] key in
                if let http { _ = try HTTPOrderGateway(http: http, peer: peer).look(key) }
            }
            try look.replacements(settings)
        }
    }

    public func run(_ context: RunContext) throws -> RunOutcome {
        let payload = try context.payload.decode(PositionPayload.self)
        if settings.mode == .off { return PeerSettings.wait() }
        return try settings.onExchange(.mintQueue) { exchange, time in
            try PeerSettings.check(exchange, settings.gateway)
            let gateway: any OrderGateway = http.map { HTTPOrderGateway(http: $0, peer: peer) }
                ?? PaperOrderGateway(exchange: exchange, luck: settings.paper)
            var work = PositionRun(exchange, gateway, settings, actor: context.job, payload: payload, now: time.now)
            defer { tell(context, work) }
            return try outside.run(context) { try work.run(isCancelled: { context.isCancelled }) }
        }
    }

    private func tell(_ context: RunContext, _ work: PositionRun) {
        context.tell(work)
        context.items(work.placed)
        context.metrics.counter("orders_replaced", Double(work.placed))
        context.metrics.counter("orders_replaced_errors", Double(work.errors))
    }
}
