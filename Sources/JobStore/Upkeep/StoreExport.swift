import JobCore
import SQL

/// `jobhost store export`: what the ledger holds, as lines for other programs. All of it is of one moment; rows
/// come a page at a time, so that a million of them take no more memory than a thousand.
public enum StoreExport {
    public enum Table: String, CaseIterable, Sendable { case runs, attempts, ranges, jobs, breakers, states, counters, audit }
    public enum Format: String, CaseIterable, Sendable { case jsonl, csv }

    public struct Request: Sendable {
        /// In this order. CSV has room for one.
        public var tables: [Table]
        public var format: Format
        /// Empty: all.
        public var jobs: [String]
        /// Runs that were due at or after it, ranges that reach to it, audit from it on.
        public var since: Instant?
        /// Likewise, before it.
        public var until: Instant?
        public init(tables: [Table], format: Format, jobs: [String] = [], since: Instant? = nil, until: Instant? = nil) {
            self.tables = tables
            self.format = format
            self.jobs = jobs
            self.since = since
            self.until = until
        }
    }

    /// Bytes that are handed on together, about.
    private static let chunk = 64 << 10

    /// - Parameter write: takes the text, on the store's thread, in pieces that end with a line; what it throws ends the export.
    /// - Returns: the rows of each table.
    /// - Throws: `StoreError`, `notFound` for a job that the store knows nothing of.
    public static func run(
        _ place: StorePlace, _ request: Request, write: @escaping @Sendable ([UInt8]) throws -> Void
    ) async throws -> [(table: Table, rows: Int64)] {
        try await place.visit(.reading) { ledger, format in
            try format.demandCurrent(place)
            return try ledger.snapshot { try export(ledger, request, write) }
        }
    }

    private static func export<Book: Ledger>(
        _ ledger: Book, _ request: Request, _ write: ([UInt8]) throws -> Void
    ) throws -> [(table: Table, rows: Int64)] {
        for job in request.jobs where try !ledger.knows(job) {
            throw StoreError(.notFound, "the store knows nothing of a job '\(job)'")
        }
        var out: [UInt8] = []
        out.reserveCapacity(2 * chunk)
        func flush(above: Int = 0) throws {
            guard out.count > above else { return }
            try write(out)
            out.removeAll(keepingCapacity: true)
        }
        let counts = try request.tables.map { table -> (table: Table, rows: Int64) in
            let plan = table.plan(ledger.connection.dialect)
            let writer = ExportWriter(plan, request.format)
            writer.begin(&out)
            let rows = try ledger.pages(of: plan, request) { row in
                try writer.add(row, to: &out)
                try flush(above: chunk)
            }
            return (table, rows)
        }
        try flush()
        return counts
    }
}

extension Ledger {
    fileprivate func knows(_ job: String) throws -> Bool {
        for table in ["job_states", "runs", "ledger_ranges", "counters", "controls", "audit"] {
            if try connection.first("SELECT 1 FROM \(schema)\(table) WHERE job = ? LIMIT 1", [.text(job)], { _ in }) != nil { return true }
        }
        return false
    }

    /// Returns how many rows there were.
    fileprivate func pages(of table: ExportTable, _ request: StoreExport.Request, _ take: (Connection.Statement) throws -> Void) throws -> Int64 {
        var conditions: [String] = []
        var values: [SQLValue] = []
        if !request.jobs.isEmpty {
            conditions.append("\(table.job) IN (\(request.jobs.map { _ in "?" }.joined(separator: ", ")))")
            values += request.jobs.map { .text($0) }
        }
        if let span = table.span {
            if let since = request.since {
                conditions.append("\(span.last) >= ?")
                values.append(.int(since.stored))
            }
            if let until = request.until {
                conditions.append("\(span.first) < ?")
                values.append(.int(until.stored))
            }
        }
        let key = table.key.joined(separator: ", ")
        func page(after last: [SQLValue]?) throws -> (rows: Int, last: [SQLValue]?) {
            let beyond = last.map { _ in ["(\(key)) > (\(table.key.map { _ in "?" }.joined(separator: ", ")))"] } ?? []
            let all = conditions + beyond
            let statement = try connection.prepare("""
                SELECT \(table.columns.map(\.sql).joined(separator: ", ")), \(key) FROM \(table.source.replacing("{s}", with: schema))
                \(all.isEmpty ? "" : "WHERE \(all.joined(separator: " AND "))") ORDER BY \(key) LIMIT ?
                """)
            defer { statement.reset() }
            try statement.bind(values + (last ?? []) + [.int(table.page)])
            var rows = 0
            var newest: [SQLValue]?
            while try statement.step() {
                try take(statement)
                rows += 1
                newest = table.key.indices.map { statement.value(table.columns.count + $0) }
            }
            return (rows, newest)
        }
        var count: Int64 = 0
        var last: [SQLValue]?
        while true {
            let page = try page(after: last)
            count += Int64(page.rows)
            guard page.rows == table.page else { return count }
            last = page.last
        }
    }
}
