/// Collects what is wrong, so that one look at a config finds all of it.
final class Faults {
    private(set) var errors: [ConfigError] = []
    private var seen: Set<Seen> = []

    private struct Seen: Hashable {
        var position: SourcePosition?
        var message: String
    }

    /// Values that are faulty as they stand: what a reader then says of the same place is no news.
    private var settled: Set<SourcePosition> = []

    /// Most that are kept; a file of noise would otherwise answer with megabytes.
    private static let most = 200
    private var dropped = 0

    /// The same finding at the same place counts once: defaults are read with every job.
    func add(_ position: SourcePosition?, _ message: String, hint: String? = nil, isOfHost: Bool = false) {
        if let position, settled.contains(position) { return }
        guard errors.count < Faults.most else {
            dropped += 1
            return
        }
        guard seen.insert(Seen(position: position, message: message)).inserted else { return }
        errors.append(ConfigError(position: position, message: printable(message), hint: hint.map(printable), isOfHost: isOfHost))
    }

    func add(_ error: ConfigError) { add(error.position, error.message, hint: error.hint, isOfHost: error.isOfHost) }

    /// The value at `position` has been refused: nothing further is said about it.
    func settle(_ position: SourcePosition) { settled.insert(position) }

    /// Throws all findings in the order of the files and of their lines, if there are any.
    func throwIfAny(fileOrder: [String]) throws(ConfigErrors) {
        guard !errors.isEmpty else { return }
        let order = Dictionary(fileOrder.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
        func key(_ error: ConfigError) -> (Int, Int, Int) {
            guard let position = error.position else { return (-1, 0, 0) }
            return (order[position.file] ?? .max, position.line, position.column)
        }
        // The index keeps the order of findings at one place.
        var sorted = errors.enumerated().sorted { a, b in
            let (p, q) = (key(a.element), key(b.element))
            return p == q ? a.offset < b.offset : p < q
        }.map(\.element)
        if dropped > 0 { sorted.append(ConfigError(position: nil, message: "… and \(dropped) more")) }
        throw ConfigErrors(sorted)
    }
}

/// Without anything that a terminal would obey: messages quote what files say.
func printable(_ text: String) -> String {
    func isPlain(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .surrogate, .unassigned: false
        default: true
        }
    }
    guard !text.unicodeScalars.allSatisfy(isPlain) else { return text }
    return text.unicodeScalars.reduce(into: "") { out, scalar in
        out += isPlain(scalar) ? String(Character(scalar)) : "\\u{" + String(scalar.value, radix: 16) + "}"
    }
}
