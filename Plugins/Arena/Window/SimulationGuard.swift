import ExchangeKit
import JobKit

/// So that never two are at work on a part of a simulation, on whichever hosts. Who dies at work is
/// waited for until the lease is over; the next attempt of the same run goes on at once. Its first does
/// not: hosts with stores of their own give one fire the same key.
struct SimulationGuard {
    private let exchange: Exchange
    private let simulation: String
    private let part: String
    private let holder: String
    private let isRetry: Bool
    private let now: Int64
    private let lease: Int64

    /// - Parameter lease: milliseconds.
    init(_ exchange: Exchange, simulation: String, part: String, _ driver: ArenaDriver, lease: Int64) {
        self.exchange = exchange
        self.simulation = simulation
        self.part = part
        holder = driver.job + " " + driver.cause
        isRetry = driver.isRetry
        now = driver.now
        self.lease = max(1_000, lease)
    }

    /// nil: taken; otherwise the job that is at work. Inside `exchange.write`.
    func take() throws -> String? {
        let taken = try exchange.run("take_guard", [
            "simulation": .text(simulation), "part": .text(part), "holder": .text(holder),
            "until_ms": .int(now + lease), "now": .int(now), "retry": .bool(isRetry),
        ])
        guard taken == 0 else { return nil }
        let other = try exchange.first("guard", ["simulation": .text(simulation), "part": .text(part)]) { try $0.text(0) }
        return String((other ?? "").prefix { $0 != " " })
    }

    /// What cannot be given back ends with the lease.
    func drop() {
        _ = try? exchange.run("drop_guard", [
            "simulation": .text(simulation), "part": .text(part), "holder": .text(holder),
        ])
    }
}
