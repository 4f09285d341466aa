import ExchangeKit
import Glibc
import JobKit

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
        let found = try exchange.first("simulation", ["name": .text(name)]) { row in
            (mode: try row.text(0), ticks: try row.int64(2), clock: try row.int64(3), owner: try row.text(4),
             ticked: try row.int64(5), isFinished: try row.bool(10))
        }
        guard let found else { return check.ok("market", "simulation '\(name)' begins with the first tick") }
        guard found.mode == plan.settings.mode.rawValue else {
            return check.error(
                "market", "simulation '\(name)' is \(found.mode), the settings say \(plan.settings.mode.rawValue); "
                    + "give it another name")
        }
        let clock = "\(counted(found.ticks, "tick")), its clock says \(utcText(found.clock / 1_000 * 1_000))"
        if found.isFinished { return check.ok("market", "the replay is at its end: \(clock)") }
        let ticked = "\(clock), the last \(check.age(of: found.ticked)) ago by job '\(found.owner)'"
        if check.now - found.ticked > Self.patience {
            check.warning("market", "\(ticked); does the job run? jobhost show \(check.job)")
        } else if found.owner != check.job {
            check.warning("market", "\(ticked): two jobs on one simulation; give this one another name")
        } else {
            check.ok("market", ticked)
        }
    }
}
