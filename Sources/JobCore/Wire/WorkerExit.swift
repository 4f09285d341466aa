/// Why a worker process ended by itself: its exit code. Chosen outside of what shells and
/// runtimes use (1, 2, 126 and above), so that a plugin's own `exit` is not mistaken for one.
public enum WorkerExit: Int32, CaseIterable, Sendable {
    /// Asked to by `shutdown`; also what a plugin that calls `exit(0)` looks like, told apart
    /// by whether a run was under way.
    case shutdown = 0
    /// The command line is not `--fd N`, or N is no socket: started by hand.
    case usage = 64
    /// The library was refused; the frame before has the reason.
    case refused = 65
    /// The supervisor's end is closed.
    case supervisorGone = 66
    /// What arrived is not a frame, or not one for this moment.
    case protocolError = 67
    /// The socket cannot be written to although the supervisor lives: the plugin closed or
    /// replaced it.
    case socketLost = 68
    /// A thread, a descriptor or a limit could not be had.
    case resources = 69
    /// The host's lease on the store has lapsed.
    case leaseLapsed = 70

    /// One clause for the ledger: "the worker …".
    public var description: String {
        switch self {
        case .shutdown: "ended as asked"
        case .usage: "was started with a wrong command line"
        case .refused: "refused its library"
        case .supervisorGone: "lost its supervisor"
        case .protocolError: "received what is not a frame"
        case .socketLost: "lost its socket: the plugin closed or replaced the descriptor"
        case .resources: "could not get a thread, a descriptor or a limit"
        case .leaseLapsed: "outlived its host's lease"
        }
    }
}
