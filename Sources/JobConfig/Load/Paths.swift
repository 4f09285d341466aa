/// Paths as text. `..` is left to the system, which knows the symbolic links.
enum Paths {
    static func folder(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    static func name(of path: String) -> String {
        path.lastIndex(of: "/").map { String(path[path.index(after: $0)...]) } ?? path
    }

    static func absolute(_ path: String, in folder: String) -> String {
        if path.hasPrefix("/") { return tidied(path) }
        return tidied(folder + "/" + path)
    }

    /// Without `.` parts and doubled slashes.
    private static func tidied(_ path: String) -> String {
        "/" + path.split(separator: "/").filter { $0 != "." }.joined(separator: "/")
    }

    static func hasWildcard(_ text: some StringProtocol) -> Bool { text.contains("*") || text.contains("?") }

    /// Whether a file's name fits a pattern with `*` (any letters) and `?` (one letter). A
    /// leading dot must be written. Time: name × pattern.
    static func name(_ name: String, fits pattern: String) -> Bool {
        if name.hasPrefix("."), !pattern.hasPrefix(".") { return false }
        let name = Array(name.unicodeScalars)
        let pattern = Array(pattern.unicodeScalars)
        var (n, p) = (0, 0)
        var star: (pattern: Int, name: Int)?
        while n < name.count {
            if p < pattern.count, pattern[p] == "*" {
                star = (p, n)
                p += 1
            } else if p < pattern.count, pattern[p] == "?" || pattern[p] == name[n] {
                n += 1
                p += 1
            } else if let last = star {
                // Let the last star take one letter more.
                star = (last.pattern, last.name + 1)
                n = last.name + 1
                p = last.pattern + 1
            } else {
                return false
            }
        }
        return pattern[p...].allSatisfy { $0 == "*" }
    }
}
