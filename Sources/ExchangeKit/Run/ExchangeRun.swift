import JobKit

/// Settings of an entry that works on the exchange's database; `ExchangeLocation.fields` describes them.
public protocol ExchangeSettings: JobSettings {
    var database: String { get }
    var lockTimeout: Span { get }
    var sql: [String: String] { get }
    /// Of entries with `ExchangeLocation.statusField`.
    var statusMap: [String: String] { get }
    /// A run does nothing.
    var isOff: Bool { get }
}

/// … and moves money or orders there; `MoneyMode.field` describes `mode`.
public protocol MoneySettings: ExchangeSettings {
    var mode: MoneyMode { get }
}

extension MoneySettings {
    public var isOff: Bool { mode == .off }
}

/// When a run began.
public struct RunTime: Sendable {
    /// Milliseconds since 1970 UTC; the one instant for everything that the run writes.
    public let now: Int64
    private let began: Int64
    private let clock: ExchangeClock

    init(_ clock: ExchangeClock, began: Int64) {
        now = clock.now()
        self.began = began
        self.clock = clock
    }

    /// Since the run began.
    public var milliseconds: Int64 { clock.elapsed() - began }
}

extension ExchangeSettings {
    public var isOff: Bool { false }
    public var statusMap: [String: String] { [:] }
    public var location: ExchangeLocation {
        ExchangeLocation(database: database, lockTimeout: lockTimeout, sql: sql, statusMap: statusMap)
    }

    /// The frame of a run: nothing to do with `mode = "off"`, else `body` with the exchange open.
    ///
    /// ```swift
    /// try settings.onExchange(.candles) { exchange, time in
    ///     var work = CandleRun(exchange, settings, now: time.now)
    ///     defer { tell(context, work.report) }
    ///     try work.run { context.isCancelled }
    ///     return work.report.outcome(milliseconds: time.milliseconds)
    /// }
    /// ```
    public func onExchange(
        _ statements: StatementSet, durability: Exchange.Durability = .everything, clock: ExchangeClock = .system,
        _ body: (Exchange, RunTime) throws -> RunOutcome
    ) throws -> RunOutcome {
        if isOff { return .nothingToDo("mode is off") }
        let began = clock.elapsed()
        let exchange = try Exchange.open(location, statements: statements, durability: durability)
        defer { exchange.close() }
        do {
            return try body(exchange, RunTime(clock, began: began))
        } catch {
            // A lock met outside of a transaction may pass by itself, too.
            throw Exchange.failure(error, place: exchange.place)
        }
    }
}
