import CPostgres

// Statements that go out together and are answered in one round trip (libpq's pipeline mode), within a transaction:
// that which is open, or one of their own (see PostgresLimits.swift). They are executed in the order in which they were
// given; after the first that fails the server skips the rest.

/// A statement that waits to be sent, or whose answer waits to be read.
final class PostgresQueued {
    enum Answer {
        case waiting
        case here(PostgresResult)
        case failed(SQLError)
    }
    enum Work {
        case execution
        /// Only that it is there under its name.
        case preparation
        /// Of its columns.
        case description
    }
    let sql: String
    let work: Work
    /// nil: no parameters, and not kept in the server.
    let entry: Compiled?
    let values: BoundValues
    /// It begins the transaction, or says how that is to be.
    let begins: Bool
    /// Its fault points are this file's to call.
    let isSent: Bool
    var answer = Answer.waiting

    init(_ sql: String, _ entry: Compiled?, _ values: BoundValues, begins: Bool = false, isSent: Bool = false, work: Work = .execution) {
        self.sql = sql
        self.work = work
        self.entry = entry
        self.values = values
        self.begins = begins
        self.isSent = isSent
        entry?.holders += 1
    }

    convenience init(control sql: String, begins: Bool = false, isSent: Bool = false) {
        self.init(sql, nil, BoundValues(count: 0), begins: begins, isSent: isSent)
    }

    deinit { entry?.holders -= 1 }

    var isWaiting: Bool { if case .waiting = answer { true } else { false } }
}

extension PostgresConnection {
    /// More are sent without waiting for the one that is waited for.
    private static let longest = 64

    /// Executes a statement whose rows nobody wants: with the next one that is waited for, at the latest with the commit,
    /// whichever then throws its error. At once outside of a transaction, or where `options.pipelined` is off.
    public func send(_ sql: String, _ values: [SQLValue] = []) throws(SQLError) {
        guard mayQueue else {
            try run(sql, values)
            return
        }
        let statement = try prepare(sql)
        try statement.bind(values)
        try statement.send()
    }

    var mayQueue: Bool { options.pipelined && transaction == .open && !isClosedForGood }

    func queueSent(_ sql: String, _ entry: Compiled, _ values: BoundValues) throws(SQLError) -> PostgresQueued {
        faultPoint?(.before(sql))
        try ready(sql)
        let queued = enqueue(PostgresQueued(sql, entry, values, isSent: true))
        if queue.count >= Self.longest { try flush() }
        return queued
    }

    func enqueue(_ queued: PostgresQueued) -> PostgresQueued {
        queue.append(queued)
        return queued
    }

    func answer(to queued: PostgresQueued) throws(SQLError) -> PostgresResult {
        if queued.isWaiting { try flush() }
        switch queued.answer {
        case .here(let result): return result
        case .failed(let error): throw error
        case .waiting: throw lost(queued.sql)
        }
    }

    // MARK: A transaction's two ends

    func queueBegin(_ script: String) throws(SQLError) {
        faultPoint?(.before(script))
        try ready(script)
        wasLostAtBegin = false
        transaction = .open
        queue = [PostgresQueued(control: script, begins: true, isSent: true)]
        if let limits { queue.append(limits.queued(begins: true)) }
    }

    /// true: that was all of "COMMIT" or "ROLLBACK".
    func endQueue(_ statement: String) throws(SQLError) -> Bool {
        guard !queue.isEmpty else { return false }
        if statement.hasPrefix("ROLLBACK") {
            let isAll = queue[0].begins && statement == "ROLLBACK"
            dropQueue()
            // The server has heard nothing of this transaction.
            if isAll { transaction = .none }
            return isAll
        }
        guard statement == "COMMIT" else { return false }
        if queue.allSatisfy(\.begins) {
            dropQueue()
            transaction = .none
            return true
        }
        // Never with its BEGIN: what is lost with that was not committed, which is then certain.
        if queue[0].begins { try flush() }
        guard !queue.isEmpty else { return false }
        faultPoint?(.before(statement))
        queue.append(PostgresQueued(control: statement, isSent: true))
        try flush()
        return true
    }

    func dropQueue() {
        for queued in queue where queued.isWaiting { queued.answer = .failed(lost(queued.sql)) }
        queue = []
    }

    // MARK: On the wire

    /// Sends what waits and reads the answers. Throws the first error; all behind it was not executed.
    func flush() throws(SQLError) {
        guard let last = queue.last else { return }
        do {
            try ready(last.sql)
        } catch {
            dropQueue()
            throw error
        }
        let batch = queue
        queue = []
        do {
            try exchange(batch)
        } catch {
            // The one that failed knows why.
            for queued in batch where queued.isWaiting { queued.answer = .failed(error) }
            throw error
        }
        for queued in batch where queued.isSent { faultPoint?(.after(queued.sql)) }
        if isClosedForGood { throw closed(last.sql) }
    }

    private enum Expected {
        case parsed(PostgresQueued, Compiled)
        case executed(PostgresQueued)
        var sql: String {
            switch self {
            case .parsed(let queued, _), .executed(let queued): queued.sql
            }
        }
    }

    func exchange(_ batch: [PostgresQueued]) throws(SQLError) {
        let sql = batch[batch.count - 1].sql
        var timedOut = false
        var failure: SQLError?
        func end(_ sql: String) -> SQLError {
            wasLostAtBegin = batch[0].begins && !timedOut
            let lost = giveUp(timedOut, sql: sql)
            // A server that goes says why before it does.
            return failure ?? lost
        }
        guard let expected = dispatch(batch) else { throw end(sql) }
        for one in expected {
            guard let pointer = cpg_pipeline_next(handle, options.answerTimeoutMilliseconds, &timedOut) else { throw end(one.sql) }
            let result = PostgresResult(pointer)
            if failure != nil { continue }
            do {
                try check(result, sql: one.sql)
                switch one {
                case .parsed(_, let entry): entry.life = life
                case .executed(let queued): queued.answer = .here(result)
                }
            } catch {
                failure = error
            }
        }
        var isOver = false
        while !isOver {
            guard let pointer = cpg_pipeline_next(handle, options.answerTimeoutMilliseconds, &timedOut) else { throw end(sql) }
            let result = PostgresResult(pointer)
            isOver = cpg_status(result.pointer) == Int32(CPG_PIPELINE_SYNC)
            // A transaction of their own is committed here, which may fail.
            if !isOver, failure == nil { do { try check(result, sql: sql) } catch { failure = error } }
        }
        guard cpg_pipeline_end(handle) else { throw end(sql) }
        noteTransaction()
        if let failure { throw failure }
    }

    /// nil: libpq could not send it.
    private func dispatch(_ batch: [PostgresQueued]) -> [Expected]? {
        guard cpg_pipeline_begin(handle) else { return nil }
        var expected: [Expected] = []
        var parsed: Set<ObjectIdentifier> = []
        for queued in batch {
            if options.prepared, let entry = queued.entry, entry.life != life, parsed.insert(ObjectIdentifier(entry)).inserted {
                name(entry)
                guard cpg_send_prepare(handle, entry.name, entry.text.text) else { return nil }
                expected.append(.parsed(queued, entry))
            }
            if queued.work == .preparation { continue }
            guard dispatch(queued) else { return nil }
            expected.append(.executed(queued))
        }
        return cpg_pipeline_sync(handle) ? expected : nil
    }

    private func dispatch(_ queued: PostgresQueued) -> Bool {
        if queued.work == .description { return cpg_send_describe(handle, queued.entry?.name ?? "") }
        return queued.values.withPointers(queued.entry?.text.places ?? []) { count, texts, lengths, formats in
            if let entry = queued.entry, options.prepared {
                cpg_send_execute(handle, entry.name, count, texts, lengths, formats)
            } else {
                cpg_send_execute_text(handle, queued.entry?.text.text ?? queued.sql, count, texts, lengths, formats)
            }
        }
    }
}
