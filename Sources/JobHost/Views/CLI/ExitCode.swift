import JobCore

/// What `jobhost` exits with. A promise to scripts: never renumbered.
public enum ExitCode: Int32, CaseIterable, Sendable {
    case ok = 0
    /// It was tried and failed; an outcome `failed`; findings of `doctor`, broken rules of `store check`.
    case failed = 1
    /// Wrong arguments, an impossible value, a config with errors.
    case usage = 2
    /// No host answers on the socket.
    case notRunning = 3
    /// A reload was refused, wholly or for some jobs.
    case refused = 4
    /// No job, run, dead letter or store of that name.
    case notFound = 5
    /// Not possible in the present state.
    case conflict = 6
    /// `--wait` was given up.
    case waitedTooLong = 7
    /// The host answers but cannot do it now (its store is away, it drains).
    case unavailable = 8

    // How a run ended: `exec` and `trigger --wait`.
    case retry = 10
    case snoozed = 11
    case cancelled = 12
    case timedOut = 13
    case crashed = 14
    case lost = 15
    /// It ended without an attempt: skipped or missed.
    case notRun = 16

    /// One line for the documents.
    public var meaning: String {
        switch self {
        case .ok: "done; the run succeeded or found nothing to do"
        case .failed: "it was tried and failed; the run failed; `doctor`, `schema` or `store check` found a fault"
        case .usage: "wrong arguments, an impossible value, or a config with errors"
        case .notRunning: "no host answers on the socket"
        case .refused: "the reload was refused, wholly or for some jobs"
        case .notFound: "no job, run, dead letter or store of that name"
        case .conflict: "not possible in the present state"
        case .waitedTooLong: "`--wait` was given up; the run goes on"
        case .unavailable: "the host answers but cannot do it now"
        case .retry: "the attempt ended with retry"
        case .snoozed: "the attempt snoozed"
        case .cancelled: "the run was cancelled"
        case .timedOut: "the attempt timed out"
        case .crashed: "the attempt crashed"
        case .lost: "the attempt was lost"
        case .notRun: "the run ended without an attempt (skipped, missed)"
        }
    }

    public init(_ outcome: Outcome) {
        switch outcome {
        case .succeeded, .nothingToDo: self = .ok
        case .failed: self = .failed
        case .retry: self = .retry
        case .snoozed: self = .snoozed
        case .cancelled: self = .cancelled
        case .timedOut: self = .timedOut
        case .crashed: self = .crashed
        case .lost: self = .lost
        }
    }
}

/// A command that did not do what was asked: what to say, and how to exit.
struct CLIFailure: Error, CustomStringConvertible {
    var code: ExitCode
    var message: String
    var hint: String?
    /// false: the output has said it all.
    var isSpoken = true

    init(_ code: ExitCode, _ message: String, hint: String? = nil) {
        self.code = code
        self.message = message
        self.hint = hint
    }

    /// Only an exit code.
    static func silent(_ code: ExitCode) -> CLIFailure {
        var failure = CLIFailure(code, "")
        failure.isSpoken = false
        return failure
    }

    init(_ problem: API.Problem) {
        let code: ExitCode =
            switch problem.code {
            case "not_found": .notFound
            case "conflict", "needs_approval": .conflict
            case "unavailable": .unavailable
            case "invalid", "too_large": .usage
            default: .failed
            }
        self.init(code, problem.detail, hint: problem.hint)
    }

    var description: String { message + (hint.map { "\n  \($0)" } ?? "") }
}
