import ExchangeKit
import Glibc
import JobKit
import OutsideKit

/// What one looks at by hand when the market stands still.
struct ArenaDoctor {
    /// Without a tick for so long, somebody should look.
    private static let patience: Int64 = 10 * 60_000

    let exchange: Exchange
    let plan: ArenaPlan
    let check: DoctorContext

    func look() throws {
        guard try exchange.purpose() == .simulation else {
            return check.error(
                "purpose", "this is a live exchange: nothing invented is written there; name another database, "
                    + "it will be created")
        }
        file()
        try simulation(plan.settings.simulation)
    }

    private func file() {
        let path = plan.settings.file
        guard plan.settings.mode == .historical else { return }
        if access(path, R_OK) == 0 {
            check.ok("file", path)
        } else {
            check.error("file", "\(path) cannot be read: \(String(cString: strerror(errno)))")
        }
    }

    private func simulation(_ name: String) throws {
        guard let found = try SimulationRow.load(exchange, name) else {
            return check.ok("market", "simulation '\(name)' begins with the first tick")
        }
        guard found.mode == plan.settings.mode.rawValue else {
            return check.error(
                "market", "simulation '\(name)' is \(found.mode), the settings say \(plan.settings.mode.rawValue); "
                    + "give it another name")
        }
        if found.isBeginning { return check.ok("market", "simulation '\(name)' was reset and begins anew with the next tick") }
        let clock = "\(counted(found.marketTick, "tick")), its clock says \(utcText(found.clock / 1_000 * 1_000))"
        if found.finished { return check.ok("market", "the replay is at its end: \(clock)") }
        if found.owner.isEmpty { return check.ok("market", "resumed, goes on with the next tick: \(clock)") }
        let ticked = "\(clock), the last \(check.age(of: found.tickedAt)) ago by job '\(found.owner)'"
        if check.now - found.tickedAt > Self.patience {
            check.warning("market", "\(ticked); does the job run? jobhost show \(check.job)")
        } else if found.owner != check.job {
            check.warning("market", "\(ticked): two jobs on one simulation; give this one another name")
        } else {
            check.ok("market", ticked)
        }
    }

    /// Asks each provider for one pair.
    func providers(_ desk: QuoteDesk, _ outside: Outside) throws {
        let quotes = plan.settings.quotes
        guard let pair = quotes.pairs.first else { return }
        var memory = OutsideState()
        try outside.run(check.context, &memory) {
            for provider in desk.providers {
                let one = QuoteDesk([provider], batch: 1, maxAge: desk.maxAge, isDelayed: desk.isDelayed)
                let answer = try one.fetch([pair], clock: check.now - quotes.behind)
                let subject = "provider \(provider.peer.name)"
                if let quote = answer.board.quotes[pair] {
                    check.ok(subject, "\(pair) is at \(quote.price), of \(utcText(quote.instant / 1_000 * 1_000))")
                } else {
                    check.error(subject, answer.notes.first ?? "it does not know \(pair); say under `symbols` what it calls it")
                }
            }
        }
    }
}
