import JobCore

/// Tells when a library that was refused is worth another try: when its file is another one than the one that was
/// refused, and has stood still since the last look. A file that is being written is left alone; one whose try came to
/// nothing (its build was given up) is tried again ever more seldom. Pure.
struct RefusedWatch {
    /// From the first try to the second; then twice as long each time, up to an hour.
    static let patience = Duration.seconds(60)

    private struct Try {
        var file: FileStamp
        var times: Int
        var next: MonotonicInstant
    }
    private var tries: [String: Try] = [:]
    /// As they were at the last look.
    private var seen: [String: FileStamp?] = [:]

    /// - Parameters:
    ///   - refused: the files of refused plugins, as they were refused; nil: it was not there.
    ///   - now: as they are now.
    ///   - at: when that is.
    /// - Returns: the plugins to be tried again.
    mutating func look(refused: [String: FileStamp?], now: [String: FileStamp?], at: MonotonicInstant) -> [String] {
        defer { seen = now }
        tries = tries.filter { refused.keys.contains($0.key) }
        return refused.keys.sorted().filter { name in
            guard let file = now[name] ?? nil, file != refused[name], file == seen[name] else { return false }
            let before = tries[name].flatMap { $0.file == file ? $0 : nil }
            if let before, at < before.next { return false }
            let times = (before?.times ?? 0) + 1
            tries[name] = Try(file: file, times: times, next: at + min(Self.patience * (1 << min(times - 1, 10)), .seconds(3_600)))
            return true
        }
    }
}
