extension ScheduleSpec {
    /// Reads what `text` writes; nil for anything else. With it the schedule that a stored cursor
    /// belongs to can still account for the time before it was edited.
    public init?(text: String) {
        let words = text.split(separator: " ").map(String.init)
        switch (words.first, words.count) {
        case ("cron", 3...):
            guard let expression = try? CronExpression(words[1..<words.count - 1].joined(separator: " ")) else { return nil }
            self = .cron(expression, timeZone: words[words.count - 1])
        case ("every", 2):
            guard let interval = Self.duration(words[1]) else { return nil }
            self = .every(interval, phase: .zero)
        case ("every", 4):
            guard let interval = Self.duration(words[1]) else { return nil }
            if words[2] == "after", words[3] == "finish" {
                self = .afterFinish(interval)
            } else if words[2] == "phase", let phase = Self.duration(words[3]) {
                self = .every(interval, phase: phase)
            } else {
                return nil
            }
        case ("adaptive", 3):
            guard let min = Self.duration(words[1]), let max = Self.duration(words[2]) else { return nil }
            self = .adaptive(min: min, max: max)
        case ("at", 2):
            guard let instant = Self.duration(words[1]) else { return nil }
            self = .once(Instant(microseconds: instant.microseconds))
        case ("after", 2...): self = .after(job: String(text.dropFirst("after ".count)))
        case ("none", 1): self = .none
        default: return nil
        }
    }

    /// `1500us`
    private static func duration(_ word: String) -> Duration? {
        guard word.hasSuffix("us"), let microseconds = Int64(word.dropLast(2)) else { return nil }
        return .microseconds(microseconds)
    }
}
