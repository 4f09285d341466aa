import JobCore

/// `[calendars.NAME]`, or the file that it names.
struct CalendarReader {
    let run: LoadRun

    func calendar(_ name: String, _ table: ConfigTable) -> CalendarConfig? {
        let title = "[calendars.\(name)]"
        let section = SectionReader(table, title: title, keys: CalendarKeys.all, faults: run.faults)
        guard section.has(CalendarKeys.file) else { return calendar(name, section, title: title) }
        if let other = table.sorted.first(where: { $0.key != CalendarKeys.file.name && CalendarKeys.all.map(\.name).contains($0.key) }) {
            run.faults.add(other.entry.keyPosition, "'file' is there too: '\(other.key)' belongs into the file")
        }
        guard let path = section.string(CalendarKeys.file), let place = section.value(CalendarKeys.file)?.position,
            let inner = run.readPart(path, blame: place)
        else { return nil }
        let keys = CalendarKeys.all.filter { $0.name != CalendarKeys.file.name }
        let fileTitle = "a calendar's file"
        return calendar(name, SectionReader(inner, title: fileTitle, keys: keys, faults: run.faults), title: fileTitle)
    }

    private func calendar(_ name: String, _ section: SectionReader, title: String) -> CalendarConfig? {
        let timezone = section.string(CalendarKeys.timezone) ?? "UTC"
        if let place = section.value(CalendarKeys.timezone)?.position { _ = run.zone(timezone, place) }
        guard section.has(CalendarKeys.sessions) else {
            run.faults.add(section.table.position, "\(title) lacks 'sessions'", hint: "as in sessions = { mon-fri = [\"09:30-16:00\"] }")
            return nil
        }
        let weekly = self.weekly(section)
        let calendar = BusinessCalendar(weekly: weekly, holidays: holidays(section), halfDays: halfDays(section))
        return CalendarConfig(name: name, timezone: timezone, calendar: calendar)
    }

    private static let weekdays = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]

    private func weekly(_ section: SectionReader) -> [[BusinessCalendar.Session]] {
        var week = [[BusinessCalendar.Session]](repeating: [], count: 7)
        guard let table = section.subtable(CalendarKeys.sessions) else { return week }
        var given: Set<Int> = []
        for (key, entry) in table.sorted {
            guard let days = CalendarReader.days(key) else {
                run.faults.add(
                    entry.keyPosition, "'\(shownName(key))' names no weekdays",
                    hint: "as in mon, mon-fri, \"mon,wed\" or all")
                continue
            }
            let sessions = self.sessions(entry.value)
            for day in days {
                guard given.insert(day).inserted else {
                    run.faults.add(entry.keyPosition, "'sessions' has \(CalendarReader.weekdays[day]) twice")
                    break
                }
                week[day] = sessions
            }
        }
        if let place = section.value(CalendarKeys.sessions)?.position, table.isEmpty {
            run.faults.add(place, "a calendar without sessions is never open", hint: "as in sessions = { mon-fri = [\"09:30-16:00\"] }")
        }
        return week
    }

    /// "mon", "mon-fri", "fri-mon", "mon,wed", "all" → 0 (Sunday) … 6, without repetition.
    static func days(_ text: String) -> [Int]? {
        func day(_ word: Substring) -> Int? {
            let name = word.trimmingBlanks.lowercased()
            let full = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"]
            return weekdays.firstIndex(of: name) ?? full.firstIndex(of: name)
        }
        if text.lowercased() == "all" { return Array(0..<7) }
        var days: [Int] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let ends = part.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
            guard let from = day(ends[0]), let to = ends.count == 1 ? from : day(ends[1]) else { return nil }
            days += (0...(to - from + 7) % 7).map { (from + $0) % 7 }
        }
        return days.count > 7 ? nil : days
    }

    /// "09:30-16:00", or an array of such.
    private func sessions(_ value: ConfigValue) -> [BusinessCalendar.Session] {
        let elements = if case .array(let all) = value.content { all } else { [value] }
        guard elements.count <= 48 else {
            run.faults.add(value.position, "a day may have at most 48 sessions, found \(elements.count)")
            return []
        }
        return elements.compactMap { element in
            if case .string(let text) = element.content {
                let ends = text.split(separator: "-", maxSplits: 1).map { String($0.trimmingBlanks) }
                if ends.count == 2, let open = CivilTime.secondOfDay(ends[0]), let close = CivilTime.secondOfDay(ends[1]), open < 86_400 {
                    return BusinessCalendar.Session(open: open, close: close)
                }
            }
            run.faults.add(element.position, "a session must be a string such as \"09:30-16:00\", found \(element.found)")
            return nil
        }
    }

    private func holidays(_ section: SectionReader) -> Set<CivilDate> {
        guard let value = section.value(CalendarKeys.holidays) else { return [] }
        guard case .array(let elements) = value.content, elements.count <= 10_000 else {
            section.refuse(CalendarKeys.holidays, value)
            return []
        }
        var dates: Set<CivilDate> = []
        for element in elements {
            let text: String? =
                switch element.content {
                case .string(let text): text
                case .date(let date) where date.kind == .localDate: date.text
                default: nil
                }
            guard let date = text.flatMap({ CivilDate($0) }) else {
                run.faults.add(element.position, "a holiday must be a date such as 2026-12-25, found \(element.found)")
                continue
            }
            dates.insert(date)
        }
        return dates
    }

    private func halfDays(_ section: SectionReader) -> [CivilDate: BusinessCalendar.HalfDay] {
        var out: [CivilDate: BusinessCalendar.HalfDay] = [:]
        for (key, entry) in section.subtable(CalendarKeys.halfDays)?.sorted ?? [] {
            guard let date = CivilDate(key) else {
                run.faults.add(entry.keyPosition, "'\(shownName(key))' is no date such as 2026-11-27")
                continue
            }
            switch entry.value.content {
            case .array: out[date] = .sessions(sessions(entry.value))
            case .string(let text) where text.contains("-"): out[date] = .sessions(sessions(entry.value))
            case .string(let text):
                if let close = CivilTime.secondOfDay(text) { out[date] = .closesAt(close) } else { fallthrough }
            default:
                run.faults.add(entry.value.position, "a half day must be a time such as \"13:00\", or sessions, found \(entry.value.found)")
            }
        }
        return out
    }
}

extension StringProtocol {
    var trimmingBlanks: SubSequence {
        var out = self[...]
        while out.first == " " { out = out.dropFirst() }
        while out.last == " " { out = out.dropLast() }
        return out
    }
}

extension LoadRun {
    /// The zone, or nil after a finding at `place`.
    func zone(_ name: String, _ place: SourcePosition) -> Zone? {
        do {
            return try zones.zone(named: name)
        } catch {
            faults.add(place, error.description, isOfHost: error.isOfHost)
            return nil
        }
    }
}
