import ExchangeKit
import JobKit

/// What one looks at by hand when a contest has no result.
struct ContestDoctor {
    /// Over for longer than that and not settled, somebody should look.
    private static let patience: Int64 = 5 * 60_000

    let exchange: Exchange
    let kind: ContestKind
    let settings: ContestSettings
    let check: DoctorContext

    func look() throws {
        check.mode(settings.mode)
        let due = check.now - settings.settleAfter.milliseconds
        let late = try contests(due: due - Self.patience)
        let all = try contests(due: due)
        if late.isEmpty {
            let next = "\(counted(all.count, kind.rawValue)) for the next run"
            check.ok("contests", all.isEmpty ? "no \(kind.rawValue) is over and unsettled" : next)
        } else {
            let names = late.prefix(5).joined(separator: ", ") + (late.count > 5 ? " …" : "")
            let why = settings.mode == .live
                ? "its log says what is in the way: jobhost logs \(check.job)" : "mode is \(settings.mode.rawValue)"
            check.warning(
                "contests", "\(counted(late.count, kind.rawValue)) over for more than 5m and not settled (\(names)); \(why)")
        }
        let next = try exchange.first("next_end", ["kind": .text(kind.rawValue)]) { try $0.int64OrNil(0) } ?? nil
        if let next, next > check.now { check.ok("next", "the next \(kind.rawValue) ends \(utcText(next / 1_000 * 1_000))") }
    }

    private func contests(due: Int64) throws -> [String] {
        try exchange.rows("due_contests", ["kind": .text(kind.rawValue), "due": .int(due)]) { try $0.text(0) }
    }
}
