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
    private var ledger: Ledger?
    private var identity: Identity?
    private var everOpened = false

    init(path: String, role: Role, options: SQLiteStoreOptions) {
        self.path = path
        self.role = role
        self.options = options
    }

    /// The ledger over an open connection to the file that is at `path` now.
    func open() throws -> Ledger {
        let found = Self.identity(of: path)
        if let ledger {
            if found == identity, !walIsGone { return ledger }
            guard found != nil else {
                throw StoreError(
                    .unavailable, "the store's file \(path) has gone while it was open: put it back, or restart the host for an empty one")
            }
            if found == identity { try saveLog(of: ledger) }
            close()
        } else if everOpened, found == nil {
            throw StoreError(.unavailable, "the store's file \(path) has gone: put it back, or restart the host for an empty one")
        }
        let fresh = try connect()
        ledger = fresh
        identity = Self.identity(of: path)
        everOpened = true
        return fresh
    }

    /// Rows written over the open connection since it was opened.
    var rowsChanged: Int64 { ledger?.connection.totalChanges ?? 0 }

    /// A connection after whose failure nothing is certain about it.
    func close() {
        ledger?.connection.close()
        ledger = nil
        identity = nil
    }

    /// Somebody deleted the log of the file that we have open. Our connection still holds it:
    /// what is in it goes into the file before we let go.
    private func saveLog(of ledger: Ledger) throws {
        guard role == .writer else { return }
        let busy = try ledger.connection.first("PRAGMA wal_checkpoint(FULL)") { try $0.int64(0) } ?? 1
        guard busy == 0 else {
            throw StoreError(.unavailable, "the store's log \(path)-wal was deleted while it was open; saving it waits for readers")
        }
    }

    /// The write-ahead log of an open store is always there; somebody deleted it.
    private var walIsGone: Bool { access(path + "-wal", F_OK) != 0 && errno == ENOENT }

    private static func identity(of path: String) -> Identity? {
        var information = stat()
        guard stat(path, &information) == 0 else { return nil }
        return Identity(device: UInt64(information.st_dev), inode: UInt64(information.st_ino))
    }

    private func connect() throws -> Ledger {
        var sqlite = SQLiteOptions()
        sqlite.busyTimeoutMilliseconds = options.busyTimeoutMilliseconds
        sqlite.create = role == .writer && !everOpened
        let connection = try SQLiteConnection(path: path, options: sqlite)
        if role == .writer, let faultPoint = options.faultPoint { connection.faultPoint = { faultPoint($0) } }
        do {
            try prepare(connection)
            return try Ledger(connection: connection)
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
            PRAGMA journal_size_limit = 67108864;
            """)
        // Checkpoints are made by a reading thread, so that no claim waits for one; the
        // writer's own is the brake for when that falls behind.
        try connection.execute("PRAGMA wal_autocheckpoint = \(role == .writer ? 20_000 : 0)")
        switch role {
        case .writer:
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
