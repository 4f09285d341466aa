import JobCore

/// Which alerts are told when: gathered for a moment, so that one cause makes one message; told
/// once while it lasts, and again after `again`; told when it is over. Pure.
struct AlertBook {
    struct Settings: Hashable, Sendable {
        /// How long what belongs together is gathered. What is over within it is not told.
        var gather = Duration.seconds(10)
        /// Told again while it lasts; nil: never.
        var again: Duration? = .seconds(4 * 3_600)
        /// What happens without an end is told once in so long, with its count.
        var quiet = Duration.seconds(600)
    }

    /// One line of a message.
    struct Line: Hashable, Sendable {
        enum State: String, Codable, CaseIterable, Sendable { case firing, resolved, happened }
        var alert: Alert
        var state: State
        var since: Instant
        /// Of what happened: how often since it was told last.
        var count: Int
    }

    /// Things remembered at a time; further ones are left out.
    static let mostKeys = 2_000

    private struct Firing {
        var alert: Alert
        var since: Instant
        var toldAt: MonotonicInstant?
    }
    private struct Happening {
        var alert: Alert
        var since: Instant
        var count: Int
        var toldAt: MonotonicInstant?
    }

    /// A change of them forgets nothing that was told.
    var settings: Settings
    private var firing: [String: Firing] = [:]
    private var ended: [String: Firing] = [:]
    private var happened: [String: Happening] = [:]
    /// When what is gathered is told.
    private var due: MonotonicInstant?

    init(_ settings: Settings = Settings()) { self.settings = settings }

    /// What is wrong now, told or not, the longest first.
    var standing: [Line] {
        firing.values.map { Line(alert: $0.alert, state: .firing, since: $0.since, count: 1) }
            .sorted { ($0.since, $0.alert.key) < ($1.since, $1.alert.key) }
    }

    /// - Parameters:
    ///   - conditions: everything that is wrong now.
    ///   - happenings: what happened since the last call.
    /// - Returns: the lines of a message; empty: none now.
    mutating func look(_ conditions: [Alert], _ happenings: [Alert], now: Now) -> [Line] {
        note(conditions, now)
        for alert in happenings { note(happening: alert, now) }
        guard let due, now.monotonic >= due else { return [] }
        self.due = nil
        return tell(now)
    }

    private mutating func note(_ conditions: [Alert], _ now: Now) {
        let current = Dictionary(conditions.map { ($0.key, $0) }, uniquingKeysWith: { first, _ in first })
        for (key, alert) in current {
            if firing[key] != nil {
                firing[key]?.alert = alert
            } else if var back = ended.removeValue(forKey: key) {
                // It went and came before anybody was told that it was over.
                back.alert = alert
                firing[key] = back
            } else if firing.count < Self.mostKeys {
                firing[key] = Firing(alert: alert, since: now.wall, toldAt: nil)
                gather(now)
            }
        }
        for (key, entry) in firing where current[key] == nil {
            firing[key] = nil
            guard entry.toldAt != nil else { continue }
            ended[key] = entry
            gather(now)
        }
        if let again = settings.again, firing.values.contains(where: { $0.toldAt.map { now.monotonic - $0 >= again } ?? false }) { gather(now) }
    }

    private mutating func note(happening alert: Alert, _ now: Now) {
        if happened[alert.key] == nil, happened.count >= Self.mostKeys {
            happened = happened.filter { $0.value.count > 0 || isQuiet($0.value, now) }
            guard happened.count < Self.mostKeys else { return }
        }
        var entry = happened[alert.key] ?? Happening(alert: alert, since: now.wall, count: 0, toldAt: nil)
        if entry.count == 0 { entry.since = now.wall }
        entry.alert = alert
        entry.count += 1
        happened[alert.key] = entry
        let earliest = entry.toldAt.map { $0 + settings.quiet } ?? now.monotonic
        due = min(due ?? .distantFuture, max(earliest, now.monotonic + settings.gather))
    }

    private func isQuiet(_ entry: Happening, _ now: Now) -> Bool {
        entry.toldAt.map { now.monotonic - $0 < settings.quiet } ?? false
    }

    private mutating func gather(_ now: Now) { due = min(due ?? .distantFuture, now.monotonic + settings.gather) }

    private mutating func tell(_ now: Now) -> [Line] {
        var lines: [Line] = []
        for (key, entry) in firing {
            let isDue = entry.toldAt.map { told in settings.again.map { now.monotonic - told >= $0 } ?? false } ?? true
            guard isDue else { continue }
            firing[key]?.toldAt = now.monotonic
            lines.append(Line(alert: entry.alert, state: .firing, since: entry.since, count: 1))
        }
        for entry in ended.values { lines.append(Line(alert: entry.alert, state: .resolved, since: entry.since, count: 1)) }
        ended = [:]
        for (key, entry) in happened where entry.count > 0 {
            if isQuiet(entry, now) {
                due = min(due ?? .distantFuture, (entry.toldAt ?? now.monotonic) + settings.quiet)
                continue
            }
            happened[key]?.toldAt = now.monotonic
            happened[key]?.count = 0
            lines.append(Line(alert: entry.alert, state: .happened, since: entry.since, count: entry.count))
        }
        let order: [Alert.Severity: Int] = [.critical: 0, .warning: 1]
        return lines.sorted {
            (order[$0.alert.severity] ?? 2, $0.state.rawValue, $0.alert.key) < (order[$1.alert.severity] ?? 2, $1.state.rawValue, $1.alert.key)
        }
    }
}
