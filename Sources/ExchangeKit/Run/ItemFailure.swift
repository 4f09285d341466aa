import JobKit
import SQL

extension Error {
    /// Whether this is no matter of the item it was met at: the run is to stop, the database is
    /// locked or gone, a statement of the settings is wrong. The next item would meet it too.
    /// Everything else is counted with its item and stops no other.
    public var concernsTheRun: Bool {
        switch self {
        case is CancellationNotice: true
        case let failure as JobFailure: failure.kind != .permanent
        case let error as SQLError: error.isTransient
        default: false
        }
    }
}
