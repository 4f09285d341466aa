/// A statement as we write it, in PostgreSQL's writing: `:name` and `?` become `$1`, `$2`, …
///
/// What is inside strings, quoted names, dollar quotes and comments stays as it is, and so do
/// `::type` and `a[1:2]`. The operators `?`, `?|` and `?&` of jsonb cannot be written; their
/// functions (`jsonb_exists` …) can. A parameter that is used twice is sent twice: PostgreSQL gives
/// each place the type that it needs there, as SQLite does.
struct PostgresText {
    private(set) var text = ""
    /// Names without the colon, by position; nil for `?`.
    private(set) var parameters: [String?] = []
    /// Which parameter (from 0) is `$1`, `$2`, ….
    private(set) var places: [Int] = []

    /// Throws `statement` for two statements, for none, and for `$1` written by hand.
    init(_ sql: String) throws(SQLError) {
        var scanner = Scanner(bytes: Array(sql.utf8), sql: sql)
        try scanner.scan()
        guard scanner.hasContent else { throw SQLError(.statement, "there is no statement in the text", sql: sql) }
        text = String(decoding: scanner.output, as: UTF8.self)
        parameters = scanner.parameters
        places = scanner.places
    }

    private struct Scanner {
        let bytes: [UInt8]
        let sql: String
        var output: [UInt8] = []
        var parameters: [String?] = []
        var places: [Int] = []
        var hasContent = false
        private var positions: [String: Int] = [:]
        private var ended = false
        private var i = 0

        init(bytes: [UInt8], sql: String) {
            self.bytes = bytes
            self.sql = sql
            output.reserveCapacity(bytes.count + 16)
        }

        private func at(_ index: Int) -> UInt8 { index < bytes.count ? bytes[index] : 0 }
        private var previous: UInt8 { i > 0 ? bytes[i - 1] : 0 }

        mutating func scan() throws(SQLError) {
            while i < bytes.count {
                let byte = bytes[i]
                if byte == ascii("-"), at(i + 1) == ascii("-") {
                    copy(upTo: bytes[i...].firstIndex(of: ascii("\n")) ?? bytes.count)
                } else if byte == ascii("/"), at(i + 1) == ascii("*") {
                    copy(upTo: endOfComment())
                } else if byte == ascii(" ") || (9...13).contains(byte) {
                    copy(upTo: i + 1)
                } else if byte == ascii(";") {
                    // Not copied: what is prepared is one statement.
                    ended = ended || hasContent
                    i += 1
                } else {
                    if ended { throw SQLError(.statement, "more than one statement", sql: sql) }
                    hasContent = true
                    try token(byte)
                }
            }
        }

        private mutating func token(_ byte: UInt8) throws(SQLError) {
            switch byte {
            case ascii("'"):
                let escapes = (previous | 0x20) == ascii("e") && !(i > 1 && Self.isName(bytes[i - 2]))
                copy(upTo: endOfQuoted(byte, backslash: escapes))
            case ascii("\""):
                copy(upTo: endOfQuoted(byte, backslash: false))
            case ascii("$") where !Self.isName(previous):
                if Self.isDigit(at(i + 1)) {
                    throw SQLError(.statement, "parameters are written :name or ?, not $1", sql: sql)
                }
                copy(upTo: endOfDollarQuote() ?? i + 1)
            case ascii(":") where at(i + 1) == ascii(":") || at(i + 1) == ascii("="):
                copy(upTo: i + 2)
            case ascii(":") where Self.isName(at(i + 1)) && !Self.isDigit(at(i + 1)):
                named()
            case ascii("?"):
                positional()
            default:
                copy(upTo: i + 1)
            }
        }

        private mutating func named() {
            let end = bytes[(i + 1)...].firstIndex { !Self.isName($0) } ?? bytes.count
            let name = String(decoding: bytes[(i + 1)..<end], as: UTF8.self)
            let position = positions[name] ?? parameters.count + 1
            if positions[name] == nil {
                positions[name] = position
                parameters.append(name)
            }
            place(position)
            i = end
        }

        /// `?` is the next parameter, `?2` the second.
        private mutating func positional() {
            let end = bytes[(i + 1)...].firstIndex { !Self.isDigit($0) } ?? bytes.count
            let written = Int(String(decoding: bytes[(i + 1)..<end], as: UTF8.self))
            let number = written.map { min(max($0, 1), 65_535) } ?? parameters.count + 1
            while parameters.count < number { parameters.append(nil) }
            place(number)
            i = end
        }

        private mutating func place(_ position: Int) {
            places.append(position - 1)
            output += Array("$\(places.count)".utf8)
        }

        private mutating func copy(upTo end: Int) {
            output += bytes[i..<end]
            i = end
        }

        /// Comments nest, as the standard says.
        private func endOfComment() -> Int {
            var depth = 0
            var j = i
            while j < bytes.count {
                if bytes[j] == ascii("/"), at(j + 1) == ascii("*") {
                    depth += 1
                    j += 2
                } else if bytes[j] == ascii("*"), at(j + 1) == ascii("/") {
                    depth -= 1
                    j += 2
                    if depth == 0 { return j }
                } else {
                    j += 1
                }
            }
            return bytes.count
        }

        private func endOfQuoted(_ quote: UInt8, backslash: Bool) -> Int {
            var j = i + 1
            while j < bytes.count {
                if backslash, bytes[j] == ascii("\\") {
                    j += 2
                } else if bytes[j] != quote {
                    j += 1
                } else if at(j + 1) == quote {
                    j += 2
                } else {
                    return j + 1
                }
            }
            return bytes.count
        }

        /// `$$ … $$` or `$tag$ … $tag$`; nil: this dollar begins none.
        private func endOfDollarQuote() -> Int? {
            guard let close = bytes[(i + 1)...].firstIndex(where: { $0 == ascii("$") || !Self.isName($0) }),
                bytes[close] == ascii("$")
            else { return nil }
            let tag = bytes[i...close]
            var j = close + 1
            while j + tag.count <= bytes.count {
                if bytes[j..<(j + tag.count)].elementsEqual(tag) { return j + tag.count }
                j += 1
            }
            return bytes.count
        }

        private static func isDigit(_ byte: UInt8) -> Bool { (48...57).contains(byte) }
        private static func isName(_ byte: UInt8) -> Bool {
            isDigit(byte) || (65...90).contains(byte) || (97...122).contains(byte) || byte == ascii("_") || byte >= 128
        }
    }
}

private func ascii(_ character: Unicode.Scalar) -> UInt8 { UInt8(ascii: character) }
