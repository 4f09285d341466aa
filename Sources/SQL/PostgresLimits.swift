// The limits of statements are set for a transaction and end with it: nothing of them is left in a session that behind a
// pooler is somebody else's a moment later, and whatever resets a session takes none of them away. They go out with
// BEGIN. A statement outside of a transaction goes out with them as a transaction of its own. Neither costs a round trip.

/// Those of a connection's options that are set.
struct PostgresLimits {
    /// In a message before other statements: the transaction that they begin has them.
    let script: String
    /// In a message behind BEGIN. Not as a query, which would come before what still has to be said of the transaction,
    /// and would take its snapshot.
    let local: String
    /// Kept in the server where that is done.
    private let entry: Compiled

    /// nil: there are none.
    init?(_ options: PostgresOptions) throws(SQLError) {
        let limits = [
            ("lock_timeout", options.lockTimeoutMilliseconds), ("statement_timeout", options.statementTimeoutMilliseconds),
            ("idle_in_transaction_session_timeout", options.idleInTransactionMilliseconds),
        ].filter { $0.1 > 0 }
        guard !limits.isEmpty else { return nil }
        // SET LOCAL is for a transaction that was begun in so many words.
        let query = "SELECT " + limits.map { "set_config('\($0)', '\($1)', true)" }.joined(separator: ", ")
        script = query + ";"
        local = limits.map { "; SET LOCAL \($0) = \($1)" }.joined()
        entry = Compiled(try PostgresText(query))
    }

    func queued(begins: Bool) -> PostgresQueued { PostgresQueued(script, entry, BoundValues(count: 0), begins: begins) }
}

extension PostgresConnection {
    /// What is asked now has to bring its limits along.
    var isAlone: Bool { limits != nil && transaction == .none }

    /// In a transaction of its own, which the server ends with its answer.
    func sendAlone(_ queued: PostgresQueued) throws(SQLError) {
        try exchange((limits.map { [$0.queued(begins: false)] } ?? []) + [queued])
    }

    func answer(toAlone queued: PostgresQueued) throws(SQLError) -> PostgresResult {
        try sendAlone(queued)
        return try answer(to: queued)
    }
}
