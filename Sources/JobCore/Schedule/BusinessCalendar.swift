/// When a market, an office or a counterparty is open: weekly sessions, holidays, half days.
/// Local times of a zone that is passed in, so that one calendar serves several places.
public struct BusinessCalendar: Hashable, Sendable {
    /// From `open` until `close`, in seconds after local midnight of the day it opens on. A close
    /// at or before the open lies on the next day: 18:00–17:00. 0–86,400 is the whole day.
    public struct Session: Hashable, Sendable {
        /// 0 … 86,399; the first second that is open.
        public let open: Int
        /// 0 … 86,400; the first second that is closed again.
        public let close: Int
        public init(open: Int, close: Int) {
            self.open = min(max(open, 0), 86_399)
            self.close = min(max(close, 0), 86_400)
        }
        var crossesMidnight: Bool { close <= open }
    }

    /// How a half day differs from its weekday.
    public enum HalfDay: Hashable, Sendable {
        /// Everything ends at this second after midnight; sessions that would open later do not.
        case closesAt(Int)
        /// Open exactly in these sessions.
        case sessions([Session])
    }

    /// Seven lists, Sunday's first. The sessions that open on that weekday.
    public private(set) var weekly: [[Session]]
    /// Closed from midnight to midnight; no session opens on them.
    public var holidays: Set<CivilDate>
    public var halfDays: [CivilDate: HalfDay]

    /// Lists missing from `weekly` are closed days, lists after the seventh are ignored. A date
    /// that is a holiday and a half day is a holiday.
    public init(weekly: [[Session]], holidays: Set<CivilDate> = [], halfDays: [CivilDate: HalfDay] = [:]) {
        self.weekly = (0..<7).map { $0 < weekly.count ? weekly[$0] : [] }
        self.holidays = holidays
        self.halfDays = halfDays
    }

    public func isOpen(at instant: Instant, in zone: Zone) -> Bool {
        let civil = zone.civil(at: instant)
        return openTimes(on: civil.date).contains { $0.contains(civil.secondOfDay) }
    }

    /// The first instant after `instant` at which the calendar opens or closes; nil: not within
    /// ten years, or not before `limit`, where that is sooner.
    public func nextChange(after instant: Instant, before limit: Instant = .distantFuture, in zone: Zone) -> Instant? {
        let isOpenNow = isOpen(at: instant, in: zone)
        let today = zone.civil(at: instant).date.daysSinceEpoch
        guard weekly.contains(where: { !$0.isEmpty }) || !halfDays.isEmpty else { return nil }
        let last = limit < .distantFuture ? zone.civil(at: limit).date.daysSinceEpoch + 1 : .max
        for day in today...max(today, min(today + Self.searchDays, last)) {
            // A clock put back around midnight mixes neighbouring days.
            let near = (day - 1...day + 1).flatMap { edges(onDay: $0, in: zone) }
            let later = near.filter { $0 > instant }.sorted()
            if let change = later.first(where: { isOpen(at: $0, in: zone) != isOpenNow }) { return change < limit ? change : nil }
        }
        return nil
    }

    private static let searchDays: Int64 = 3_653

    /// Why it is closed at `instant`, as a part of a sentence; nil: it is open.
    public func closedReason(at instant: Instant, in zone: Zone) -> String? {
        guard !isOpen(at: instant, in: zone) else { return nil }
        let date = zone.civil(at: instant).date
        let weekday = Self.weekdayNames[date.weekday]
        if holidays.contains(date) { return "\(date) (\(weekday)) is a holiday" }
        let sessions = openTimes(on: date).map { "\(Self.clock($0.lowerBound))-\(Self.clock($0.upperBound))" }
        let times = sessions.joined(separator: ", ")
        let kind = halfDays[date] == nil ? weekday : "\(weekday), a half day"
        return times.isEmpty ? "\(date) (\(kind)) has no session" : "\(date) (\(kind)) is open \(times)"
    }

    private static let weekdayNames = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]
    private static func clock(_ second: Int) -> String {
        let seconds = second % 60 == 0 ? "" : ":" + padded(second % 60, 2)
        return "\(padded(second / 3_600, 2)):\(padded(second / 60 % 60, 2))\(seconds)"
    }

    /// The seconds of a date, after its midnight, that are open. In order of the sessions, not merged.
    func openTimes(on date: CivilDate) -> [Range<Int>] {
        if holidays.contains(date) { return [] }
        if case .sessions(let sessions)? = halfDays[date] {
            return sessions.map { $0.open..<($0.crossesMidnight ? 86_400 : $0.close) }
        }
        let evening = weekly[date.weekday].map { $0.open..<($0.crossesMidnight ? 86_400 : $0.close) }
        let all = spill(into: date) + evening
        guard case .closesAt(let close)? = halfDays[date] else { return all }
        return all.filter { $0.lowerBound < close }.map { $0.lowerBound..<min($0.upperBound, close) }
    }

    /// What sessions of the day before leave for `date`.
    private func spill(into date: CivilDate) -> [Range<Int>] {
        let before = CivilDate(daysSinceEpoch: date.daysSinceEpoch - 1)
        if holidays.contains(before) { return [] }
        let sessions: [Session]
        switch halfDays[before] {
        case .sessions(let own): sessions = own
        case .closesAt: return []
        case nil: sessions = weekly[before.weekday]
        }
        return sessions.filter { $0.crossesMidnight && $0.close > 0 }.map { 0..<$0.close }
    }

    /// The instants of a local day at which the answer may change.
    private func edges(onDay day: Int64, in zone: Zone) -> [Instant] {
        let midnight = day * 86_400
        var edges: [Instant] = []
        let times = openTimes(on: CivilDate(daysSinceEpoch: day)).flatMap { [$0.lowerBound, $0.upperBound] }
        for time in times + [0] {
            switch zone.resolve(local: midnight + Int64(time)) {
            case .once(let instant): edges.append(instant)
            case .twice(let first, let last): edges += [first, last]
            case .never(let gapEnd): edges.append(gapEnd)
            }
        }
        // A clock change jumps from one time of day to another.
        let noon = Instant(seconds: midnight + 43_200 - zone.span(at: midnight).offset)
        if let change = zone.lastTransition(atOrBefore: noon + .seconds(86_400)), change.instant > noon - .seconds(172_800) {
            edges.append(change.instant)
        }
        return edges
    }
}
