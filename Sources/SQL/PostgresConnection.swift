import CPostgres

/// How a PostgreSQL database is opened. Password, TLS and service files are libpq's own, by URL
/// and environment.
public struct PostgresOptions: Sendable {
    /// Shown in `pg_stat_activity`.
    public var applicationName = "jobhost"
    /// false: nothing is kept in the server between transactions, as transaction poolers need it
    /// (pgbouncer with `pool_mode = transaction`): no prepared statements.
    public var prepared = true
    /// Prepared statements kept for reuse.
    public var cachedStatements = 128
    // The limits are each transaction's own, in both modes (see PostgresLimits.swift).

    /// How long a statement waits for another's lock before it throws `busy`, in milliseconds;
    /// 0: for ever.
    public var lockTimeoutMilliseconds: Int32 = 0
    /// How long the server works on a statement before it throws `interrupted`; 0: for ever.
    public var statementTimeoutMilliseconds: Int32 = 0
    /// How long the server lets a transaction wait for its next statement before it ends it, and this connection, in
    /// milliseconds; 0: for ever. The locks of a client that stands still, or whose machine is gone, last no longer.
    public var idleInTransactionMilliseconds: Int32 = 0
    /// How long to wait for an answer before the connection is given up (`io`), in milliseconds;
    /// 0: for ever, or as long as TCP's limits say.
    public var answerTimeoutMilliseconds: Int64 = 0
    /// Within a transaction, statements whose answer nobody waits for (BEGIN, what is `send`) go out with the next one
    /// that is waited for, in one round trip. A connection that was cut while nothing was asked of it is then found by
    /// that statement and not by BEGIN: it throws, and `wasLostAtBegin` says that the whole may be done again.
    public var pipelined = false
    /// PostgreSQL keeps no NUL character in a text: true replaces it by U+FFFD, false throws.
    public var replacesNUL = false
    /// A URL's own `connect_timeout` wins.
    public var connectTimeoutSeconds = 10

    public init() {}
}

/// A connection to one PostgreSQL database. Confined to one thread at a time (see `SQLConnection`).
///
/// Values: integers, floats, booleans, `bytea` and text come back as such; `numeric` as text with
/// every digit (and as an integer where it is one); all other types as PostgreSQL's text. A row's
/// answer is whole in memory before the first `step` returns.
///
/// A connection that was lost outside of a transaction is opened again by the next statement;
/// inside one, all that is left of it throws `io`.
public final class PostgresConnection: SQLConnection {
    public typealias Statement = PostgresStatement

    public let address: PostgresAddress
    public let options: PostgresOptions
    public var dialect: SQLDialect { .postgresql }
    public var faultPoint: ((SQLFaultPoint) -> Void)?

    /// Those of the options that are set.
    let limits: PostgresLimits?
    private(set) var handle: OpaquePointer?
    private var closedForGood = false
    /// What goes out with the next statement that is waited for. Of the open transaction.
    var queue: [PostgresQueued] = []
    /// The connection was lost by the first that a transaction asked: nothing of it can have been committed.
    public internal(set) var wasLostAtBegin = false
    /// It was given up for an answer that did not come: the server may be at it still, and would be at it twice.
    private var wasGivenUp = false
    /// Statements of this life that the server is to forget, by the names that it knows them by.
    private var surplus: [String] = []
    /// Counts connections: what is prepared belongs to one of them.
    public private(set) var life = 0
    var transaction = TransactionState.none
    private var compiled: [String: Compiled] = [:]
    private var clock: UInt64 = 0
    private var names = 0

    /// What the program believes, which outlives a lost connection.
    enum TransactionState { case none, open, lost }

    /// Connects. Throws `cannotOpen` when there is no such server, database or user, or libpq is
    /// not installed.
    public init(_ address: PostgresAddress, options: PostgresOptions = PostgresOptions()) throws(SQLError) {
        self.address = address
        self.options = options
        limits = try PostgresLimits(options)
        if let problem = cpg_load() { throw SQLError(.cannotOpen, String(cString: problem)) }
        try connect()
        SQLConnectionWatch.opened?(self)
    }

    deinit { close() }

    public func close() {
        closedForGood = true
        disconnect()
    }

    func disconnect() {
        dropQueue()
        guard let handle else { return }
        self.handle = nil
        cpg_close(handle)
        if transaction == .open { transaction = .lost }
    }

    private func connect() throws(SQLError) {
        disconnect()
        // Those before the URL give way to it.
        let parameters = [
            ("connect_timeout", "\(options.connectTimeoutSeconds)"), ("tcp_user_timeout", "15000"), ("keepalives_idle", "15"),
            ("keepalives_interval", "5"), ("keepalives_count", "3"), ("application_name", options.applicationName),
            ("dbname", address.url), ("client_encoding", "UTF8"),
        ]
        let fresh = CStrings.with(parameters.map(\.0)) { keywords in
            CStrings.with(parameters.map(\.1)) { values in cpg_connect(keywords, values) }
        }
        guard let fresh else { throw SQLError(.noMemory, "out of memory") }
        guard cpg_is_open(fresh) else {
            let message = Self.text(cpg_error(fresh))
            cpg_close(fresh)
            throw SQLError(.cannotOpen, "cannot connect to \(address): \(address.scrubbed(message))")
        }
        handle = fresh
        life += 1
        (wasGivenUp, surplus) = (false, [])
    }

    // MARK: Use

    var isClosedForGood: Bool { closedForGood }
    public var isOpen: Bool { handle.map { cpg_is_open($0) } ?? false }
    /// The server, or what lies between, has ended the connection: what only reads can be asked again.
    public var wasCut: Bool { !closedForGood && !isOpen && !wasGivenUp }

    public var inTransaction: Bool { !closedForGood && transaction != .none }

    /// As 150018 for 15.18; 0: not connected.
    public var serverVersion: Int { handle.map { Int(cpg_server_version($0)) } ?? 0 }

    /// The process that serves this connection.
    public var backendPID: Int32 { handle.map { cpg_backend_pid($0) } ?? 0 }

    public func prepare(_ sql: String) throws(SQLError) -> PostgresStatement {
        let known = compiled[sql]
        let entry = if let known { known } else { Compiled(try PostgresText(sql)) }
        if known == nil { compiled[sql] = entry }
        clock += 1
        entry.used = clock
        do {
            try ready(sql)
            // In a transaction that goes along with its execution.
            if !mayQueue { try prepareInServer(entry, sql: sql) }
        } catch {
            if entry.holders == 0 { compiled[sql] = nil }
            throw error
        }
        if known == nil { makeRoom() }
        return PostgresStatement(entry, sql: sql, connection: self)
    }

    public func execute(_ script: String) throws(SQLError) {
        // Several statements of one message are one transaction.
        try execute(script, behind: transaction == .none ? limits?.script ?? "" : "")
    }

    private func execute(_ script: String, behind first: String) throws(SQLError) {
        faultPoint?(.before(script))
        try ready(script)
        try flush()
        try check(exec(first + script), sql: script)
        faultPoint?(.after(script))
        if closedForGood { throw closed(script) }
    }

    public func begin(_ mode: SQLTransactionMode) throws(SQLError) {
        let level = switch mode {
        case .deferred: "REPEATABLE READ"
        case .immediate: "SERIALIZABLE"
        case .rowLocks: "READ COMMITTED"
        }
        if options.pipelined { return try queueBegin("BEGIN ISOLATION LEVEL \(level)") }
        let script = "BEGIN ISOLATION LEVEL \(level)" + (limits?.local ?? "")
        let used = life
        do {
            try execute(script, behind: "")
        } catch {
            // An idle connection that the server has closed meanwhile: nothing was begun, so
            // nothing is lost by beginning on a new one.
            guard error.kind == .io, isOpen == false, life == used, !closedForGood else { throw error }
            transaction = .none
            try execute(script, behind: "")
        }
    }

    public func control(_ statement: String) throws(SQLError) {
        defer { forgetSurplus() }
        let endsAll = statement == "COMMIT" || statement == "ROLLBACK"
        if transaction == .lost, endsAll {
            transaction = .none
            if statement == "COMMIT" { throw lost(statement) }
            return
        }
        if try endQueue(statement) { return }
        try execute(statement, behind: "")
    }

    // MARK: Inside

    /// A connection that can be used now.
    func ready(_ sql: String) throws(SQLError) {
        if closedForGood { throw closed(sql) }
        if transaction == .lost { throw lost(sql) }
        if isOpen { return }
        if transaction == .open {
            transaction = .lost
            throw lost(sql)
        }
        try connect()
    }

    func closed(_ sql: String) -> SQLError { SQLError(.closed, "the connection to \(address) is closed", sql: sql) }
    func lost(_ sql: String) -> SQLError {
        SQLError(.io, "the connection to \(address) was lost in the middle of a transaction", sql: sql)
    }

    private func exec(_ script: String) throws(SQLError) -> PostgresResult {
        var timedOut = false
        let result = cpg_exec(handle, script, options.answerTimeoutMilliseconds, &timedOut)
        return try answered(result, timedOut, sql: script)
    }

    func run(_ entry: Compiled, _ values: borrowing BoundValues, sql: String) throws(SQLError) -> PostgresResult {
        try ready(sql)
        if mayQueue, !queue.isEmpty || options.prepared && entry.life != life {
            return try answer(to: enqueue(PostgresQueued(sql, entry, copy values)))
        }
        if isAlone { return try answer(toAlone: PostgresQueued(sql, entry, copy values)) }
        try prepareInServer(entry, sql: sql)
        var timedOut = false
        let limit = options.answerTimeoutMilliseconds
        let result = values.withPointers(entry.text.places) { count, texts, lengths, formats in
            options.prepared
                ? cpg_execute(handle, entry.name, count, texts, lengths, formats, limit, &timedOut)
                : cpg_execute_text(handle, entry.text.text, count, texts, lengths, formats, limit, &timedOut)
        }
        let answer = try answered(result, timedOut, sql: sql)
        try check(answer, sql: sql)
        return answer
    }

    func describe(_ entry: Compiled) -> PostgresResult? {
        guard options.prepared, isOpen, entry.life == life else { return nil }
        let sql = entry.text.text
        if isAlone { return try? answer(toAlone: PostgresQueued(sql, entry, BoundValues(count: 0), work: .description)) }
        var timedOut = false
        let result = cpg_describe(handle, entry.name, options.answerTimeoutMilliseconds, &timedOut)
        return try? answered(result, timedOut, sql: sql)
    }

    private func prepareInServer(_ entry: Compiled, sql: String) throws(SQLError) {
        guard options.prepared, entry.life != life else { return }
        if isAlone { return try sendAlone(PostgresQueued(sql, entry, BoundValues(count: 0), work: .preparation)) }
        name(entry)
        var timedOut = false
        let result = cpg_prepare(handle, entry.name, entry.text.text, options.answerTimeoutMilliseconds, &timedOut)
        try check(try answered(result, timedOut, sql: sql), sql: sql)
        entry.life = life
    }

    func name(_ entry: Compiled) {
        names += 1
        entry.name = "s\(names)"
    }

    /// Statements in the cache that nobody holds make room, those used longest ago first.
    private func makeRoom() {
        while compiled.count > max(options.cachedStatements, 1) {
            let idle = compiled.filter { $0.value.holders == 0 }
            guard let oldest = idle.min(by: { $0.value.used < $1.value.used }) else { return }
            compiled[oldest.key] = nil
            if options.prepared, oldest.value.life == life { surplus.append(oldest.value.name) }
        }
        forgetSurplus()
    }

    /// Never in a transaction: where the connection has been cut meanwhile, nothing of one is lost by it.
    private func forgetSurplus() {
        guard transaction == .none, !surplus.isEmpty, isOpen else { return }
        let names = surplus
        surplus = []
        _ = try? exec(names.map { "DEALLOCATE \($0)" }.joined(separator: "; "))
    }

    /// No answer is the end of the connection.
    private func answered(_ result: OpaquePointer?, _ timedOut: Bool, sql: String) throws(SQLError) -> PostgresResult {
        if let result {
            noteTransaction()
            return PostgresResult(result)
        }
        throw giveUp(timedOut, sql: sql)
    }

    func giveUp(_ timedOut: Bool, sql: String) -> SQLError {
        let reason = timedOut
            ? "no answer from \(address) in \(options.answerTimeoutMilliseconds) ms"
            : "the connection to \(address) was lost: " + address.scrubbed(Self.text(cpg_error(handle)))
        wasGivenUp = timedOut
        disconnect()
        return SQLError(.io, reason, sql: sql)
    }

    func noteTransaction() {
        // What is only queued is not known to the server.
        guard let handle, queue.isEmpty else { return }
        switch cpg_transaction(handle) {
        case Int32(CPG_TRANSACTION_IDLE): transaction = .none
        case Int32(CPG_TRANSACTION_UNKNOWN): if transaction == .open { transaction = .lost }
        default: transaction = .open
        }
    }

    /// Throws what the server said.
    func check(_ result: PostgresResult, sql: String) throws(SQLError) {
        let status = cpg_status(result.pointer)
        if status == Int32(CPG_TUPLES) || status == Int32(CPG_EMPTY) { return }
        if status == Int32(CPG_COMMAND) {
            // The server's answer to COMMIT in a transaction of which a statement failed.
            if sql == "COMMIT", Self.text(cpg_command(result.pointer)) == "ROLLBACK" {
                throw SQLError(.statement, "the transaction was rolled back, since a statement in it had failed", sql: sql)
            }
            return
        }
        let state = Self.text(cpg_sqlstate(result.pointer))
        var message = address.scrubbed(Self.text(cpg_message(result.pointer)))
        if state == "26000", options.prepared {
            message += ": behind a transaction pooler prepared statements must be off (prepared = false)"
        }
        throw SQLError(SQLError.Kind(sqlState: state), message, sqlState: state, sql: sql)
    }

    /// Without the line's end, which libpq's messages have.
    private static func text(_ pointer: UnsafePointer<CChar>?) -> String {
        guard let pointer else { return "" }
        var text = String(cString: pointer)
        while text.last?.isNewline == true { text.removeLast() }
        return text
    }

    // MARK: Notifications

    /// Waits up to `milliseconds` for a NOTIFY on a channel that this connection listens to, or for
    /// `bell`. Returns how many came. Throws `io` when the connection is lost: what was listened to
    /// must be listened to anew.
    public func notifications(bell: PostgresBell? = nil, milliseconds: Int64) throws(SQLError) -> Int {
        try ready("LISTEN")
        let count = cpg_notifications(handle, bell?.descriptor ?? -1, milliseconds)
        if count < 0 {
            disconnect()
            throw SQLError(.io, "the connection to \(address) was lost", sql: "LISTEN")
        }
        return Int(count)
    }
}

/// Ends a wait for notifications, from any thread; once rung it stays so.
public final class PostgresBell: Sendable {
    let descriptor: Int32

    /// Throws `cannotOpen` when the process has no descriptor left.
    public init() throws(SQLError) {
        descriptor = cpg_wake_make()
        guard descriptor >= 0 else { throw SQLError(.cannotOpen, "no descriptor is left") }
    }

    deinit { cpg_wake_close(descriptor) }

    public func ring() { cpg_wake(descriptor) }
    /// Returns when it has been rung, or after `milliseconds`.
    public func wait(milliseconds: Int64) { cpg_wake_wait(descriptor, milliseconds) }
}

/// A statement's translation, and its name in the server.
final class Compiled {
    let text: PostgresText
    var name = ""
    /// The connection's life in which it was prepared; 0: in none.
    var life = 0
    var used: UInt64 = 0
    var holders = 0
    init(_ text: PostgresText) { self.text = text }
}

/// An answer, given back with the last reference to it.
final class PostgresResult {
    let pointer: OpaquePointer
    init(_ pointer: OpaquePointer) { self.pointer = pointer }
    deinit { cpg_clear(pointer) }
}

extension SQLError.Kind {
    /// From a SQLSTATE of PostgreSQL.
    init(sqlState: String) {
        self = switch (sqlState, sqlState.prefix(2)) {
        case ("40001", _), ("40P01", _), ("55P03", _), ("55006", _): .busy
        case ("57014", _): .interrupted
        case ("53100", _): .full
        case ("53200", _): .noMemory
        case ("53300", _), ("57P03", _), ("42501", _), (_, "28"), (_, "3D"): .cannotOpen
        case ("25006", _): .readOnly
        case ("22012", _): .other
        // A transaction that waited too long for its next statement: its connection is gone.
        case ("25P03", _): .io
        case (_, "08"), (_, "57"), (_, "58"), (_, "53"), ("", _): .io
        case (_, "22"), (_, "23"): .constraint
        case (_, "54"): .tooBig
        case ("XX001", _), ("XX002", _): .corrupt
        case (_, "42"), (_, "0A"), (_, "25"), (_, "26"), (_, "3F"): .statement
        default: .other
        }
    }
}
