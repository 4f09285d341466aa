import CLinux
import Glibc
import JobCore

/// What this worker shares with its supervisor besides the socket: which attempt it has begun,
/// which outlives both, how much it has printed, and what it has told and not written yet.
/// Confined to the main thread.
struct Slate {
    /// nil: it was given none.
    private let memory: OpaquePointer?
    /// The pipes behind stdout and stderr, where a plugin that replaces those does not meet them.
    private let out: Int32
    private let err: Int32

    /// Takes over the descriptor; nil: none.
    init(descriptor: Int32?) {
        cl_slate_watch_forks()
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

    /// For what is told; of whoever writes to the socket.
    var unsent: Unsent { Unsent(memory: memory) }

    /// For what waits for its instant; of whoever takes it.
    var callBacks: CallBacks { CallBacks(memory: memory) }

    /// What has been printed up to now.
    func written() -> WrittenOutput {
        WrittenOutput(stdout: cl_slate_written(memory, 0, out), stderr: cl_slate_written(memory, 1, err))
    }
}

/// The part of the slate where what waits to be written to the socket survives this process.
/// Whoever tells holds the lock on what is written.
struct Unsent: @unchecked Sendable {
    fileprivate let memory: OpaquePointer?

    /// Bytes that may wait there; 0: nothing may, there is no slate.
    var capacity: Int { memory == nil ? 0 : Int(CL_SLATE_UNSENT) }
    /// Whether this is a child that the plugin has forked off: what waits is its parent's.
    var isParents: Bool { cl_slate_is_fork() }
    /// The next bytes of the stream.
    func tell(_ bytes: ArraySlice<UInt8>) {
        bytes.withUnsafeBufferPointer { cl_slate_tell(memory, $0.baseAddress, $0.count) }
    }
    /// Bytes of the stream that were written and did not wait.
    func told(_ count: Int) { cl_slate_told(memory, count) }
}

/// How many frames the supervisor has announced that ask for runs back.
struct CallBacks: @unchecked Sendable {
    fileprivate let memory: OpaquePointer?
    var announced: UInt64? { memory == nil ? nil : cl_slate_asked_back(memory) }
}
