import ExchangeKit
import Foundation
import Glibc
import JobKit
import PostgresTestKit
import SQL

/// An exchange for one test, gone when the test is. With `JOBHOST_TEST_EXCHANGE=postgresql` in the
/// environment it is a schema of its own on the server that `JOBHOST_TEST_POSTGRES` names; else in
/// memory, or a file in a temporary folder where what is tested opens it itself or more than one
/// connection is needed.
public final class TestExchange {
    public enum Place { case memory, disk }

    /// Which database this run of the tests is about.
    public static let dialect: SQLDialect =
        getenv("JOBHOST_TEST_EXCHANGE").map { String(cString: $0) } == "postgresql" ? .postgresql : .sqlite

    /// Open, for building and for looking.
    public let exchange: Exchange
    public let location: ExchangeLocation
    private let folder: URL?
    private let schema: TestPostgres.Schema?

    public var connection: any SQLConnection { exchange.connection }
    /// "sqlite:…", as a setting.
    public var database: String { location.database }

    /// - Parameters:
    ///   - statements: the plugin's own.
    ///   - purpose: in memory always a simulation.
    public init(
        _ place: Place = .memory, purpose: Exchange.Purpose = .simulation,
        statements: StatementSet = StatementSet([:]), at now: Int64 = 0
    ) throws {
        if Self.dialect == .postgresql {
            folder = nil
            let schema = try TestPostgres.make()
            self.schema = schema
            location = ExchangeLocation(database: schema.url, lockTimeout: .seconds(1), sql: [:])
            do {
                let fresh = try PostgresConnection(PostgresAddress(schema.url))
                try fresh.execute(Exchange.schemaScript(.postgresql, purpose: place == .memory ? .simulation : purpose, at: now))
                fresh.close()
                exchange = try Exchange.open(location, statements: statements)
            } catch {
                try? TestPostgres.drop(schema)
                throw error
            }
            return
        }
        schema = nil
        switch place {
        case .memory:
            folder = nil
            location = ExchangeLocation(database: "sqlite::memory:", lockTimeout: .seconds(1), sql: [:])
            exchange = try Exchange.openSimulation(location, statements: statements, at: now).exchange
        case .disk:
            let folder = FileManager.default.temporaryDirectory.appending(path: "exchange-\(UUID().uuidString)")
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            self.folder = folder
            let path = folder.appending(path: "exchange.db").path
            location = ExchangeLocation(database: "sqlite:" + path, lockTimeout: .seconds(1), sql: [:])
            var options = SQLiteOptions()
            options.pragmas = [("synchronous", "OFF")]
            let fresh = try SQLiteConnection(path: path, options: options)
            try fresh.transaction(.immediate) { try fresh.execute(Exchange.schemaScript(purpose: purpose, at: now)) }
            fresh.close()
            exchange = try Exchange.open(location, statements: statements)
            // Nobody pulls the plug while a test builds.
            try exchange.connection.execute("PRAGMA synchronous = OFF")
        }
    }

    deinit {
        exchange.close()
        if let folder { try? FileManager.default.removeItem(at: folder) }
        if let schema { try? TestPostgres.drop(schema) }
    }

    /// A second connection to the same database, as another program has one.
    ///
    /// - Parameter patience: how long it waits for a lock, milliseconds.
    public func otherProgram(patience: Int32 = 1_000) throws -> any SQLConnection {
        switch try location.address() {
        case .sqlite(let path):
            var options = SQLiteOptions()
            options.create = false
            options.busyTimeoutMilliseconds = patience
            options.pragmas = [("foreign_keys", "ON")]
            return try SQLiteConnection(path: path, options: options)
        case .postgresql(let address):
            var options = PostgresOptions()
            // 0 would be for ever.
            options.lockTimeoutMilliseconds = max(1, patience)
            return try PostgresConnection(address, options: options)
        }
    }

    // MARK: Building

    /// Executes an INSERT; the id it gave.
    @discardableResult
    public func insert(_ sql: String, _ values: [SQLValue] = []) throws -> Int64 {
        try connection.run(sql, values)
        let last = Self.dialect == .sqlite ? "SELECT last_insert_rowid()" : "SELECT lastval()"
        return try connection.first(last) { try $0.int64(0) } ?? 0
    }

    /// The pair of that symbol ("XRP/ETH"), made where it is missing.
    @discardableResult
    public func pair(_ symbol: String, contractSize: String = "1", sizeStep: String = "0") throws -> Int64 {
        if let id = try connection.first("SELECT id FROM pairs WHERE symbol = ?", [.text(symbol)], { try $0.int64(0) }) {
            return id
        }
        let sides = symbol.split(separator: "/").map(String.init)
        guard sides.count == 2 else { throw JobFailure.permanent("'\(symbol)' is not BASE/QUOTE") }
        return try insert(
            "INSERT INTO pairs (symbol, base, quote, contract_size, size_step, created_ms) VALUES (?, ?, ?, ?, ?, 0)",
            [.text(symbol), .text(sides[0]), .text(sides[1]), .text(contractSize), .text(sizeStep)])
    }

    public func trade(_ pair: Int64, _ id: Int64, at instant: Int64, _ price: String, _ amount: String) throws {
        try connection.run(
            "INSERT INTO trades (pair_id, id, ts_ms, side, price, amount) VALUES (?, ?, ?, 'buy', ?, ?)",
            [.int(pair), .int(id), .int(instant), .text(price), .text(amount)])
    }

    public func quote(_ pair: Int64, at instant: Int64, bid: String, ask: String) throws {
        try connection.run(
            "INSERT INTO quotes (pair_id, ts_ms, bid, ask) VALUES (?, ?, ?, ?)",
            [.int(pair), .int(instant), .text(bid), .text(ask)])
    }

    /// The wallet of an owner, with money from outside the exchange paid in; its id.
    @discardableResult
    public func pay(_ amount: Amount, _ currency: String, to owner: String, at now: Int64 = 0) throws -> Int64 {
        try exchange.write {
            let ledger = Ledger(exchange)
            let wallet = try ledger.wallet(owner: owner, currency: currency)
            let outside = try ledger.wallet(owner: "platform:external", currency: currency, mayBeNegative: true)
            try ledger.post(
                cause: "opening:\(wallet):\(try count("ledger_causes"))", kind: "opening",
                [.init(wallet, .available, amount), .init(outside, .available, try -amount)], at: now)
            return wallet
        }
    }

    /// Moves available money of a wallet into its locked bucket, or back where it is negative.
    public func lock(_ amount: Amount, of wallet: Int64, cause: String, at now: Int64 = 0) throws {
        try exchange.write {
            _ = try Ledger(exchange).post(
                cause: cause, kind: "order",
                [.init(wallet, .available, try -amount), .init(wallet, .locked, amount)], at: now)
        }
    }

    // MARK: Looking

    /// Each row as one text, columns apart by a blank, NULL as "-".
    public func texts(_ sql: String, _ values: [SQLValue] = []) throws -> [String] {
        try connection.texts(sql, values)
    }

    public func number(_ sql: String, _ values: [SQLValue] = []) throws -> Int64 {
        try connection.first(sql, values) { try $0.int64(0) } ?? -1
    }

    public func count(_ table: String) throws -> Int64 { try number("SELECT count(*) FROM " + table) }

    /// "available locked" of a wallet.
    public func money(_ owner: String, _ currency: String) throws -> String {
        try texts("SELECT available, locked FROM wallets WHERE owner = ? AND currency = ?", [.text(owner), .text(currency)])
            .first ?? "no wallet"
    }

    /// The names of the outbox's events, in order.
    public func events() throws -> [String] { try texts("SELECT event FROM outbox_events ORDER BY seq") }

    /// See `Ledger.differences`.
    public func differences() throws -> [String] { try Ledger(exchange).differences() }
}

extension SQLConnection {
    /// Each row as one text, columns apart by a blank, NULL as "-".
    func texts(_ sql: String, _ values: [SQLValue]) throws -> [String] {
        try rows(sql, values) { row in
            try row.columnNames.indices.map { row.isNull($0) ? "-" : try row.text($0) }.joined(separator: " ")
        }
    }
}

extension TestExchange {
    /// What an entry's doctor finds here, as "warning pairs: 0 active pairs …", without the findings
    /// that are common to all jobs. The exchange has to be on disk.
    ///
    /// - Parameters:
    ///   - now: milliseconds.
    ///   - settings: members of a JSON object, after `database`: `"mode": "live"`.
    public func doctor<E: JobEntry>(_ entry: E.Type, at now: Int64, job: String = "test", _ settings: String = "") -> [String] {
        let test = TestRun(settings: #"{"database": "\#(database)"\#(settings.isEmpty ? "" : ", " + settings)}"#)
        test.fireTimeMicroseconds = now * 1_000
        test.job = job
        let code = test.doctor(entry)
        let common: Set = ["database", "lock", "statements", "ledger"]
        let own = test.findings.filter { !common.contains($0.subject) || $0.level == .error }
        return own.map { "\($0.level) \($0.subject): \($0.text)" } + (code == .succeeded ? [] : ["\(code): \(test.text)"])
    }
}
