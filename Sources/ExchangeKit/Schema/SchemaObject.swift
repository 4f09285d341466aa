/// One table, index, trigger or function of the exchange's schema, as a migration writes it.
struct SchemaObject: Hashable, Sendable {
    enum Kind: String, Sendable {
        case table, index, trigger, function
    }
    struct Column: Hashable, Sendable {
        var name: String
        /// As it is written: "INTEGER", "numeric".
        var type: String
    }

    var kind: Kind
    var name: String
    /// The table itself, or the one that an index or trigger belongs to; "" of a function.
    var table: String
    /// With the comment before it.
    var sql: String
    var columns: [Column] = []
    /// Columns that are unique together: keys that an INSERT may refer to. Of a table, or of a
    /// unique index without expressions and condition.
    var keys: [[String]] = []
    /// Tables that this one refers to.
    var references: [String] = []
    /// Of an index on plain columns: these.
    var indexed: [String] = []

    var title: String { "\(kind.rawValue) \(name)" }

    /// All objects of a migration, in its order. Knows the form in which our migrations are written,
    /// not SQL: a statement ends with ";" at the end of a line, a body ends with "END;" or "$$;".
    static func all(in script: String) -> [SchemaObject] {
        var objects: [SchemaObject] = []
        var lines: [Substring] = []
        var isBody = false
        for line in script.split(separator: "\n", omittingEmptySubsequences: false) {
            if lines.isEmpty, line.isEmpty || line.hasPrefix("-- -----") { continue }
            // A comment on the script as a whole, or on what follows after a blank line.
            if line.isEmpty, lines.allSatisfy({ $0.hasPrefix("--") }) {
                lines = []
                continue
            }
            lines.append(line)
            if line == "BEGIN" { isBody = true }
            if isBody, line.hasPrefix("END") { isBody = false }
            let code = line.prefix(while: { _ in true }).split(separator: "--", maxSplits: 1).first ?? ""
            guard !isBody, !line.hasPrefix("--"), trimmed(code).hasSuffix(";") else { continue }
            if let object = SchemaObject(lines.joined(separator: "\n")) { objects.append(object) }
            lines = []
        }
        return objects
    }

    private init?(_ text: String) {
        let code = text.split(separator: "\n").filter { !$0.hasPrefix("--") }
            .map { line in line.split(separator: "--", maxSplits: 1, omittingEmptySubsequences: false).first ?? "" }
            .joined(separator: "\n")
        let words = code.split { $0 == " " || $0 == "\n" || $0 == "(" }.map(String.init)
        guard words.count > 3, words[0] == "CREATE" else { return nil }
        switch (words[1], words[2]) {
        case ("TABLE", let name):
            self.init(kind: .table, name: name, table: name, sql: text)
            readTable(code)
        case ("INDEX", let name), ("UNIQUE", let name):
            let isUnique = words[1] == "UNIQUE"
            let title = isUnique ? words[3] : name
            guard let on = words.firstIndex(of: "ON"), on + 1 < words.count else { return nil }
            self.init(kind: .index, name: title, table: words[on + 1], sql: text)
            let list = Self.parentheses(in: code) ?? ""
            let names = list.split(separator: ",").map { String(Self.trimmed($0)) }
            guard names.allSatisfy({ $0.allSatisfy { $0.isLetter || $0 == "_" } }) else { return }
            indexed = names
            if isUnique, !words.contains("WHERE") { keys = [names] }
        case ("TRIGGER", let name):
            guard let on = words.firstIndex(of: "ON"), on + 1 < words.count else { return nil }
            self.init(kind: .trigger, name: name, table: words[on + 1], sql: text)
        case ("FUNCTION", let name):
            self.init(kind: .function, name: name, table: "", sql: text)
        default:
            return nil
        }
    }

    private init(kind: Kind, name: String, table: String, sql: String) {
        self.kind = kind
        self.name = name
        self.table = table
        self.sql = sql
    }

    private mutating func readTable(_ code: String) {
        for part in Self.parts(Self.parentheses(in: code) ?? "") {
            let words = part.split { $0 == " " || $0 == "\n" }.map(String.init)
            guard let first = words.first else { continue }
            if let at = words.firstIndex(of: "REFERENCES"), at + 1 < words.count { references.append(words[at + 1]) }
            switch first {
            case "UNIQUE", "PRIMARY":
                let list = Self.parentheses(in: part) ?? ""
                keys.append(list.split(separator: ",").map { String(Self.trimmed($0)) })
            case "FOREIGN", "CHECK":
                break
            default:
                columns.append(Column(name: first, type: words.count > 1 ? words[1] : ""))
                if words.contains("UNIQUE") || words.contains("PRIMARY") { keys.append([first]) }
            }
        }
    }

    /// What stands between the first "(" and its ")".
    private static func parentheses(in text: String) -> String? {
        guard let open = text.firstIndex(of: "(") else { return nil }
        var depth = 0
        for index in text.indices[open...] {
            if text[index] == "(" { depth += 1 }
            if text[index] == ")" { depth -= 1 }
            if depth == 0 { return String(text[text.index(after: open) ..< index]) }
        }
        return nil
    }

    /// Apart at commas that are in no parentheses.
    private static func parts(_ text: String) -> [String] {
        var parts = [""]
        var depth = 0
        for character in text {
            if character == "(" { depth += 1 }
            if character == ")" { depth -= 1 }
            if character == ",", depth == 0 { parts.append("") } else { parts[parts.count - 1].append(character) }
        }
        return parts
    }

    private static func trimmed(_ text: Substring) -> Substring {
        var text = text.drop { $0 == " " || $0 == "\n" }
        while text.last == " " || text.last == "\n" { text.removeLast() }
        return text
    }
}
