import Glibc
import JobCore
import SQL

/// One thread's view of the store's file: opens it when needed, notices when it was deleted or
/// replaced under us, and opens it again when it is back. Confined to one thread.
///
/// Without this, SQLite would go on writing into a deleted file, and all of it would be gone
/// at the next start.
final class StoreFile {
    enum Role {
        /// Creates and migrates the file.
        case writer
        /// Never changes data; may checkpoint.
        case reader
    }

    /// Which file a path leads to.
    private struct Identity: Equatable {
        var device: UInt64
        var inode: UInt64
    }

    let path: String
    private let role: Role
    private let options: SQLiteStoreOptions
    private var ledger: SQLiteLedger?
    private var identity: Identity?
    private var log: Identity?
    private var everOpened = false
    /// As `othersArrivals` has found the file last.
    private var seen: Int64?

    init(path: String, role: Role, options: SQLiteStoreOptions) {
        self.path = path
        self.role = role
        self.options = options
    }

    /// The ledger over an open connection to the file that is at `path` now.
    func open() throws -> SQLiteLedger {
        let found = Self.identity(of: path)
        if let ledger {
            if found == identity, try logIsSound(ledger) { return ledger }
            guard found != nil else { throw gone }
            close()
        } else if everOpened, found == nil {
            throw gone
        }
        let fresh = try connect()
        ledger = fresh
        identity = Self.identity(of: path)
        log = Self.identity(of: logPath)
        everOpened = true
        return fresh
    }

    private var gone: StoreError {
        StoreError(.unavailable, "the store's file \(path) has gone: put it back, or restart the host for an empty one")
    }

    private var logPath: String { path + "-wal" }

    /// false: the connection has to be opened anew, since the write-ahead log that it holds is
    /// no longer the one at its path. Only deleting it by hand does that.
    ///
    /// The writer, which still holds the deleted log, copies it into the file and declares it
    /// empty before anybody opens a new one: a new, empty log under an index that speaks of the
    /// old one would read as a damaged file. Readers go on with what they hold until then.
    private func logIsSound(_ ledger: SQLiteLedger) throws -> Bool {
        let found = Self.identity(of: logPath)
        if found == log { return true }
        switch role {
        case .reader:
            return found == nil
        case .writer:
            let busy = try ledger.connection.first("PRAGMA wal_checkpoint(TRUNCATE)") { try $0.int64(0) } ?? 1
            guard busy == 0 else {
                throw StoreError(.unavailable, "the store's log \(logPath) was deleted while it was open; saving its content waits for readers")
            }
            return false
        }
    }

    /// Pages in the write-ahead log after the newest commit over the open connection.
    var logPages: Int { ledger?.connection.logPages ?? 0 }

    /// Copies as much of the log into the file as no reader still needs; waits for nobody. What
    /// fails here is tried again when the log has grown further.
    func checkpoint() {
        _ = try? ledger?.connection.run("PRAGMA wal_checkpoint(PASSIVE)")
    }

    /// A connection after whose failure nothing is certain about it.
    func close() {
        ledger?.connection.close()
        ledger = nil
        identity = nil
        log = nil
        seen = nil
    }

    /// What the inbox was found to hold.
    struct Arrivals {
        /// Of the file, as this connection sees it: another one by every commit of others, not by its own.
        var version: Int64
        /// Of the oldest rows that nobody has taken; not looked for where the version is the old one.
        var jobs: [String]
    }
    /// As many as a claim takes along at least; a flood is looked at with each of its commits.
    private static let oldestRows = 32

    /// - Parameter version: nil: it is looked in any case.
    func arrivals(after version: Int64?) throws -> Arrivals {
        let ledger = try open()
        let found = try Self.version(ledger)
        return Arrivals(version: found, jobs: found == version ? [] : try ledger.jobsInInbox(rows: Self.oldestRows))
    }

    /// Within a transaction: whether others have committed something since this was asked last, and there is something in
    /// the inbox.
    func othersArrivals() throws -> Bool {
        guard let ledger else { return false }
        let found = try Self.version(ledger)
        let areThere = try found != seen && ledger.hasArrivals()
        seen = found
        return areThere
    }

    private static func version(_ ledger: SQLiteLedger) throws -> Int64 {
        try ledger.connection.first("PRAGMA data_version") { try $0.int64(0) } ?? 0
    }

    private static func identity(of path: String) -> Identity? {
        var information = stat()
        guard stat(path, &information) == 0 else { return nil }
        return Identity(device: UInt64(information.st_dev), inode: UInt64(information.st_ino))
    }

    private func connect() throws -> SQLiteLedger {
        var sqlite = SQLiteOptions()
        sqlite.busyTimeoutMilliseconds = options.busyTimeoutMilliseconds
        sqlite.create = role == .writer && !everOpened
        let connection = try SQLiteConnection(path: path, options: sqlite)
        if role == .writer, let faultPoint = options.faultPoint { connection.faultPoint = { faultPoint($0) } }
        do {
            try prepare(connection)
            return SQLiteLedger(connection: connection)
        } catch {
            connection.close()
            throw error
        }
    }

    private func prepare(_ connection: SQLiteConnection) throws {
        if connection.isReadOnly {
            throw StoreError(.unavailable, "the store's file \(path) cannot be written: check its owner, mode and file system")
        }
        // Identity before anything is changed: turning another program's file to WAL would
        // already be damage.
        if role == .writer { try Migrations.refuseForeign(connection) }
        let mode = try connection.first("PRAGMA journal_mode = WAL") { try $0.text(0) } ?? ""
        guard mode == "wal" else {
            throw StoreError(.unavailable, "the store's file \(path) does not allow a write-ahead log (journal mode \(mode)): is it on a network file system?")
        }
        try connection.execute("""
            PRAGMA synchronous = FULL;
            PRAGMA foreign_keys = ON;
            PRAGMA temp_store = MEMORY;
            PRAGMA cache_size = -16000;
            PRAGMA wal_autocheckpoint = 0;
            PRAGMA journal_size_limit = \(CheckpointPace.keptBytes);
            """)
        switch role {
        case .writer:
            connection.countLogPages()
            if let pages = options.maxPages { try connection.run("PRAGMA max_page_count = \(pages)") }
            try Migrations.apply(to: connection)
        case .reader:
            try connection.execute("PRAGMA query_only = ON")
        }
    }
}

/// How a `SQLiteStore` behaves. The defaults are for production.
public struct SQLiteStoreOptions: Sendable {
    /// How long a group of writes waits for another program's transaction before all its
    /// callers get `unavailable`, in milliseconds.
    public var busyTimeoutMilliseconds: Int32 = 500
    /// Upper bound of the file in pages of 4 KiB: above it writes fail as on a full disk.
    /// nil: none.
    public var maxPages: Int64?
    /// Called on the writer's thread around every statement (tests end the process there).
    public var faultPoint: (@Sendable (SQLFaultPoint) -> Void)?

    public init() {}
}
