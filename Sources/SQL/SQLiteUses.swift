import CSQLite

/// What a statement does with a table.
public enum SQLUse: Hashable, Sendable {
    /// `column` is "" where only the rows count.
    case read(table: String, column: String)
    case insert(table: String)
    case update(table: String, column: String)
    case delete(table: String)
}

extension SQLiteConnection {
    /// What a statement would do, by the word of SQLite's own compiler, triggers included; nothing is
    /// executed. The tables have to be there.
    public func uses(of sql: String) throws(SQLError) -> Set<SQLUse> {
        let uses = Uses()
        try withAuthorizer(uses.callback, Unmanaged.passUnretained(uses).toOpaque()) { () throws(SQLError) in
            try check(sql)
        }
        return uses.found
    }
}

private final class Uses {
    var found: Set<SQLUse> = []

    typealias Callback = @convention(c) (
        UnsafeMutableRawPointer?, Int32, UnsafePointer<CChar>?, UnsafePointer<CChar>?, UnsafePointer<CChar>?,
        UnsafePointer<CChar>?
    ) -> Int32

    let callback: Callback = { context, action, first, second, _, _ in
        guard let context, let first else { return SQLITE_OK }
        let uses = Unmanaged<Uses>.fromOpaque(context).takeUnretainedValue()
        let table = String(cString: first)
        let column = second.map { String(cString: $0) } ?? ""
        switch action {
        case SQLITE_READ: uses.found.insert(.read(table: table, column: column))
        case SQLITE_INSERT: uses.found.insert(.insert(table: table))
        case SQLITE_UPDATE: uses.found.insert(.update(table: table, column: column))
        case SQLITE_DELETE: uses.found.insert(.delete(table: table))
        default: break
        }
        return SQLITE_OK
    }
}
