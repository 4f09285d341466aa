import JobKit

extension DoctorContext {
    /// Looks at what every job on the exchange's database needs, then at the job's own with `body`,
    /// then at the money's invariant, which reads the whole ledger.
    ///
    /// - Parameters:
    ///   - clock: measures how long the write lock took.
    ///   - body: not called without a database; what it throws is a finding.
    public func exchange(
        _ location: ExchangeLocation, statements: StatementSet, clock: ExchangeClock = .system,
        _ body: (Exchange) throws -> Void
    ) throws {
        let opened: Exchange
        do {
            opened = try Exchange.open(location, statements: statements)
        } catch {
            return self.error("database", "\(error)")
        }
        defer { opened.close() }
        try look(at: "database") {
            let kind = try opened.purpose() == .live ? "live: this is real money" : "a simulation"
            ok("database", "\(opened.place), schema version \(Exchange.schemaVersion), \(kind)")
        }
        try look(at: "lock") { try lock(opened, location, clock) }
        try look(at: "statements") { try compile(opened) }
        try look(at: "job") { try body(opened) }
        if statements.shared.contains(.ledger) { try look(at: "ledger") { try ledger(opened) } }
    }

    /// Whether a job that moves money or orders does.
    public func mode(_ mode: MoneyMode) {
        switch mode {
        case .off: warning("mode", "off: this job does nothing; set mode = \"shadow\" or \"live\"")
        case .shadow: ok("mode", "shadow: it decides and logs, and writes nothing")
        case .live: ok("mode", "live")
        }
    }

    /// The present instant, milliseconds since 1970 UTC.
    public var now: Int64 { nowMicroseconds / 1_000 }

    /// "3m20s", from an instant (milliseconds) until now, in whole seconds; of one to come, "0s".
    public func age(of instant: Int64) -> String { Span.seconds(max(0, now - instant) / 1_000).description }

    // MARK: What is common

    private func lock(_ exchange: Exchange, _ location: ExchangeLocation, _ clock: ExchangeClock) throws {
        let began = clock.elapsed()
        do {
            try exchange.write {}
        } catch let failure as JobFailure where failure.kind == .transient {
            return error(
                "lock", "\(failure.text), for longer than lock_timeout (\(location.lockTimeout)); find who holds it: "
                    + "fuser \(exchange.place)")
        }
        let waited = clock.elapsed() - began
        if waited > 1_000 {
            warning("lock", "somebody held the write lock for \(Span(milliseconds: waited)); runs wait as long")
        } else {
            ok("lock", "the write lock was free within \(waited) ms")
        }
    }

    private func compile(_ exchange: Exchange) throws {
        let faults = try exchange.statementFaults()
        for fault in faults { error("statements", fault) }
        if faults.isEmpty { ok("statements", "all \(try exchange.statementCount()) fit the schema") }
    }

    private func ledger(_ exchange: Exchange) throws {
        let wallets = try exchange.read { () -> (count: Int, unopened: Int, differences: [String])? in
            do {
                let (count, ledger) = (try exchange.rows("wallets") { _ in }.count, Ledger(exchange))
                let unopened = Set(try ledger.unopened())
                return (count, unopened.count, try ledger.differences(except: unopened, onEach: checkCancellation))
            } catch is CancellationNotice {
                return nil
            }
        }
        guard let wallets else {
            return warning("ledger", "there was not the time to read all of it; ask again with a longer --timeout")
        }
        if wallets.unopened > 0 {
            warning(
                "ledger", "\(counted(wallets.unopened, "wallet")) held money before the ledger began: jobhost schema apply makes the "
                    + "opening entries, else the first movement of each does")
        }
        guard let first = wallets.differences.first else {
            return ok(
                "ledger", "each of \(counted(wallets.count - wallets.unopened, "wallet")) is the sum of its entries, "
                    + "each cause adds up to zero")
        }
        let more = wallets.differences.count > 1 ? "; and \(wallets.differences.count - 1) more" : ""
        error(
            "ledger", "\(first)\(more). Something wrote wallets past the ledger: "
                + "pause the jobs that move money before it is found")
    }
}
