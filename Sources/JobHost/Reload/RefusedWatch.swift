/// Tells when a library that was refused is worth another try: when its file is another one than the one that was
/// refused, and has stood still since the last look. A file that is being written is left alone. Pure.
struct RefusedWatch {
    /// As they were at the last look.
    private var seen: [String: FileStamp?] = [:]

    /// - Parameters:
    ///   - refused: the files of refused plugins, as they were refused; nil: it was not there.
    ///   - now: as they are now.
    /// - Returns: the plugins to be tried again.
    mutating func look(refused: [String: FileStamp?], now: [String: FileStamp?]) -> [String] {
        defer { seen = now }
        return refused.keys.sorted().filter { name in
            guard let file = now[name] ?? nil else { return false }
            return file != refused[name] && file == seen[name]
        }
    }
}
