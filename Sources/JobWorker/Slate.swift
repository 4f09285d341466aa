import CLinux
import Glibc
import JobCore

/// What this worker shares with its supervisor besides the socket: which attempt it has begun,
/// which outlives both, and how much it has printed. Confined to the main thread.
struct Slate {
    /// nil: it was given none.
    private let memory: OpaquePointer?
    /// The pipes behind stdout and stderr, where a plugin that replaces those does not meet them.
    private let out: Int32
    private let err: Int32

    /// Takes over the descriptor; nil: none.
    init(descriptor: Int32?) {
        memory = descriptor.flatMap { cl_slate_map($0) }
        if let descriptor { close(descriptor) }
        out = Self.duplicate(STDOUT_FILENO)
        err = Self.duplicate(STDERR_FILENO)
    }

    private static func duplicate(_ descriptor: Int32) -> Int32 {
        let high = clw_dup_above(descriptor, Channel.lowestDescriptor)
        return high >= 0 ? high : clw_dup_above(descriptor, 32)
    }

    /// Said before anything of the attempt is executed.
    func begin(_ fence: Int64) { cl_slate_begin(memory, fence) }

    /// false: the supervisor has decided to kill this process because of this attempt.
    func end(_ fence: Int64) -> Bool { cl_slate_end(memory, fence) }

    /// What has been printed up to now.
    func written() -> WrittenOutput {
        WrittenOutput(stdout: cl_slate_written(memory, 0, out), stderr: cl_slate_written(memory, 1, err))
    }
}
