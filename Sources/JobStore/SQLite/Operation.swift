import JobCore
import SQL

/// A call that waits for a thread of the store.
struct Operation: Sendable {
    /// Runs on the thread; returns what tells the caller, once the transaction is durable.
    let perform: @Sendable (Ledger) throws -> @Sendable () -> Void
    /// Tells the caller that it came to nothing.
    let fail: @Sendable (StoreError) -> Void
    /// false: a checkpoint, which is no part of a transaction.
    let inTransaction: Bool

    init<Value: Sendable>(
        inTransaction: Bool = true,
        _ body: @escaping @Sendable (Ledger) throws -> Value,
        completion: @escaping @Sendable (Result<Value, StoreError>) -> Void
    ) {
        perform = { ledger in
            let value = try body(ledger)
            return { completion(.success(value)) }
        }
        fail = { completion(.failure($0)) }
        self.inTransaction = inTransaction
    }
}

/// Group commit: whatever calls are waiting become one transaction with one sync to disk, so
/// that the store gets faster the more is asked of it.
enum GroupCommit {
    /// Every caller of `group` is answered before this returns: with its own result after the
    /// commit, or, when the transaction could not be begun, held or committed, all of them
    /// with the reason.
    static func run(_ group: [Operation], on file: StoreFile) {
        var answers: [@Sendable () -> Void] = []
        answers.reserveCapacity(group.count)
        do {
            let ledger = try file.open()
            try ledger.connection.transaction(.immediate) {
                for operation in group {
                    answers.append(group.count == 1
                        ? try operation.perform(ledger) : try attempt(operation, ledger))
                }
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
    private static func attempt(_ operation: Operation, _ ledger: Ledger) throws -> @Sendable () -> Void {
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
    static func run(_ operation: Operation, on file: StoreFile) {
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
        default: break
        }
    }
}

extension StoreError {
    /// What the store's callers see of any failure inside it.
    init(wrapping error: any Error) {
        if let error = error as? StoreError {
            self = error
            return
        }
        guard let error = error as? SQLError else {
            self.init(.broken, "the store failed: \(error)")
            return
        }
        switch error.kind {
        case .busy: self.init(.unavailable, "the store is locked by another program: \(error)")
        case .full: self.init(.unavailable, "the disk of the store is full: \(error)")
        case .readOnly: self.init(.unavailable, "the store cannot be written: \(error)")
        case .io, .cannotOpen, .noMemory, .interrupted, .closed:
            self.init(.unavailable, "the store cannot be reached: \(error)")
        case .notADatabase: self.init(.incompatible, "the store's file is not a database: \(error)")
        case .corrupt: self.init(.broken, "the store's file is damaged: \(error)")
        case .constraint, .tooBig, .statement, .parameter, .column, .other:
            self.init(.broken, "the store refused a statement: \(error)")
        }
    }
}
