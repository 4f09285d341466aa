import JobCore

extension ScheduleSpec {
    /// The default schedule that a plugin's entry states in its descriptor:
    /// `every 10s`, `every 10s phase 2s`, `every 10s after finish`, `adaptive 1s 1m`,
    /// `cron */5 * * * *`, `cron 0 0 9 * * MON-FRI Europe/Berlin`, `at 2027-01-01T00:00:00Z`,
    /// `none`. An empty text is `none`: only by hand or by enqueueing. Without a zone cron
    /// means UTC.
    ///
    /// Throws a finding without a place: the caller knows whose entry it is.
    public init(defaultText text: String, zones: some ZoneSource) throws(ConfigError) {
        let words = text.split(separator: " ").map(String.init)
        switch (words.first, words.count) {
        case (nil, _), ("none", 1): self = .none
        case ("every", 2): self = .every(try Self.duration(words[1], text), phase: .zero)
        case ("every", 4) where words[2] == "after" && words[3] == "finish":
            self = .afterFinish(try Self.duration(words[1], text))
        case ("every", 4) where words[2] == "phase":
            let interval = try Self.duration(words[1], text)
            guard let phase = parseDuration(words[3]), phase < interval else { throw Self.fault(text, "the phase must be a duration less than the interval") }
            self = .every(interval, phase: phase)
        case ("adaptive", 3):
            let (min, max) = (try Self.duration(words[1], text), try Self.duration(words[2], text))
            guard min < max else { throw Self.fault(text, "the second duration must be above the first") }
            self = .adaptive(min: min, max: max)
        case ("cron", 2...): self = try Self.cron(Array(words.dropFirst()), text, zones)
        case ("at", 2):
            guard let instant = Instant(rfc3339: words[1]) else { throw Self.fault(text, "an instant is written 2027-01-01T00:00:00Z") }
            self = .once(instant)
        default:
            throw Self.fault(text, "allowed: every DURATION, adaptive MIN MAX, cron EXPRESSION [ZONE], at INSTANT, none")
        }
    }

    private static func fault(_ text: String, _ hint: String) -> ConfigError {
        ConfigError(position: nil, message: printable("the default schedule \"\(shownName(text))\" is not valid"), hint: printable(hint))
    }

    /// What the zone's file says of the schedule is not known.
    private static func hostFault(_ text: String, _ error: ZoneError) -> ConfigError {
        ConfigError(
            position: nil, message: printable("the default schedule \"\(shownName(text))\" cannot be looked at"),
            hint: printable(error.description), isOfHost: true)
    }

    private static func duration(_ word: String, _ text: String) throws(ConfigError) -> Duration {
        guard let duration = parseDuration(word), JobKeys.limit.contains(duration) else {
            throw fault(text, "a duration from \(rangeText(JobKeys.limit)) is expected for \"\(shownName(word))\"")
        }
        return duration
    }

    private static func cron(_ words: [String], _ text: String, _ zones: some ZoneSource) throws(ConfigError) -> ScheduleSpec {
        var fields = words
        var zone = "UTC"
        if let last = words.last, words.count > 1, try isZone(last, after: words.count - 1, text, zones) {
            zone = last
            fields.removeLast()
        }
        do {
            return .cron(try CronExpression(fields.joined(separator: " ")), timeZone: zone)
        } catch {
            throw fault(text, error.description)
        }
    }

    /// A zone follows five or six fields, or one word such as `@daily`. Of six words the last
    /// may be a field too: no field is the name of a zone, but a zone's name may be misspelt,
    /// which only "Area/Place" shows.
    private static func isZone(_ word: String, after count: Int, _ text: String, _ zones: some ZoneSource) throws(ConfigError) -> Bool {
        guard word.first?.isLetter == true, [1, 5, 6].contains(count) else { return false }
        do {
            _ = try zones.zone(named: word)
            return true
        } catch {
            if error.isOfHost { throw hostFault(text, error) }
            let looksLikeZone = count != 5 || (word.contains("/") && word.last?.isLetter == true)
            if looksLikeZone { throw fault(text, error.description) }
            return false
        }
    }
}
