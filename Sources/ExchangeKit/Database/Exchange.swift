import JobKit
import SQL

/// The exchange's database, open for one run. One thread, like its connection.
public final class Exchange {
    public let connection: any SQLConnection
    /// Where it is, for messages.
    public let place: String
    private let statements: StatementSet
    private let texts: [String: String]
    private let overridden: Set<String>
    private let words: StatusWords
    private var prepared: [String: any SQLStatement] = [:]

    /// - Parameters:
    ///   - statements: the plugin's own, with those put in their place.
    ///   - words: of these.
    init(connection: any SQLConnection, place: String, statements: StatementSet, words: StatusWords = StatusWords([:])) {
        self.connection = connection
        self.place = place
        self.statements = statements
        texts = statements.texts(connection.dialect)
        overridden = Set(statements.replaced.keys)
        self.words = words
    }

    /// What a power cut may take.
    public enum Durability: Sendable {
        /// Nothing that was reported done: money, orders.
        case everything
        /// The newest writes, together and never a part of one: what is made from other tables
        /// and would simply be made again. Spares the wait for the disk.
        case derived
    }

    /// Opens a database whose schema is there and is the one this code knows.
    /// - Throws: `JobFailure.transient` while it is not there, locked or full;
    ///   `.permanent` when it is something else; `.badSettings` when the settings cannot work.
    public static func open(
        _ location: ExchangeLocation, statements: StatementSet, durability: Durability = .everything
    ) throws -> Exchange {
        let place = try location.place()
        let chosen = try location.replacing(statements)
        do {
            let exchange = Exchange(
                connection: try connect(location, create: false, durability), place: place, statements: chosen,
                words: StatusWords(location.statusMap))
            try exchange.checkSchema()
            return exchange
        } catch {
            throw failure(error, place: place)
        }
    }

    static func connect(
        _ location: ExchangeLocation, create: Bool, _ durability: Durability = .everything
    ) throws -> any SQLConnection {
        switch try location.address() {
        case .sqlite(let path):
            if create { makeFolder(of: path) }
            var options = SQLiteOptions()
            options.create = create
            options.busyTimeoutMilliseconds = Int32(clamping: location.lockTimeout.milliseconds)
            let synchronous = durability == .everything ? "FULL" : "NORMAL"
            options.pragmas = [("journal_mode", "WAL"), ("synchronous", synchronous), ("foreign_keys", "ON")]
            let connection = try SQLiteConnection(path: path, options: options)
            try connection.defineAmounts()
            return connection
        case .postgresql(let address):
            var options = PostgresOptions()
            // 0 there means for ever, here not to wait.
            options.lockTimeoutMilliseconds = max(1, Int32(clamping: location.lockTimeout.milliseconds))
            return try PostgresConnection(Self.settled(address, durability), options: options)
        }
    }

    /// Our tables stand in the schema "jobhost", before those that a session sees anyway; a URL with
    /// options of its own is left as it is.
    private static func settled(_ address: PostgresAddress, _ durability: Durability) throws -> PostgresAddress {
        try address.searching(ownSchema, durability == .derived ? "%20-csynchronous_commit%3Doff" : "")
    }

    /// In PostgreSQL.
    static let ownSchema = "jobhost"

    public func close() {
        prepared = [:]
        connection.close()
    }

    // MARK: Statements

    /// The statement of that name, compiled once.
    public func statement(_ name: String) throws -> any SQLStatement {
        if let known = prepared[name] { return known }
        guard let sql = texts[name] else { throw JobFailure.permanent("there is no statement '\(name)'") }
        do {
            let compiled: any SQLStatement = try connection.prepare(sql)
            let statement = overridden.contains(name) ? words.translating(compiled) : compiled
            prepared[name] = statement
            return statement
        } catch {
            guard overridden.contains(name), error.kind == .statement else { throw error }
            throw JobFailure.badSettings("sql.\(name): \(error.message)")
        }
    }

    /// Compiles every statement, so that a wrong one is found before work begins.
    public func prepareAll() throws {
        for name in try callable() { _ = try statement(name) }
    }

    /// What is wrong with statements that do not compile, or do not fit the place of ours, a sentence
    /// for each; empty when all do.
    ///
    /// - Parameter all: ours too, not only those put in their place.
    func statementFaults(all: Bool = true) throws -> [String] {
        let ours = statements.ours(connection.dialect)
        return try callable().filter { all || overridden.contains($0) }.compactMap { name in
            do {
                let statement = try statement(name)
                guard overridden.contains(name), let original = ours[name] else { return nil }
                return try misfit(statement, original).map { "sql.\(name): \($0)" }
            } catch let failure as JobFailure {
                return failure.text
            } catch {
                return "\(name): \(error)"
            }
        }
    }

    /// Why a statement of the settings cannot stand in for ours.
    private func misfit(_ statement: any SQLStatement, _ original: String) throws -> String? {
        // A table of ours that is replaced as a whole need not be there: then nothing is known.
        guard let ours = try? connection.prepare(original) as any SQLStatement else { return nil }
        let offered = Set(ours.parameterNames.compactMap(\.self))
        if let unknown = statement.parameterNames.compactMap(\.self).first(where: { !offered.contains($0) }) {
            let known = offered.sorted().map { ":" + $0 }.joined(separator: ", ")
            return "there is no parameter :\(unknown)\(known.isEmpty ? "" : "; there are: " + known)"
        }
        let (has, wants) = (statement.columnNames.count, ours.columnNames.count)
        return has < wants ? "it has \(counted(has, "column")), \(wants) are read: \(ours.columnNames.joined(separator: ", "))" : nil
    }

    /// How many statements can be called by name.
    func statementCount() throws -> Int { try callable().count }

    /// Names, but for what stands in for the outside in simulations where this is none.
    private func callable() throws -> [String] {
        let isReal = try purpose() == .live
        return texts.keys.sorted().filter { !$0.hasPrefix("migration_") && !(isReal && texts[$0]?.contains("paper_") == true) }
    }

    private func bound(_ name: String, _ values: [String: SQLValue]) throws -> any SQLStatement {
        let statement = try statement(name)
        try statement.bind(values, ignoringUnused: overridden.contains(name))
        return statement
    }

    /// Executes a statement; the number of rows it touched.
    @discardableResult
    public func run(_ name: String, _ values: [String: SQLValue] = [:]) throws -> Int {
        try bound(name, values).run()
    }

    /// All rows of a statement, each through `decode`.
    public func rows<Row>(
        _ name: String, _ values: [String: SQLValue] = [:], _ decode: (any SQLStatement) throws -> Row
    ) throws -> [Row] {
        var rows: [Row] = []
        try forEach(name, values) { rows.append(try decode($0)) }
        return rows
    }

    /// The first row of a statement, if any.
    public func first<Row>(
        _ name: String, _ values: [String: SQLValue] = [:], _ decode: (any SQLStatement) throws -> Row
    ) throws -> Row? {
        let statement = try bound(name, values)
        defer { statement.reset() }
        return try statement.step() ? try decode(statement) : nil
    }

    /// Each row in turn, none kept.
    public func forEach(
        _ name: String, _ values: [String: SQLValue] = [:], _ body: (any SQLStatement) throws -> Void
    ) throws {
        let statement = try bound(name, values)
        defer { statement.reset() }
        while try statement.step() { try body(statement) }
    }

    // MARK: Transactions

    /// All or nothing. In SQLite with the write lock from the beginning: what `body` reads is what it
    /// changes. In PostgreSQL one such transaction of a plugin at a time, whichever host it is on;
    /// beside the application rows are safe that a statement has locked (FOR UPDATE) or that a
    /// compare-and-set has changed. Database errors that may pass by themselves (a lock, a deadlock)
    /// become transient failures.
    @discardableResult
    public func write<Result>(_ body: () throws -> Result) throws -> Result {
        do {
            let isNested = connection.inTransaction
            return try connection.transaction(.rowLocks) {
                if !isNested { try lockOutOthers(statements.name) }
                return try body()
            }
        } catch {
            throw Self.failure(error, place: place)
        }
    }

    /// Reads several statements from one state of the database.
    public func read<Result>(_ body: () throws -> Result) throws -> Result {
        do {
            return try connection.transaction(.deferred, body)
        } catch {
            throw Self.failure(error, place: place)
        }
    }

    /// In PostgreSQL, other transactions of that name on these tables. Let go with the transaction.
    func lockOutOthers(_ name: String) throws {
        guard connection.dialect == .postgresql else { return }
        _ = try connection.first(
            "SELECT pg_advisory_xact_lock(hashtextextended('jobhost:' || current_schema() || ':' || ?, 0))",
            [.text(name)]
        ) { _ in }
    }

    static func failure(_ error: any Error, place: String) -> any Error {
        guard let error = error as? SQLError else { return error }
        if error.kind == .busy {
            return JobFailure.transient("the exchange database \(place) is locked by another program", code: error.extendedCode)
        }
        if error.kind == .cannotOpen {
            let text = place.contains("://")
                ? error.message : "is the path right, and may this user write in its folder? The arena's tick creates a simulated one"
            return JobFailure.transient("cannot open the exchange database \(place): \(text)", code: error.extendedCode)
        }
        let text = "exchange database \(place): \(error)"
        return error.isTransient
            ? JobFailure.transient(text, code: error.extendedCode) : JobFailure.permanent(text, code: error.extendedCode)
    }

    // MARK: What is written beside an effect

    /// How far `name` has read; nil: never.
    public func checkpoint(_ name: String) throws -> (position: Int64, note: String)? {
        try first("checkpoint", ["name": .text(name)]) { (try $0.int64(0), try $0.text(1)) }
    }
    public func putCheckpoint(_ name: String, _ position: Int64, note: String = "", at now: Int64) throws {
        try run("put_checkpoint", [
            "name": .text(name), "position": .int(position), "note": .text(note), "now": .int(now),
        ])
    }

    /// Bytes of an event's name, and of its key: nobody is told of rows with longer ones.
    public static let longestEventKey = 512

    /// Announces an event in the outbox; false: it was announced before under this key. A name or key of no or too many
    /// bytes fails the run for good.
    @discardableResult
    public func emit(_ event: String, key: String, _ payload: JSONObject, at now: Int64) throws -> Bool {
        for (what, text) in [("name", event), ("key", key)] where !(1...Self.longestEventKey).contains(text.utf8.count) {
            throw JobFailure.permanent("the \(what) of an event has \(text.utf8.count) bytes; allowed are 1 … \(Self.longestEventKey)")
        }
        return try run("put_event", [
            "event": .text(event), "key": .text(key), "payload": .text(JSON.object(payload).text), "now": .int(now),
        ]) == 1
    }

    public func note(actor: String, action: String, subject: String, _ detail: JSONObject, at now: Int64) throws {
        try run("put_activity", [
            "actor": .text(actor), "action": .text(action), "subject": .text(subject),
            "detail": .text(JSON.object(detail).text), "now": .int(now),
        ])
    }
}

extension SQLStatement {
    /// An exact amount: text or an integer. A binary float or NULL throws.
    public func amount(_ column: Int) throws -> Amount {
        var amount: Result<Amount, AmountError> = .success(.zero)
        try withText(column) { amount = Amount.parsed($0) }
        do {
            return try amount.get()
        } catch {
            let names = columnNames
            let name = names.indices.contains(column) ? names[column] : String(column)
            throw JobFailure.permanent("column \(name): \(error)")
        }
    }
    public func amountOrNil(_ column: Int) throws -> Amount? { isNull(column) ? nil : try amount(column) }
}

extension SQLValue {
    public static func amount(_ value: Amount) -> SQLValue { .text(value.description) }
}
