import Glibc
import Synchronization

/// A real process: spawned, read, signalled, and waited for on a thread of its own.
final class Child: Sendable {
    let pid: pid_t
    let output: Lines
    let errors: Lines
    private let exit: Exit

    /// Waits in a thread and lets any number of tasks know.
    private actor Exit {
        private var status: Int32?
        private var waiters: [CheckedContinuation<Int32, Never>] = []
        func end(_ status: Int32) {
            self.status = status
            for waiter in waiters { waiter.resume(returning: status) }
            waiters = []
        }
        func value() async -> Int32 {
            if let status { return status }
            return await withCheckedContinuation { waiters.append($0) }
        }
    }

    struct SpawnFailure: Error { var path: String; var code: Int32 }

    /// One spawn at a time: no child may inherit another one's pipe before it is marked.
    private static let spawning = Mutex(())

    convenience init(_ path: String, _ arguments: [String], environment: [String: String], folder: String) throws {
        let spawned = try Self.spawning.withLock { _ in
            try Self.spawn(path, arguments, environment: environment, folder: folder)
        }
        self.init(pid: spawned.pid, out: spawned.out, err: spawned.err)
    }

    private static func closedOnExec(_ ends: inout [Int32]) -> Bool {
        pipe(&ends) == 0 && ends.allSatisfy { fcntl($0, F_SETFD, FD_CLOEXEC) == 0 }
    }

    private static func spawn(
        _ path: String, _ arguments: [String], environment: [String: String], folder: String
    ) throws -> (pid: pid_t, out: Int32, err: Int32) {
        var out: [Int32] = [0, 0]
        var err: [Int32] = [0, 0]
        guard closedOnExec(&out), closedOnExec(&err) else { throw SpawnFailure(path: path, code: errno) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, out[1], 1)
        posix_spawn_file_actions_adddup2(&actions, err[1], 2)
        // Swift's Glibc lacks the action that changes the folder; env(1) has it.
        var argv = (["/usr/bin/env", "-C", folder, path] + arguments).map { strdup($0) } + [nil]
        var envp = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for pointer in argv + envp { free(pointer) } }
        var pid = pid_t()
        let problem = posix_spawn(&pid, "/usr/bin/env", &actions, nil, &argv, &envp)
        close(out[1])
        close(err[1])
        guard problem == 0 else {
            close(out[0])
            close(err[0])
            throw SpawnFailure(path: path, code: problem)
        }
        return (pid, out[0], err[0])
    }

    private init(pid: pid_t, out: Int32, err: Int32) {
        self.pid = pid
        output = Lines(descriptor: out)
        errors = Lines(descriptor: err)
        let exit = Exit()
        self.exit = exit
        let child = pid
        let keep = Unmanaged.passRetained(Waiter(pid: child) { status in Task { await exit.end(status) } })
        var thread = pthread_t()
        pthread_create(&thread, nil, { argument in
            Unmanaged<Waiter>.fromOpaque(argument!).takeRetainedValue().run()
            return nil
        }, keep.toOpaque())
        pthread_detach(thread)
    }

    private final class Waiter {
        private let pid: pid_t
        private let done: (Int32) -> Void
        init(pid: pid_t, _ done: @escaping (Int32) -> Void) {
            self.pid = pid
            self.done = done
        }
        func run() {
            var status: Int32 = 0
            while waitpid(pid, &status, 0) < 0, errno == EINTR {}
            done(status)
        }
    }

    func signal(_ number: Int32) { kill(pid, number) }

    /// The exit code, or minus the signal's number, when all that it wrote has been read.
    func exitCode() async -> Int32 {
        let status = await exit.value()
        _ = await errors.next { _ in false }
        _ = await output.next { _ in false }
        let signal = status & 0x7f
        return signal == 0 ? (status >> 8) & 0xff : -signal
    }
}
