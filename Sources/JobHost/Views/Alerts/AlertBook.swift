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

    /// Of what people were told, as it outlives the host.
    struct Told: Codable, Hashable, Sendable {
        var kind: Alert.Kind
        var subject: String
        var text: String
        var hint: String
        var since: Instant
        var toldAt: Instant
    }

    /// How long what an earlier life told of is not taken for over: a host that has just started does not know all yet.
    static let patience = Duration.seconds(30)
    /// Things remembered at a time; further ones are left out.
    static let mostKeys = 2_000

    private struct Firing {
        var alert: Alert
        var since: Instant
        var toldAt: MonotonicInstant?
        /// Of an earlier life, and not seen in this one: until then.
        var rememberedUntil: MonotonicInstant?
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
        firing.values.filter { $0.rememberedUntil == nil }.map { Line(alert: $0.alert, state: .firing, since: $0.since, count: 1) }
            .sorted { ($0.since, $0.alert.key) < ($1.since, $1.alert.key) }
    }

    /// - Parameters:
    ///   - conditions: everything that is wrong now.
    ///   - happenings: what happened since the last call.
    ///   - isLast: nothing is gathered any more, nor told less often.
    /// - Returns: the lines of a message; empty: none now.
    mutating func look(_ conditions: [Alert], _ happenings: [Alert], now: Now, isLast: Bool = false) -> [Line] {
        note(conditions, now)
        for alert in happenings { note(happening: alert, now) }
        guard let due, isLast || now.monotonic >= due else { return [] }
        self.due = nil
        return tell(now, isLast)
    }

    /// What people believe to be wrong.
    func told(_ now: Now) -> [Told] {
        (Array(firing.values) + ended.values).compactMap { entry in
            entry.toldAt.map {
                Told(
                    kind: entry.alert.kind, subject: entry.alert.subject, text: entry.alert.text, hint: entry.alert.hint, since: entry.since,
                    toldAt: now.wall - (now.monotonic - $0))
            }
        }.sorted { ($0.since, $0.kind.rawValue, $0.subject) < ($1.since, $1.kind.rawValue, $1.subject) }
    }

    /// As an earlier life left it: what is over by now is told, what goes on is not told anew.
    mutating func remember(_ told: [Told], _ now: Now) {
        for entry in told.prefix(Self.mostKeys) {
            let alert = Alert(entry.kind, subject: entry.subject, entry.text, hint: entry.hint)
            firing[alert.key] = Firing(
                alert: alert, since: entry.since, toldAt: now.monotonic + min(.zero, entry.toldAt - now.wall),
                rememberedUntil: now.monotonic + Self.patience)
        }
    }

    private mutating func note(_ conditions: [Alert], _ now: Now) {
        let current = Dictionary(conditions.map { ($0.key, $0) }, uniquingKeysWith: { first, _ in first })
        for (key, alert) in current {
            if firing[key] != nil {
                firing[key]?.alert = alert
                firing[key]?.rememberedUntil = nil
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
            if let until = entry.rememberedUntil, now.monotonic < until { continue }
            firing[key] = nil
            guard entry.toldAt != nil else { continue }
            ended[key] = entry
            gather(now)
        }
        if let again = settings.again, firing.values.contains(where: { $0.rememberedUntil == nil && $0.toldAt.map { now.monotonic - $0 >= again } ?? false }) { gather(now) }
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

    private mutating func tell(_ now: Now, _ isLast: Bool) -> [Line] {
        var lines: [Line] = []
        for (key, entry) in firing {
            let isDue = entry.toldAt.map { told in settings.again.map { now.monotonic - told >= $0 } ?? false } ?? true
            // What an earlier life told of is told again when this one has seen it.
            guard isDue, entry.rememberedUntil == nil else { continue }
            firing[key]?.toldAt = now.monotonic
            lines.append(Line(alert: entry.alert, state: .firing, since: entry.since, count: 1))
        }
        for entry in ended.values { lines.append(Line(alert: entry.alert, state: .resolved, since: entry.since, count: 1)) }
        ended = [:]
        for (key, entry) in happened where entry.count > 0 {
            if isQuiet(entry, now), !isLast {
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
