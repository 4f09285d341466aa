/// A rule whose fire times follow from the calendar alone: cron, fixed intervals, once. Rules
/// that depend on how the job's runs go (fixed delay, adaptive) are `JobSchedule`'s.
public struct Schedule: Hashable, Sendable {
    enum Rule: Hashable, Sendable {
        indirect case cron(CronExpression, Zone)
        /// Microseconds: every instant phase + n · interval, with 0 ≤ phase < interval.
        case every(interval: Int64, phase: Int64)
        case once(Instant)
        /// Has no fire times of its own.
        case dependent(ScheduleSpec)
    }
    let rule: Rule

    /// Shorter intervals are taken for this.
    public static let shortestInterval = Duration.milliseconds(1)

    /// `zone` is the one that a cron expression is meant in; others need none. Specs that depend
    /// on the job's runs never fire here.
    public init(spec: ScheduleSpec, zone: Zone) {
        switch spec {
        case .cron(let expression, _): rule = .cron(expression, zone)
        case .every(let interval, let phase):
            let interval = max(interval, Self.shortestInterval).microseconds
            rule = .every(interval: interval, phase: phase.microseconds.floorRemainder(interval))
        case .once(let instant): rule = .once(instant)
        case .afterFinish, .adaptive, .after, .none: rule = .dependent(spec)
        }
    }

    /// One fire, or none.
    init(once fire: Instant?) { rule = fire.map { .once($0) } ?? .dependent(.none) }

    /// The first fire after `instant`; nil: none.
    public func next(after instant: Instant) -> Instant? {
        switch rule {
        case .cron(let expression, let zone): return expression.next(after: instant, in: zone)
        case .every(let interval, let phase):
            let passed = Self.index(at: instant, interval: interval, phase: phase)
            return Self.fire(passed + 1, interval: interval, phase: phase)
        case .once(let fire): return fire > instant ? fire : nil
        case .dependent: return nil
        }
    }

    /// The last fire at or before `instant`; nil: none.
    public func previous(atOrBefore instant: Instant) -> Instant? {
        switch rule {
        case .cron(let expression, let zone): return expression.previous(atOrBefore: instant, in: zone)
        case .every(let interval, let phase):
            return Self.fire(Self.index(at: instant, interval: interval, phase: phase), interval: interval, phase: phase)
        case .once(let fire): return fire <= instant ? fire : nil
        case .dependent: return nil
        }
    }

    /// How many fires lie after `start` and at or before `end`, exactly, without visiting them.
    public func count(after start: Instant, upTo end: Instant) -> Int64 {
        guard start < end else { return 0 }
        switch rule {
        case .cron(let expression, let zone): return expression.count(after: start, upTo: end, in: zone)
        case .every(let interval, let phase):
            return Self.index(at: end, interval: interval, phase: phase) - Self.index(at: start, interval: interval, phase: phase)
        case .once(let fire): return start < fire && fire <= end ? 1 : 0
        case .dependent: return 0
        }
    }

    /// Number of the last fire at or before `instant`; fire 0 is at epoch + phase.
    private static func index(at instant: Instant, interval: Int64, phase: Int64) -> Int64 {
        instant.microseconds.saturatingSubtract(phase).floorDivide(interval)
    }

    private static func fire(_ index: Int64, interval: Int64, phase: Int64) -> Instant? {
        let (product, overflow) = index.multipliedReportingOverflow(by: interval)
        let (sum, overflow2) = product.addingReportingOverflow(phase)
        return overflow || overflow2 ? nil : Instant(microseconds: sum)
    }
}
