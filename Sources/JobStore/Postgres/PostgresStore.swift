import Glibc
import JobCore
import SQL

/// The store in a PostgreSQL database, for any number of hosts. Other programs enqueue by its
/// function `enqueue`, in transactions of their own.
///
/// Six threads with a connection each. Three write (group commit): claims and all that has no thread of its own,
/// ends of attempts, arrivals from the inbox; none of them waits for the commit of another. One answers short
/// questions, one long ones, one listens. Callable from any task and thread.
public final class PostgresStore: Sendable {
    /// Without secrets.
    public let place: String

    let writes = Mailbox<Operation<PostgresLedger>>()
    let ends = Mailbox<Operation<PostgresLedger>>()
    let arrivals = Mailbox<Operation<PostgresLedger>>()
    let questions = Mailbox<Operation<PostgresLedger>>()
    let listings = Mailbox<Operation<PostgresLedger>>()
    private let threads = ThreadCount()
    private let listener: PostgresListener?
    private let membership: PostgresMembership
    /// Ended by calls that are about something else.
    let expired = ExpiredBeside()
    let moreWaits = MoreWaits()

    private init(place: String, listener: PostgresListener?, _ options: PostgresStoreOptions) {
        self.place = place
        self.listener = listener
        membership = PostgresMembership(notifies: options.notify, listens: listener != nil)
    }

    /// Opens the database at `url`, makes the schema or brings it to the newest format. `host` is
    /// this host's name, which no other may have.
    ///
    /// Throws `incompatible` for a schema of another program or a newer version, `unavailable` when
    /// the database cannot be reached now.
    public static func open(url: String, host: String, options: PostgresStoreOptions = PostgresStoreOptions()) async throws -> PostgresStore {
        let address: PostgresAddress
        let listening: PostgresAddress?
        do {
            address = try PostgresAddress(url)
            // Through a transaction pooler nobody can listen.
            listening = if !options.notify { nil } else if let other = options.listenURL { try PostgresAddress(other) } else { options.prepared ? address : nil }
        } catch {
            throw StoreError(.incompatible, error.message)
        }
        let listener = try listening.map { try PostgresListener(address: $0, channel: options.schema) }
        let store = PostgresStore(place: address.description, listener: listener, options)
        do {
            try store.startThreads(address, host, options)
            // Makes the schema, before anybody reads from it.
            try await store.write { _ in }
            for writer in [store.ends, store.arrivals] { try await store.write(to: writer) { _ in } }
            _ = try await store.ask { _ in }
            _ = try await store.list { _ in }
        } catch {
            await store.close()
            throw error
        }
        return store
    }

    deinit {
        for mailbox in [writes, ends, arrivals, questions, listings] { mailbox.close() }
        listener?.stop()
    }

    private func startThreads(_ address: PostgresAddress, _ host: String, _ options: PostgresStoreOptions) throws {
        let membership = membership
        for (name, mailbox) in [("store-write", writes), ("store-ends", ends), ("store-arrivals", arrivals)] {
            try threads.start(name) {
                let session = PostgresSession(address: address, options: options, host: host, role: .writer, membership: membership)
                while let group = mailbox.takeAll() {
                    for start in stride(from: 0, to: group.count, by: options.groupLimit) {
                        PostgresGroup.run(Array(group[start..<min(start + options.groupLimit, group.count)]), on: session)
                    }
                }
                session.close()
            }
        }
        for (name, mailbox) in [("store-ask", questions), ("store-list", listings)] {
            try threads.start(name) {
                let session = PostgresSession(address: address, options: options, host: host, role: .reader, membership: membership)
                while let operations = mailbox.takeAll() {
                    for operation in operations { PostgresGroup.read(operation, on: session) }
                }
                session.close()
            }
        }
        if let listener { try threads.start("store-listen") { listener.run() } }
    }

    // MARK: Ways in

    /// In the next transaction of a writer, `writes` if none is named. `body` may be performed several times, each in
    /// a transaction of its own, of which only the last is committed.
    func write<Value: Sendable>(
        to writer: Mailbox<Operation<PostgresLedger>>? = nil, locking locks: JobLocks = JobLocks(),
        _ body: @escaping @Sendable (PostgresLedger) throws -> Value
    ) async throws -> Value {
        try await Self.await(writer ?? writes, inTransaction: true, locking: locks, body)
    }
    /// The same, where `body` may end runs whose time is over.
    func writeExpiring<Value: Sendable>(
        to writer: Mailbox<Operation<PostgresLedger>>? = nil, locking locks: JobLocks = JobLocks(),
        _ body: @escaping @Sendable (PostgresLedger) throws -> Value
    ) async throws -> Value {
        expired.keep(try await write(to: writer, locking: locks) { try ExpiredBeside.noting($0, body) })
    }
    /// A question whose answer is a few rows by an index. One that is a single statement needs no BEGIN and COMMIT: it
    /// brings its limits along.
    func ask<Value: Sendable>(
        oneStatement: Bool = false, _ body: @escaping @Sendable (PostgresLedger) throws -> Value
    ) async throws -> Value {
        try await Self.await(questions, inTransaction: !oneStatement, body)
    }
    /// A listing, which may take its time.
    func list<Value: Sendable>(_ body: @escaping @Sendable (PostgresLedger) throws -> Value) async throws -> Value {
        try await Self.await(listings, inTransaction: true, body)
    }

    private static func await<Value: Sendable>(
        _ mailbox: Mailbox<Operation<PostgresLedger>>, inTransaction: Bool, locking locks: JobLocks = JobLocks(),
        _ body: @escaping @Sendable (PostgresLedger) throws -> Value
    ) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            let operation = Operation(inTransaction: inTransaction, locks: locks, body) { continuation.resume(with: $0) }
            if !mailbox.put(operation) { operation.fail(StoreError(.unavailable, "the store is closed")) }
        }
    }

    public func listen(_ heard: @escaping @Sendable (_ inbox: [String]?) -> Void) { listener?.heard { heard(nil) } }

    /// Finishes what was asked, then closes the connections. Later calls throw `unavailable`.
    public func close() async {
        for mailbox in [questions, listings, arrivals, ends, writes] { mailbox.close() }
        listener?.stop()
        await threads.allEnded()
    }
}

/// How a `PostgresStore` behaves. The defaults are for production.
public struct PostgresStoreOptions: Sendable {
    /// Where its tables are; made if missing. Also the channel of its notifications.
    public var schema = "jobhost"
    /// false: behind a transaction pooler.
    public var prepared = true
    /// false: neither listens nor notifies. What waits is found by asking.
    public var notify = true
    /// Where to listen, if not at the database's own URL: a pooler cannot.
    public var listenURL: String?
    /// How long a write waits for another's lock.
    public var lockTimeoutMilliseconds: Int32 = 10_000
    /// How long the server works on one statement.
    public var statementTimeoutMilliseconds: Int32 = 30_000
    /// How long the locks last of a host that stands still within a transaction: less than others wait for a lock, and
    /// far less than a lease.
    public var idleInTransactionMilliseconds: Int32 = 5_000
    /// Calls in one transaction: more would hold its locks for long.
    public var groupLimit = 64
    /// Called on the writer's thread around every statement (tests end the process there).
    public var faultPoint: (@Sendable (SQLFaultPoint) -> Void)?

    public init() {}
}
