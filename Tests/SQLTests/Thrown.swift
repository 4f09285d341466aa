import SQL
import Testing

/// What it throws. (Expectations cannot stand within one another.)
func thrown(_ body: () throws -> Void) -> SQLError? {
    do {
        try body()
        Issue.record("nothing was thrown")
        return nil
    } catch {
        return error as? SQLError
    }
}
