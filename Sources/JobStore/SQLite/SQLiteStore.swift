import JobCore
import SQL
import Synchronization

/// The store in one SQLite file, for one host. Other programs may open the file too and insert
/// into `enqueue_inbox`.
///
/// Three threads of its own: one writes (group commit), one answers short questions, one
/// answers long ones and copies the log into the file. So no listing delays a claim, and no
/// claim waits for a checkpoint. A fourth one listens where somebody wants to hear. Callable from any task and thread.
public final class SQLiteStore: Sendable {
    public let path: String

    private let writes = Mailbox<Operation<SQLiteLedger>>()
    private let questions = Mailbox<Operation<SQLiteLedger>>()
    private let listings = Mailbox<Operation<SQLiteLedger>>()
    private let writer = ThreadCount()
    private let readers = ThreadCount()
    private let listener: SQLiteListener
    /// Ended by calls that are about something else.
    let expired = ExpiredBeside()
    let moreWaits = MoreWaits()

    private init(path: String, options: SQLiteStoreOptions) {
        self.path = path
        listener = SQLiteListener(path: path, options: options)
    }

    /// Opens or creates `path` (its folder must exist) and brings it to the newest format.
    ///
    /// Throws `incompatible` for a file of another program or a newer version, `unavailable`
    /// when it cannot be opened, written or locked now.
    public static func open(path: String, options: SQLiteStoreOptions = SQLiteStoreOptions()) async throws -> SQLiteStore {
        let store = SQLiteStore(path: path, options: options)
        do {
            try store.startThreads(options)
            // Creates the file, before the readers look for it.
            try await store.write { _ in }
            _ = try await store.ask { _ in }
            _ = try await store.list { _ in }
        } catch {
            await store.close()
            throw error
        }
        return store
    }

    deinit {
        writes.close()
        questions.close()
        listings.close()
        listener.stop()
    }

    private func startThreads(_ options: SQLiteStoreOptions) throws {
        let (path, writes, listings, listener) = (path, writes, listings, listener)
        try writer.start("store-write") {
            let file = StoreFile(path: path, role: .writer, options: options)
            var checkpoint = CheckpointPace()
            while let group = writes.takeAll() {
                GroupCommit.run(group, on: file, heardBy: listener)
                switch checkpoint.turn(pages: file.logPages) {
                case .none: break
                case .beside: _ = listings.put(.checkpoint)
                case .here: file.checkpoint()
                }
            }
            file.close()
        }
        for (name, mailbox) in [("store-ask", questions), ("store-list", listings)] {
            try readers.start(name) {
                let file = StoreFile(path: path, role: .reader, options: options)
                while let operations = mailbox.takeAll() {
                    for operation in operations { SnapshotRead.run(operation, on: file) }
                }
                file.close()
            }
        }
    }

    // MARK: Ways in

    func submit<Value: Sendable>(
        _ body: @escaping @Sendable (SQLiteLedger) throws -> Value,
        completion: @escaping @Sendable (Result<Value, StoreError>) -> Void
    ) {
        Self.put(Operation(body, completion: completion), into: writes)
    }

    /// In the writer's next transaction.
    func write<Value: Sendable>(_ body: @escaping @Sendable (SQLiteLedger) throws -> Value) async throws -> Value {
        try await Self.await(writes, body)
    }
    /// The same, where `body` may end runs whose time is over.
    func writeExpiring<Value: Sendable>(_ body: @escaping @Sendable (SQLiteLedger) throws -> Value) async throws -> Value {
        expired.keep(try await write { try ExpiredBeside.noting($0, body) })
    }
    /// A question whose answer is a few rows by an index.
    func ask<Value: Sendable>(_ body: @escaping @Sendable (SQLiteLedger) throws -> Value) async throws -> Value {
        try await Self.await(questions, body)
    }
    /// A listing, which may take its time.
    func list<Value: Sendable>(_ body: @escaping @Sendable (SQLiteLedger) throws -> Value) async throws -> Value {
        try await Self.await(listings, body)
    }

    private static func await<Value: Sendable>(
        _ mailbox: Mailbox<Operation<SQLiteLedger>>, _ body: @escaping @Sendable (SQLiteLedger) throws -> Value
    ) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            put(Operation(body) { continuation.resume(with: $0) }, into: mailbox)
        }
    }

    private static func put(_ operation: Operation<SQLiteLedger>, into mailbox: Mailbox<Operation<SQLiteLedger>>) {
        if !mailbox.put(operation) { operation.fail(StoreError(.unavailable, "the store is closed")) }
    }

    public func listen(_ heard: @escaping @Sendable (_ inbox: [String]?) -> Void) { listener.heard(heard, on: readers) }

    /// Finishes what was asked, then closes the file. Later calls throw `unavailable`.
    ///
    /// Where no other program has it open, all is in the one file afterwards, so that a copy of it is whole: the
    /// connection that is closed last copies the log into it, and of several that are closed at the same moment
    /// none would be the last. So the writer closes alone, after the others.
    public func close() async {
        listener.stop()
        questions.close()
        listings.close()
        await readers.allEnded()
        writes.close()
        await writer.allEnded()
    }
}

/// When to copy the log into the file, and who: by the pages in it, so that it stays bounded.
///
/// As a rule the listing thread copies, so that no claim waits for it. But what is written
/// meanwhile is not part of that copy, and a log of which not all is copied does not begin anew:
/// under a load without a pause it would grow for ever. So from `brake` on the writer copies,
/// by then little, and nobody writes meanwhile. Only a reader that stays in its snapshot holds
/// it up, for as long as it stays. Pure.
struct CheckpointPace {
    enum Turn { case none, beside, here }
    /// Pages between two copies; SQLite's own default.
    static let step = 1_000
    static let brake = 4_000
    /// To which a log that grew further is cut when it begins anew, bytes: a brake's worth.
    static let keptBytes = brake * 4_096
    private var done = 0

    mutating func turn(pages: Int) -> Turn {
        // It has begun anew.
        if pages < done { done = 0 }
        guard pages - done >= Self.step else { return .none }
        done = pages
        return pages >= Self.brake ? .here : .beside
    }
}

extension Operation<SQLiteLedger> {
    /// Copies as much of the log into the file as no reader still needs; waits for nobody.
    static var checkpoint: Self { Self(inTransaction: false, { ledger in
        _ = try ledger.connection.run("PRAGMA wal_checkpoint(PASSIVE)")
    }, completion: { _ in }) }
}
