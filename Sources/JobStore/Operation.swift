import JobCore
import SQL

/// A call that waits for a thread of the store.
struct Operation<Book: Ledger>: Sendable {
    /// Runs on the thread; returns what tells the caller, once the transaction is durable.
    let perform: @Sendable (Book) throws -> @Sendable () -> Void
    /// Tells the caller that it came to nothing.
    let fail: @Sendable (StoreError) -> Void
    /// false: a checkpoint, which is no part of a transaction.
    let inTransaction: Bool
    /// Whose rows the transaction locks before anything else of it, where several hosts write.
    let locks: JobLocks

    init<Value: Sendable>(
        inTransaction: Bool = true, locks: JobLocks = JobLocks(),
        _ body: @escaping @Sendable (Book) throws -> Value,
        completion: @escaping @Sendable (Result<Value, StoreError>) -> Void
    ) {
        perform = { ledger in
            let value = try body(ledger)
            return { completion(.success(value)) }
        }
        fail = { completion(.failure($0)) }
        self.inTransaction = inTransaction
        self.locks = locks
    }
}

/// Jobs, by name or by their runs.
struct JobLocks: Sendable {
    var jobs: [String] = []
    var runs: [RunID] = []
    var isEmpty: Bool { jobs.isEmpty && runs.isEmpty }
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
