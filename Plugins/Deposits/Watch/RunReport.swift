import ExchangeKit
import JobKit

/// What a run has to say, collected: so that a run is tested without a host.
struct RunReport {
    enum Level { case debug, info, warning, error, critical }
    struct Line: Hashable {
        var level: Level
        var text: String
    }
    private(set) var lines: [Line] = []
    private(set) var errors = 0

    mutating func debug(_ text: String) { lines.append(Line(level: .debug, text: text)) }
    mutating func info(_ text: String) { lines.append(Line(level: .info, text: text)) }
    mutating func warn(_ text: String) { lines.append(Line(level: .warning, text: text)) }
    /// Counted.
    mutating func fail(_ text: String) {
        errors += 1
        lines.append(Line(level: .error, text: text))
    }
    /// Somebody has to come. Not counted as an error of the run.
    mutating func alert(_ text: String) { lines.append(Line(level: .critical, text: text)) }

    func write(to log: RunLog) {
        for line in lines {
            switch line.level {
            case .debug: log.debug(line.text)
            case .info: log.info(line.text)
            case .warning: log.warning(line.text)
            case .error: log.error(line.text)
            case .critical: log.critical(line.text)
            }
        }
    }
}

/// Chains that could not be worked on, and what that means for the run.
struct ChainTroubles {
    private var transient: [String] = []
    private var permanent: [String] = []
    private(set) var count = 0

    /// Notes why a chain was left out. Lost database and the like are no matter of a chain and
    /// are thrown on.
    mutating func note(_ error: any Error, chain: String, _ report: inout RunReport) throws {
        guard let failure = error as? JobFailure, failure.kind != .badSettings else { throw error }
        count += 1
        report.fail(failure.text.hasPrefix("chain \(chain)") ? failure.text : "chain \(chain): \(failure.text)")
        if failure.kind == .transient { transient.append(failure.text) } else { permanent.append(failure.text) }
    }

    /// The outcome of a run in which no chain answered; nil: one did.
    func outcome(chains: Int) -> RunOutcome? {
        guard chains > 0, count == chains else { return nil }
        if let first = permanent.first { return .failed(first, code: 2) }
        return transient.first.map { .retry($0) }
    }
}
