import SQL

/// When somebody else writes: right before a statement of a run.
public enum WorstMoment {
    /// The n-th, from 1, over all connections that the run opens.
    case statement(Int)
    /// The first whose text contains this.
    case text(String)
}

/// Does `run` while somebody else writes to the same database through a connection of their own
/// at the worst moment. `write` is one transaction. Where the run holds the lock they have to
/// wait, as anybody would: then it is done before the run's next statement without the lock, or
/// after the run.
///
/// - Parameter run: opens its connection itself, on this thread.
/// - Returns: what `run` returned, and where the other was: nil, after the run.
@discardableResult
public func besideAWriter<Result>(
    of test: TestExchange, at moment: WorstMoment, write: (any SQLConnection) throws -> Void, run: () throws -> Result
) throws -> (result: Result, place: String?) {
    let other = try test.otherProgram(patience: 0)
    defer { other.close() }
    var fault: (any Error)?
    var isDue = false
    let first = if case .statement(let number) = moment { number } else { 1 }
    return try withoutActuallyEscaping(write) { write in
        let watch = StatementWatch(from: first) { _, sql in
            if case .text(let text) = moment, sql.contains(text) { isDue = true }
            if case .statement = moment { isDue = true }
            guard isDue else { return false }
            do {
                try other.transaction(.rowLocks) { try write(other) }
            } catch let error as SQLError where error.kind == .busy {
                return false
            } catch {
                fault = error
            }
            return true
        }
        let result = try watch.observe(run)
        if let fault { throw fault }
        if watch.statement == nil { try other.transaction(.rowLocks) { try write(other) } }
        return (result, watch.statement)
    }
}

/// `besideAWriter` with the other one at each statement of the run, one after another, until the
/// run is over before they come.
///
/// - Parameters:
///   - fresh: the state to begin with, made anew each time; on disk.
///   - check: of what has to hold afterwards; told where the other one was.
/// - Returns: how many moments there were.
@discardableResult
public func besideAWriterAtEveryStatement<Stage>(
    _ fresh: () throws -> (Stage, TestExchange), write: (any SQLConnection) throws -> Void,
    run: (Stage) throws -> Void, check: (Stage, _ place: String) throws -> Void
) throws -> Int {
    var moments = 0
    while true {
        let (stage, test) = try fresh()
        let place = try besideAWriter(of: test, at: .statement(moments + 1), write: write) { try run(stage) }.place
        try check(stage, place.map { "written before statement \(moments + 1): \($0)" } ?? "written after the end")
        guard place != nil else { return moments }
        moments += 1
    }
}
