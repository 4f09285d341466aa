import CLinux
import Glibc

/// A child as it was started. Whoever holds it owns the descriptors.
struct SpawnedWorker {
    var pid: Int32
    /// /proc start time, clock ticks since boot.
    var startTime: UInt64
    var pidfd: Int32
    /// Non-blocking ends of the wire and of the child's stdout and stderr.
    var socket: Int32
    var out: Int32
    var err: Int32
    /// It joins it before it loads anything; nil: it has none.
    var group: ControlGroup?
}

/// Starts workers. Their command line is
/// `jobhost-worker --fd 3 [--slate 4] [--cgroup PATH] [--user NAME] [--sandbox …]`: the wire is on
/// descriptor 3, the slate on 4; the worker moves into the control group, becomes the user and
/// enters the sandbox itself, before it loads anything.
/// (It could be moved from here; but that may take 15 ms of the kernel, which the loop has not.)
struct Spawner {
    /// Absolute path of jobhost-worker.
    var binary: String
    /// The working folder of every worker.
    var folder: String
    /// nil: workers have no control groups of their own.
    var groups: ControlGroups?

    /// Out of processes, descriptors or memory, or no such binary: a host fault.
    func spawn(
        environment: [String: String], user: String?, sandbox: [String] = [], slate: Int32? = nil
    ) throws(HostFault) -> SpawnedWorker {
        var arguments = [binary, "--fd", "3"]
        if slate != nil { arguments += ["--slate", "4"] }
        let group = groups?.make()
        if let group { arguments += ["--cgroup", group.path] }
        if let user { arguments += ["--user", user] }
        arguments += sandbox
        return try spawn(binary, arguments, environment: environment, group: group, slate: slate)
    }

    /// A program of the operator's, found on the usual path; what is written to `socket` is its
    /// standard input.
    func spawn(errand command: [String]) throws(HostFault) -> SpawnedWorker {
        try spawn(
            "/bin/sh", ["/bin/sh", "-c", "exec \"$@\" <&3 3<&-", "sh"] + command,
            environment: ["PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], group: nil, slate: nil)
    }

    private func spawn(
        _ program: String, _ arguments: [String], environment: [String: String], group: ControlGroup?, slate: Int32?
    ) throws(HostFault) -> SpawnedWorker {
        var channel = cl_channel()
        _ = try checked(cl_channel_open(&channel), "open a channel to a worker")
        defer {
            close(channel.socket_there)
            close(channel.out_there)
            close(channel.err_there)
        }
        // A key or value with a NUL would be cut there; the config refuses those.
        let variables = environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }

        var pid: Int32 = 0
        var pidfd: Int32 = 0
        let result = withCStrings(arguments) { argv in
            withCStrings(variables) { envp in
                program.withCString { path in
                    folder.withCString { cwd in
                        var plan = cl_spawn_plan(
                            path: path, argv: argv, envp: envp, cwd: cwd, socket: channel.socket_there,
                            out: channel.out_there, err: channel.err_there, slate: slate ?? -1
                        )
                        return cl_spawn(&plan, &pid, &pidfd)
                    }
                }
            }
        }
        if result < 0 {
            for fd in [channel.socket_here, channel.out_here, channel.err_here] { close(fd) }
            _ = group?.remove()
            throw HostFault("start \(program)", code: -result)
        }
        return SpawnedWorker(
            pid: pid, startTime: ProcFS.stat(pid)?.startTime ?? 0, pidfd: pidfd, socket: channel.socket_here,
            out: channel.out_here, err: channel.err_here, group: group
        )
    }
}

/// A NULL-terminated array of C strings, valid during `body`.
private func withCStrings<Result>(
    _ strings: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> Result
) -> Result {
    var pointers = strings.map { strdup($0) }
    defer { for pointer in pointers { free(pointer) } }
    pointers.append(nil)
    return pointers.withUnsafeBufferPointer { body($0.baseAddress!) }
}
