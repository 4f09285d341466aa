import JobKit
import SQL

/// A platform's words for our statuses, in statements of its own (the setting `status_map`): what they
/// return in a column called `status` becomes ours, what they get as `:status` and `:old_status` theirs.
/// Words that are not on the map are the same in both.
struct StatusWords: Hashable, Sendable {
    private let ours: [String: String]
    private let theirs: [String: String]

    /// - Parameter map: theirs to ours.
    init(_ map: [String: String]) {
        ours = map
        theirs = Dictionary(map.map { ($1, $0) }) { first, _ in first }
    }

    /// - Parameter statuses: our words; empty: not known here.
    func validate(against statuses: [String]) throws {
        for (their, our) in ours.sorted(by: { $0.key < $1.key }) {
            if !statuses.isEmpty, !statuses.contains(our) {
                throw JobFailure.badSettings(
                    "status_map.\(their): \"\(our)\" is no status of ours; there are: \(statuses.joined(separator: ", "))")
            }
            // A compare-and-set has to know which of them it compares with.
            let same = ours.filter { $0.value == our }.keys.sorted()
            guard same.count == 1 else {
                throw JobFailure.badSettings(
                    "status_map: \(same.joined(separator: " and ")) both mean \(our); one of them has to be told apart in the statement")
            }
        }
    }

    func ours(_ word: String) -> String { ours[word] ?? word }
    func theirs(_ word: String) -> String { theirs[word] ?? word }

    /// - Returns: the statement itself where there is nothing to translate.
    func translating(_ statement: any SQLStatement) -> any SQLStatement {
        ours.isEmpty ? statement : WordedStatement(statement, self)
    }
}

/// A statement in a platform's words, read and bound in ours.
private final class WordedStatement: SQLStatement {
    private let base: any SQLStatement
    private let words: StatusWords
    private let columns: Set<Int>
    private let parameters: Set<Int>

    init(_ base: any SQLStatement, _ words: StatusWords) {
        self.base = base
        self.words = words
        columns = Set(base.columnNames.indices.filter { base.columnNames[$0].lowercased() == "status" })
        let names = base.parameterNames
        parameters = Set(names.indices.filter { names[$0] == "status" || names[$0] == "old_status" }.map { $0 + 1 })
    }

    var sql: String { base.sql }
    var parameterNames: [String?] { base.parameterNames }
    var columnNames: [String] { base.columnNames }
    var changes: Int { base.changes }

    func bind(_ value: SQLValue, at index: Int) throws(SQLError) {
        if case .text(let word) = value { try bind(word, at: index) } else { try base.bind(value, at: index) }
    }
    func bindNull(at index: Int) throws(SQLError) { try base.bindNull(at: index) }
    func bind(_ value: Int64, at index: Int) throws(SQLError) { try base.bind(value, at: index) }
    func bind(_ value: Int64?, at index: Int) throws(SQLError) { try base.bind(value, at: index) }
    func bind(_ value: String, at index: Int) throws(SQLError) {
        try base.bind(parameters.contains(index) ? words.theirs(value) : value, at: index)
    }
    func bind(_ value: String?, at index: Int) throws(SQLError) {
        if let value { try bind(value, at: index) } else { try base.bindNull(at: index) }
    }

    func step() throws(SQLError) -> Bool { try base.step() }
    func reset() { base.reset() }
    func rewind() { base.rewind() }

    func isNull(_ column: Int) -> Bool { base.isNull(column) }
    func value(_ column: Int) -> SQLValue {
        let value = base.value(column)
        if case .text(let word) = value, columns.contains(column) { return .text(words.ours(word)) }
        return value
    }
    func int64(_ column: Int) throws(SQLError) -> Int64 { try base.int64(column) }
    func double(_ column: Int) throws(SQLError) -> Double { try base.double(column) }
    func text(_ column: Int) throws(SQLError) -> String {
        let text = try base.text(column)
        return columns.contains(column) ? words.ours(text) : text
    }
    func bytes(_ column: Int) throws(SQLError) -> [UInt8] { try base.bytes(column) }
}
