import JobCore
import SQL

/// Which ranges of fires without a run are asked for, and how that is said in SQL.
struct RangeQuestion {
    typealias Row = (range: LedgerRange, id: Int64)

    /// So many ranges, and ten for each job, are walked past rather than looking for each job's.
    static let near: Int64 = 1_000

    /// nil: of all.
    var job: String?
    var from: Instant?
    var to: Instant?
    var before: RangePlace?
    var limit: Int
    /// nil: whenever.
    var endsBefore: Instant?

    /// Before the other conditions.
    var ofJob: (condition: String, values: [SQLValue]) { job.map { ("job = ? AND ", [.text($0)]) } ?? ("", []) }

    /// `table`: "", or a name and its dot.
    func conditions(of table: String) -> (String, [SQLValue]) {
        var conditions = ["\(table)last >= ?"]
        var values: [SQLValue] = [.int(from?.stored ?? .min)]
        if let endsBefore {
            conditions.append("\(table)last < ?")
            values.append(.int(endsBefore.stored))
        } else {
            conditions.append("\(table)first < ?")
            values.append(.int(to?.stored ?? .max))
        }
        if let before {
            conditions.append("(\(table)last, \(table)id) < (?, ?)")
            values += [.int(before.last.stored), .int(before.id)]
        }
        return (conditions.joined(separator: " AND "), values)
    }

    static func columns(of table: String) -> String {
        ["job", "reason", "first", "last", "count", "id"].map { table + $0 }.joined(separator: ", ")
    }

    static func decode(_ row: some SQLStatement) throws -> Row {
        let range = LedgerRange(
            job: try row.text(0), reason: try row.word(1), first: try row.instant(2), last: try row.instant(3),
            count: try row.int64(4))
        return (range: range, id: try row.int64(5))
    }
}
