import SQL

/// Group commit: whatever calls are waiting become one transaction with one sync to disk, so
/// that the store gets faster the more is asked of it.
enum GroupCommit {
    /// Every caller of `group` is answered before this returns: with its own result after the
    /// commit, or, when the transaction could not be begun, held or committed, all of them
    /// with the reason.
    static func run(_ group: [Operation<SQLiteLedger>], on file: StoreFile, heardBy listener: SQLiteListener) {
        var answers: [@Sendable () -> Void] = []
        answers.reserveCapacity(group.count)
        do {
            let ledger = try file.open()
            var isHeard = false
            defer { listener.writerEnds(hearing: isHeard) }
            try ledger.connection.transaction(.immediate) {
                listener.writerBegins()
                for operation in group {
                    answers.append(group.count == 1
                        ? try operation.perform(ledger) : try attempt(operation, ledger))
                }
                isHeard = listener.writerLooks(file)
            }
        } catch {
            let failure = StoreError(wrapping: error)
            file.reactTo(error)
            for operation in group { operation.fail(failure) }
            return
        }
        for answer in answers { answer() }
    }

    /// One call of several: its own fault undoes only itself. A fault of the environment (full,
    /// read-only, I/O) is everybody's.
    private static func attempt(_ operation: Operation<SQLiteLedger>, _ ledger: SQLiteLedger) throws -> @Sendable () -> Void {
        do {
            return try ledger.connection.transaction(.deferred) { try operation.perform(ledger) }
        } catch {
            let transient = (error as? SQLError)?.isTransient ?? false
            guard !transient, ledger.connection.inTransaction else { throw error }
            let failure = StoreError(wrapping: error)
            return { operation.fail(failure) }
        }
    }
}

/// Reads: each from a snapshot of its own.
enum SnapshotRead {
    static func run(_ operation: Operation<SQLiteLedger>, on file: StoreFile) {
        do {
            let ledger = try file.open()
            let answer = operation.inTransaction
                ? try ledger.connection.transaction(.deferred) { try operation.perform(ledger) }
                : try operation.perform(ledger)
            answer()
        } catch {
            file.reactTo(error)
            operation.fail(StoreError(wrapping: error))
        }
    }
}

extension StoreFile {
    /// After some failures the connection's view of the file is not to be trusted: the next
    /// call opens it anew.
    func reactTo(_ error: any Error) {
        switch (error as? SQLError)?.kind {
        case .io, .corrupt, .notADatabase, .cannotOpen, .closed: close()
        // What was opened while the file system was read-only stays so, and SQLite has a file that allows it beside a log
        // that does not, where another connection's descriptor served for the one.
        case .readOnly: close()
        default: break
        }
    }
}
