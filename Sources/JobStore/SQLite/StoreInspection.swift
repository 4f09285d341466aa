import Glibc
import JobCore
import SQL

/// What `jobhost doctor` reads of a store's file. The file is opened for reading only, whatever
/// its format: nothing is migrated, checkpointed or created.
public struct StoreInspection: Sendable {
    public enum Format: Hashable, Sendable {
        /// There is no file, or an empty one.
        case absent
        case current(Int64)
        /// The next start of a host brings it up.
        case older(Int64, known: Int64)
        /// Of a newer program: this one does not read it.
        case newer(Int64, known: Int64)
        case foreign
    }
    public var format: Format
    // Of the current format only:
    /// Jobs of which something has ever ended.
    public var jobs = 0
    public var breakers: [String: BreakerRow] = [:]
    public var depths: [String: QueueDepth] = [:]
    public var accepted: [AcceptedLibrary] = []

    public init(format: Format) { self.format = format }

    /// Blocks while it reads. Throws `StoreError` where the file cannot be read.
    public static func read(path: String, now: Instant) throws -> StoreInspection {
        var found = stat()
        guard stat(path, &found) == 0 else {
            guard errno == ENOENT else { throw StoreError(.unavailable, "\(path): \(String(cString: strerror(errno)))") }
            return StoreInspection(format: .absent)
        }
        if found.st_size == 0 { return StoreInspection(format: .absent) }
        var options = SQLiteOptions()
        options.readOnly = true
        do {
            let connection = try SQLiteConnection(path: path, options: options)
            defer { connection.close() }
            return try read(connection, now)
        } catch let error as StoreError {
            throw error
        } catch {
            throw StoreError(.unavailable, "\(path) cannot be read: \(error)")
        }
    }

    private static func read(_ connection: SQLiteConnection, _ now: Instant) throws -> StoreInspection {
        let application = try connection.first("PRAGMA application_id") { try $0.int64(0) } ?? 0
        let version = try connection.first("PRAGMA user_version") { try $0.int64(0) } ?? 0
        let objects = try connection.first("SELECT count(*) FROM sqlite_schema") { try $0.int64(0) } ?? 0
        let known = Migrations.newest
        if application == 0, version == 0, objects == 0 { return StoreInspection(format: .absent) }
        guard application == Migrations.applicationID else { return StoreInspection(format: .foreign) }
        if version > known { return StoreInspection(format: .newer(version, known: known)) }
        if version < known { return StoreInspection(format: .older(version, known: known)) }
        var inspection = StoreInspection(format: .current(version))
        let ledger = SQLiteLedger(connection: connection)
        inspection.jobs = try ledger.counters().count
        inspection.breakers = try ledger.jobStates().compactMapValues(\.breaker)
        inspection.depths = try ledger.queueDepths(now: now)
        inspection.accepted = try ledger.acceptedLibraries()
        return inspection
    }
}
