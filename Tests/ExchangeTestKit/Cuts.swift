import SQL

/// Tries a run with a cut at each of its statement boundaries: right before its first statement,
/// its second, its third … until a run survives. At a cut the connection goes away and the open
/// transaction is lost, as when the worker is killed there; then `run` is done again, whole.
///
/// BEGIN and COMMIT are statements too, and those of all connections that `run` opens are
/// counted together.
///
/// - Parameters:
///   - fresh: the state to begin with, made anew for each cut; on disk.
///   - run: opens its connection itself, on this thread. What it throws at a cut is ignored.
///   - check: of what has to hold afterwards; told where the cut was. The run that survived is
///     done a second time too before it is checked: its outcome may have been lost.
/// - Returns: how many cuts there were.
@discardableResult
public func cutAtEveryStatement<Stage>(
    _ fresh: () throws -> Stage, run: (Stage) throws -> Void, check: (Stage, _ place: String) throws -> Void
) throws -> Int {
    var cuts = 0
    while true {
        let stage = try fresh()
        let watch = StatementWatch(from: cuts + 1) { connection, _ in
            connection.close()
            return true
        }
        let cut = Result { try watch.observe { try run(stage) } }
        guard let statement = watch.statement else {
            try cut.get()
            try run(stage)
            try check(stage, "cut after the end")
            return cuts
        }
        cuts += 1
        try run(stage)
        try check(stage, "cut before statement \(cuts): \(statement)")
    }
}

/// Counts the statements of all connections that are opened in a scope, and acts before one of
/// them. Confined to the thread that opens them.
final class StatementWatch: @unchecked Sendable {
    /// The statement before which the action was done, its first line; nil: not yet.
    private(set) var statement: String?
    private var seen = 0
    private let first: Int
    private let act: (any SQLConnection, String) -> Bool

    /// - Parameters:
    ///   - first: of which statement on, from 1.
    ///   - act: with the statement's text. true: that was it; false: asked again at the next statement.
    init(from first: Int, act: @escaping (any SQLConnection, String) -> Bool) {
        self.first = first
        self.act = act
    }

    func observe<Result>(_ body: () throws -> Result) rethrows -> Result {
        try SQLConnectionWatch.$opened.withValue({ connection in
            // Not owned: the connection owns its fault point.
            connection.faultPoint = { [unowned connection] point in
                guard case .before(let sql) = point else { return }
                self.reach(sql, connection)
            }
        }, operation: body)
    }

    private func reach(_ sql: String, _ connection: any SQLConnection) {
        guard statement == nil else { return }
        seen += 1
        guard seen >= first, act(connection, sql) else { return }
        statement = sql.split(separator: "\n").first { !$0.hasPrefix("--") }.map(String.init) ?? sql
    }
}
