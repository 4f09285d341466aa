import JobCore
import SQL

/// `jobhost store check`: what the database says of itself, and whether the ledger keeps its promises. Reads
/// one snapshot and changes nothing; hosts may be serving the store.
public enum StoreCheck {
    public enum Level: String, Codable, Sendable { case ok, warn, fail }

    /// What came of one rule.
    public struct Finding: Hashable, Codable, Sendable {
        public var rule: String
        public var level: Level
        /// What holds, or should.
        public var sentence: String
        /// How often it does not.
        public var count: Int64
        /// Some of what violates it.
        public var examples: [String]
        public init(_ rule: String, _ level: Level, _ sentence: String, count: Int64 = 0, examples: [String] = []) {
            self.rule = rule
            self.level = level
            self.sentence = sentence
            self.count = count
            self.examples = examples
        }

        /// Kept, or as bad as `level` where there is something to say.
        init(_ rule: String, _ sentence: String, _ problems: [String], else level: Level = .fail, limit: Int) {
            self.init(rule, problems.isEmpty ? .ok : level, sentence, count: Int64(problems.count), examples: Array(problems.prefix(limit)))
        }
    }

    public struct Report: Sendable {
        public var format: StoreFormat
        public var findings: [Finding]
        public init(format: StoreFormat, findings: [Finding]) {
            self.format = format
            self.findings = findings
        }
        /// The worst of them.
        public var level: Level {
            findings.contains { $0.level == .fail } ? .fail : findings.contains { $0.level == .warn } ? .warn : .ok
        }
    }

    /// - Parameters:
    ///   - isServed: a host runs on it; of PostgreSQL it is not asked.
    ///   - limit: of examples of each rule.
    /// - Throws: `StoreError` where there is no store to check.
    public static func run(_ place: StorePlace, isServed: Bool, limit: Int = 5, now: Instant) async throws -> Report {
        try await place.visit(.reading) { ledger, format in
            Report(format: format, findings: try ledger.snapshot { try findings(ledger, format, isServed, limit, now) })
        }
    }

    private static func findings<Book: Ledger>(
        _ ledger: Book, _ format: StoreFormat, _ isServed: Bool, _ limit: Int, _ now: Instant
    ) throws -> [Finding] {
        let isCurrent = format.isCurrent ? [] : ["format \(format.version), this program's is \(format.known): the next start of a host brings it up"]
        var findings = [Finding("format", "the tables are those of this program's version", isCurrent, limit: limit)]
        findings += try ledger.engineFindings(format, limit: limit)
        guard format.isCurrent else { return findings }
        let clock = ledger.connection.dialect == .postgresql ? PostgresLedger.clock : "\(now.stored)"
        let rules = LedgerRules(schema: ledger.schema, dialect: ledger.connection.dialect, clock: clock, isServed: isServed)
        findings += try rules.all.map { try ledger.finding($0, limit: limit) }
        findings.append(try ledger.breakerFinding(limit: limit))
        return findings
    }
}

extension Ledger {
    /// What a rule finds; where the database cannot read the rows, that.
    fileprivate func finding(_ rule: LedgerRule, limit: Int) throws -> StoreCheck.Finding {
        try guarded(rule.name, rule.sentence) {
            let found = try connection.rows(
                "SELECT what, moment, count(*) OVER () FROM (\(rule.query)) AS v ORDER BY what, moment LIMIT ?", [.int(max(limit, 1))]
            ) { row in
                (what: try row.text(0) + (try row.instantOrNil(1).map { " at \($0.rfc3339)" } ?? ""), count: try row.int64(2))
            }
            guard let count = found.first?.count else { return StoreCheck.Finding(rule.name, .ok, rule.sentence) }
            return StoreCheck.Finding(rule.name, .fail, rule.sentence, count: count, examples: found.prefix(limit).map(\.what))
        }
    }

    /// A question that a damaged file cannot answer does not keep the others from being asked.
    func guarded(_ rule: String, _ sentence: String, _ body: () throws -> StoreCheck.Finding) throws -> StoreCheck.Finding {
        do {
            return try connection.transaction(.deferred, body)
        } catch let error as SQLError where error.kind != .io && error.kind != .closed {
            return StoreCheck.Finding(rule, .fail, sentence, count: 1, examples: ["it cannot be read: \(error)"])
        }
    }

    /// A breaker that cannot be read would be a closed one after the next start.
    fileprivate func breakerFinding(limit: Int) throws -> StoreCheck.Finding {
        let (rule, sentence) = ("breakers", "each breaker can be read, and its generation is the one it was saved under")
        return try guarded(rule, sentence) {
            let problems = try breakers().sorted { $0.0 < $1.0 }.compactMap { job, row -> String? in
                guard let breaker = Breaker(encoded: row.data, policy: BreakerPolicy()) else { return "\(job)'s cannot be read" }
                return breaker.generation == row.generation ? nil : "\(job)'s is of generation \(breaker.generation), saved under \(row.generation)"
            }
            return StoreCheck.Finding(rule, sentence, problems, limit: limit)
        }
    }
}
