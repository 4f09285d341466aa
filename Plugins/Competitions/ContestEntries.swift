import ExchangeKit
import JobKit

/// Ends competitions that are over: freezes equity, ranks, pays prizes.
public final class EndEntry: ExchangeEntry {
    public static let statements = StatementSet.competitions
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
public final class FinalizeChallengesEntry: ExchangeEntry {
    public static let statements = StatementSet.competitions
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
        try settings.onExchange(.competitions) { exchange, time in
            var work = ContestRun(exchange, kind, settings, actor: context.job, now: time.now)
            defer { tell(context, work.report) }
            try work.run(isCancelled: { context.isCancelled })
            return outcome(work.report, milliseconds: time.milliseconds)
        }
    }

    private func tell(_ context: RunContext, _ report: ContestReport) {
        context.tell(report)
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
        let summary = report.summary(
            "\(kind == .challenge ? "Finalized" : "Ended") \(counted(report.ended, kind.rawValue))",
            ["\(counted(report.prizes, "prize")) paid", "\(report.refunded) refunded with \(counted(report.refunds, "refund"))"],
            settings.mode, milliseconds: milliseconds)
        return report.outcome(summary, hasFailed: report.errors > 0 && report.ended + report.refunded == 0)
    }
}

/// What a run did, for the log and the ledger's sentence.
struct ContestReport: RunReport {
    /// Over, and not settled when the run began.
    var due = 0
    var ended = 0
    var refunded = 0
    var prizes = 0
    var refunds = 0
    var payouts: Int { prizes + refunds }
    /// When the next contest is over; milliseconds.
    var nextEnd: Int64?
    var notes = RunNotes()
}
