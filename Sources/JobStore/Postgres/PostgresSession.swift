import Glibc
import JobCore
import SQL

/// One thread's connection to the store: made when it is needed, made anew when it was lost, and not
/// tried at every call while the server is away. Confined to one thread.
final class PostgresSession {
    enum Role {
        /// Creates and migrates the schema.
        case writer
        /// Never changes data.
        case reader
    }

    private let address: PostgresAddress
    private let options: PostgresStoreOptions
    private let host: String
    private let role: Role
    private let membership: PostgresMembership
    private var ledger: PostgresLedger?
    /// What this host has under way in the store is its own, also when a newer format is found there later.
    private var hasServed = false
    private var backoff = ReconnectPace()
    private var failure: (any Error)?
    /// As in `PostgresLedger`, over the connections.
    private var mayHaveCommitted = false

    init(address: PostgresAddress, options: PostgresStoreOptions, host: String, role: Role, membership: PostgresMembership) {
        self.address = address
        self.options = options
        self.host = host
        self.role = role
        self.membership = membership
    }

    /// The ledger over a connection that was open a moment ago. Throws at once, with what was wrong
    /// last, while it is too early to try again.
    func open() throws -> PostgresLedger {
        if let ledger, ledger.connection.isOpen { return ledger }
        let now = Self.monotonic()
        if let failure, backoff.isTooEarly(now) { throw failure }
        if let ledger, ledger.mayHaveCommitted { mayHaveCommitted = true }
        close()
        do {
            let fresh = try connect()
            fresh.mayHaveCommitted = mayHaveCommitted
            ledger = fresh
            hasServed = true
            backoff = ReconnectPace()
            failure = nil
            return fresh
        } catch {
            backoff.failed(Self.monotonic())
            failure = error
            throw error
        }
    }

    /// The server had cut the connection while nothing was asked of it: what was asked then can be asked anew.
    var wasLostAtBegin: Bool { ledger?.connection.wasLostAtBegin ?? false }

    /// The connection was ended while something was asked of it: what only reads can be asked anew.
    var wasCut: Bool { ledger?.connection.wasCut ?? false }

    func close() {
        ledger?.connection.close()
        ledger = nil
    }

    private func connect() throws -> PostgresLedger {
        var settings = PostgresOptions()
        settings.applicationName = "jobhost \(host)"
        settings.prepared = options.prepared
        settings.pipelined = true
        settings.replacesNUL = true
        settings.lockTimeoutMilliseconds = options.lockTimeoutMilliseconds
        settings.statementTimeoutMilliseconds = options.statementTimeoutMilliseconds
        settings.idleInTransactionMilliseconds = options.idleInTransactionMilliseconds
        settings.answerTimeoutMilliseconds = Int64(options.statementTimeoutMilliseconds) + 10_000
        let connection = try connection(settings)
        do {
            guard connection.serverVersion >= 130_000 else {
                throw StoreError(.incompatible, "\(address) is PostgreSQL \(connection.serverVersion / 10_000): version 13 or later is needed")
            }
            let ledger = PostgresLedger(connection: connection, schema: options.schema, host: host, session: membership)
            if role == .writer, try !PostgresMigrations.isUpToDate(connection, schema: options.schema) {
                let newer = try bringUpToDate(settings)
                if let newer, !hasServed { throw newer }
            }
            return ledger
        } catch {
            connection.close()
            throw error
        }
    }

    private func connection(_ settings: PostgresOptions) throws -> PostgresConnection {
        let connection = try PostgresConnection(address, options: settings)
        if role == .writer, let faultPoint = options.faultPoint { connection.faultPoint = { faultPoint($0) } }
        return connection
    }

    /// Over a connection of its own, on which an answer may take as long as a step with a long history does.
    private func bringUpToDate(_ settings: PostgresOptions) throws -> StoreError? {
        var patient = settings
        patient.answerTimeoutMilliseconds = 0
        let connection = try connection(patient)
        defer { connection.close() }
        return try PostgresMigrations.applyUnlessNewer(to: connection, schema: options.schema)
    }

    static func monotonic() -> MonotonicInstant {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return MonotonicInstant(microseconds: Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1_000)
    }
}

/// When to try a server again that could not be reached: soon, then every 2 seconds. Pure.
struct ReconnectPace {
    static let first = Duration.milliseconds(50)
    static let longest = Duration.seconds(2)
    private var step = ReconnectPace.first
    private var next: MonotonicInstant?

    func isTooEarly(_ now: MonotonicInstant) -> Bool { next.map { now < $0 } ?? false }

    mutating func failed(_ now: MonotonicInstant) {
        next = now + step
        step = min(step * 2, Self.longest)
    }
}

/// Whatever calls are waiting become one transaction, so that the store gets faster the more is
/// asked of it. Every caller is answered before this returns.
enum PostgresGroup {
    /// Two hosts that wait for each other, or a serialization failure: as often the same is tried.
    private static let rounds = 5

    static func run(_ group: [Operation<PostgresLedger>], on session: PostgresSession) {
        var round = 1
        var isSecond = false
        while true {
            do {
                for answer in try together(group, session) { answer() }
                return
            } catch {
                let kind = (error as? SQLError)?.kind
                if kind == .busy, round < rounds {
                    round += 1
                    continue
                }
                if !isSecond, session.wasLostAtBegin {
                    isSecond = true
                    continue
                }
                // A fault of one call's own is not the others': each alone.
                let isEverybodys = (error as? SQLError)?.isTransient ?? false || kind == .closed
                if group.count > 1, !isEverybodys {
                    for operation in group { run([operation], on: session) }
                    return
                }
                let failure = StoreError(wrapping: error)
                for operation in group { operation.fail(failure) }
                return
            }
        }
    }

    private static func together(_ group: [Operation<PostgresLedger>], _ session: PostgresSession) throws -> [@Sendable () -> Void] {
        let ledger = try session.open()
        ledger.begin()
        var answers: [@Sendable () -> Void] = []
        answers.reserveCapacity(group.count)
        var ended = false
        do {
            try ledger.connection.transaction(.rowLocks) {
                try ledger.lookAtFormat()
                try ledger.lock(group.map(\.locks))
                for operation in group { answers.append(try operation.perform(ledger)) }
                try ledger.finish()
                ended = true
            }
        } catch {
            // Whether the commit arrived is not known: results that come again are looked up.
            if ended, (error as? SQLError)?.kind == .io { ledger.mayHaveCommitted = true }
            throw error
        }
        return answers
    }

    /// A read: from a snapshot of its own, or one statement alone. It changes nothing, so where its connection is cut
    /// the same is asked once more.
    static func read(_ operation: Operation<PostgresLedger>, on session: PostgresSession, isSecond: Bool = false) {
        do {
            let ledger = try session.open()
            let answer = operation.inTransaction
                ? try ledger.connection.transaction(.deferred) { try operation.perform(ledger) }
                : try operation.perform(ledger)
            answer()
        } catch {
            if !isSecond, session.wasCut { return read(operation, on: session, isSecond: true) }
            operation.fail(StoreError(wrapping: error))
        }
    }
}
