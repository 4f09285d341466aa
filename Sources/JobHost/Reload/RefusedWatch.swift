import JobCore

/// Tells when a library that was refused is worth another try: when its file is another one than the one that was
/// refused, and has stood still since the last look; or when it was the host that could not try it, whose fault goes away
/// without anybody touching the file. A file that is being written is left alone; one whose try came to nothing (its
/// build was given up, the fault lasts) is tried again ever more seldom. Pure.
struct RefusedWatch {
    /// From one try to the next: the first time, and at the most; twice as long each time.
    private static let patience = (first: Duration.seconds(60), most: Duration.seconds(3_600))
    /// The same for what the host could not try.
    private static let untriedPatience = (first: Duration.seconds(4), most: Duration.seconds(300))
    private static func pause(_ patience: (first: Duration, most: Duration), after times: Int) -> Duration {
        min(patience.first * (1 << min(times - 1, 10)), patience.most)
    }
    /// From one try to the next of what the host itself could not read, tried so many times.
    static func untriedPause(after times: Int) -> Duration { pause(untriedPatience, after: times) }

    private struct Try {
        var file: FileStamp
        var times: Int
        var at: MonotonicInstant
    }
    private var tries: [String: Try] = [:]
    /// As they were at the last look.
    private var seen: [String: FileStamp?] = [:]

    /// - Parameters:
    ///   - refused: the files of refused plugins, as they were refused; nil: it was not there.
    ///   - untried: those of them that the host could not try.
    ///   - now: as they are now.
    ///   - at: when that is.
    /// - Returns: the plugins to be tried again.
    mutating func look(
        refused: [String: FileStamp?], untried: Set<String> = [], now: [String: FileStamp?], at: MonotonicInstant
    ) -> [String] {
        defer { seen = now }
        tries = tries.filter { refused.keys.contains($0.key) }
        return refused.keys.sorted().filter { name in
            guard let file = now[name] ?? nil, file != refused[name] || untried.contains(name), file == seen[name] else { return false }
            let before = tries[name].flatMap { $0.file == file ? $0 : nil }
            if let before {
                let patience = untried.contains(name) ? Self.untriedPatience : Self.patience
                guard at >= before.at + Self.pause(patience, after: before.times) else { return false }
            }
            tries[name] = Try(file: file, times: (before?.times ?? 0) + 1, at: at)
            return true
        }
    }
}
