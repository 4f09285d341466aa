import ExchangeKit
import JobKit

/// Ends competitions that are over: freezes equity, ranks, pays prizes.
public final class EndEntry: JobEntry {
    public static let info = EntryInfo(
        id: "end", description: "Ends competitions that are over: ranks, pays prizes, refunds.",
        idempotent: true, defaultSchedule: "every 1m")
    public static func validate(_ settings: ContestSettings) throws { try settings.validate() }

    private let job: ContestJob
    public init(settings: ContestSettings) throws { job = try ContestJob(.competition, settings) }
    public func run(_ context: RunContext) throws -> RunOutcome { try job.run(context) }
    public func doctor(_ check: DoctorContext) throws { try job.doctor(check) }
}

/// Finalizes challenges that are over: the better return takes the stakes.
public final class FinalizeChallengesEntry: JobEntry {
    public static let info = EntryInfo(
        id: "finalize-challenges", description: "Finalizes challenges of one against one: the better return takes the stakes.",
        idempotent: true, defaultSchedule: "every 1m")
    public static func validate(_ settings: ContestSettings) throws { try settings.validate() }

    private let job: ContestJob
    public init(settings: ContestSettings) throws { job = try ContestJob(.challenge, settings) }
    public func run(_ context: RunContext) throws -> RunOutcome { try job.run(context) }
    public func doctor(_ check: DoctorContext) throws { try job.doctor(check) }
}

/// What the two entries have in common.
struct ContestJob {
    private let kind: ContestKind
    private let settings: ContestSettings
    private let clock = ExchangeClock.system

    init(_ kind: ContestKind, _ settings: ContestSettings) throws {
        try settings.validate()
        self.kind = kind
        self.settings = settings
    }

    func doctor(_ check: DoctorContext) throws {
        try check.exchange(settings.location, statements: .competitions) { exchange in
            try ContestDoctor(exchange: exchange, kind: kind, settings: settings, check: check).look()
        }
    }

    func run(_ context: RunContext) throws -> RunOutcome {
        if settings.mode == .off { return .nothingToDo("mode is off") }
        let began = clock.elapsed()
        let exchange = try Exchange.open(settings.location, statements: .competitions)
        defer { exchange.close() }
        var work = ContestRun(exchange, kind, settings, actor: context.job, now: clock.now())
        do {
            try work.run(isCancelled: { context.isCancelled })
        } catch {
            tell(context, work.report)
            throw error
        }
        tell(context, work.report)
        return outcome(work.report, milliseconds: clock.elapsed() - began)
    }

    private func tell(_ context: RunContext, _ report: ContestReport) {
        for line in report.lines {
            switch line.kind {
            case .debug: context.log.debug(line.text)
            case .info: context.log.info(line.text)
            case .error: context.log.error(line.text)
            }
        }
        if let halt = report.halt { context.log.critical("halted: " + halt) }
        context.items(report.payouts)
        let labels = ["kind": kind.rawValue]
        context.metrics.counter("contests_ended", Double(report.ended), labels: labels)
        context.metrics.counter("contests_refunded", Double(report.refunded), labels: labels)
        context.metrics.counter("contests_payouts", Double(report.payouts), labels: labels)
        context.metrics.counter("contests_errors", Double(report.errors), labels: labels)
    }

    private func outcome(_ report: ContestReport, milliseconds: Int64) -> RunOutcome {
        guard report.due > 0 else {
            let next = report.nextEnd.map { ", the next ends \(utcText($0 / 1_000 * 1_000))" } ?? ""
            return .nothingToDo("no \(kind.rawValue) is over\(next)")
        }
        let verb = kind == .challenge ? "Finalized" : "Ended"
        let text = "\(verb) \(counted(report.ended, kind.rawValue))\(settings.mode == .shadow ? " (shadow, nothing written)" : ""): "
            + "\(counted(report.prizes, "prize")) paid, \(report.refunded) refunded with \(counted(report.refunds, "refund")), "
            + "\(counted(report.errors, "error")) (\(milliseconds)ms)"
        if let halt = report.halt { return .failed("Halted: \(halt). \(text)", code: 1) }
        if report.errors > 0, report.ended + report.refunded == 0 { return .failed(text, code: 2) }
        return .succeeded(text)
    }
}

/// What a run did, for the log and the ledger's sentence.
struct ContestReport {
    struct Line: Hashable {
        enum Kind { case debug, info, error }
        var kind: Kind
        var text: String
    }

    /// Over, and not settled when the run began.
    var due = 0
    var ended = 0
    var refunded = 0
    var prizes = 0
    var refunds = 0
    var payouts: Int { prizes + refunds }
    var errors = 0
    /// When the next contest is over; milliseconds.
    var nextEnd: Int64?
    /// Why the run stopped before its end.
    var halt: String?
    var lines: [Line] = []

    mutating func detail(_ text: String) { lines.append(Line(kind: .debug, text: text)) }
    mutating func tell(_ text: String) { lines.append(Line(kind: .info, text: text)) }
    mutating func fail(_ text: String) {
        errors += 1
        lines.append(Line(kind: .error, text: text))
    }
}
