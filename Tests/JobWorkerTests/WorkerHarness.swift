import CLinux
import Glibc
import JobCore
import Testing

/// A real `jobhost-worker` and the supervisor's end of its socket. Everything waits with a
/// limit, nothing sleeps; the process is killed and reaped when the object goes.
final class WorkerProcess {
    struct Failure: Error, CustomStringConvertible { var description: String }

    let pid: Int32
    private let pidfd: Int32
    private var socket: Int32
    private let outputs: [Int32]
    private var decoder = FrameDecoder<WorkerFrame>()
    private var hasEnded = false
    static let limit: Int32 = 180_000

    /// `slate`: the descriptor of one, 10 or above; it stays the caller's.
    init(arguments: [String] = ["--fd", "3"], slate: Int32 = -1) throws {
        var channel = cl_channel()
        guard cl_channel_open(&channel) >= 0 else { throw Failure(description: "no descriptors") }
        let path = try Binaries.path("jobhost-worker")
        var child: Int32 = 0
        var childFD: Int32 = 0
        let slash: StaticString = "/"
        let result = Spawn.withCStrings([path] + arguments + (slate >= 0 ? ["--slate", "4"] : [])) { argv in
            argv.withUnsafeBufferPointer { argv in
                path.withCString { path in
                    // Any folder: the library's path is absolute.
                    let folder = UnsafeRawPointer(slash.utf8Start).assumingMemoryBound(to: CChar.self)
                    var plan = cl_spawn_plan()
                    plan.path = path
                    plan.cwd = folder
                    plan.argv = argv.baseAddress
                    plan.envp = UnsafePointer(environ)
                    plan.socket = channel.socket_there
                    plan.out = channel.out_there
                    plan.err = channel.err_there
                    plan.slate = slate
                    return cl_spawn(&plan, &child, &childFD)
                }
            }
        }
        for there in [channel.socket_there, channel.out_there, channel.err_there] { close(there) }
        socket = channel.socket_here
        outputs = [channel.out_here, channel.err_here]
        pid = child
        pidfd = childFD
        guard result >= 0 else { throw Failure(description: "cl_spawn \(path): \(result)") }
    }

    deinit {
        // Of one that could not be started there is nothing to end; group 0 would be the tests' own.
        if !hasEnded, pid > 0 {
            kill(-pid, SIGKILL)
            var end = cl_exit()
            while cl_reap_pidfd(pidfd, &end) == 0 { _ = wait(for: [pidfd]) }
        }
        for descriptor in outputs + [socket, pidfd] where descriptor >= 0 { close(descriptor) }
    }

    // MARK: frames

    func send(_ frames: HostFrame...) throws {
        var encoder = FrameEncoder()
        for frame in frames { try encoder.append(frame) }
        try sendRaw(encoder.bytes)
    }
    func sendRaw(_ bytes: [UInt8]) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            if count < 0, errno == EAGAIN, wait(for: [socket], events: POLLOUT) != nil { continue }
            guard count > 0 else { throw Failure(description: "send: \(errno)") }
            rest = rest.dropFirst(count)
        }
    }

    /// The next frame, whatever it is.
    func receive() throws -> WorkerFrame {
        while true {
            if let frame = try decoder.next() { return frame }
            guard wait(for: [socket]) != nil else { throw Failure(description: "no frame within \(Self.limit) ms") }
            var buffer = [UInt8](repeating: 0, count: 65_536)
            let count = recv(socket, &buffer, buffer.count, 0)
            guard count > 0 else { throw Failure(description: "the worker closed its end") }
            decoder.append(buffer[..<count])
        }
    }

    /// Everything up to the worker's end, as it came.
    func receiveRaw() throws -> [UInt8] {
        var all: [UInt8] = []
        while true {
            guard wait(for: [socket]) != nil else { throw Failure(description: "no end within \(Self.limit) ms") }
            var buffer = [UInt8](repeating: 0, count: 65_536)
            let count = recv(socket, &buffer, buffer.count, 0)
            if count <= 0 { return all }
            all += buffer[..<count]
        }
    }

    /// As `receiveRaw`, from the next whole frame on.
    func receiveRest() throws -> [UInt8] {
        var encoder = FrameEncoder()
        while true {
            do { try encoder.append(receive()) } catch is Failure { return encoder.bytes }
        }
    }

    /// Loads the library and returns its descriptor.
    func load(_ library: String, memoryLimit: UInt64 = 0, fileLimit: UInt64 = 0) throws -> PluginDescriptor {
        try send(.load(LoadRequest(library: library, plugin: "under-test", memoryLimit: memoryLimit, fileLimit: fileLimit)))
        let frame = try receive()
        guard case .ready(let descriptor) = frame else { throw Failure(description: "not ready: \(frame)") }
        return descriptor
    }

    /// Frames up to and including the result of the run.
    func untilResult() throws -> (before: [WorkerFrame], result: RunResult) {
        var before: [WorkerFrame] = []
        while true {
            let frame = try receive()
            if case .result(let result) = frame { return (before, result) }
            before.append(frame)
        }
    }

    func run(_ frame: RunFrame) throws -> (before: [WorkerFrame], result: RunResult) {
        try send(.run(frame))
        return try untilResult()
    }

    // MARK: output, end

    /// The first of them that is ready; nil: none within the limit.
    private func wait(for descriptors: [Int32], events: Int32 = POLLIN) -> Int32? {
        var entries = descriptors.map { pollfd(fd: $0, events: Int16(events), revents: 0) }
        guard poll(&entries, nfds_t(entries.count), Self.limit) > 0 else { return nil }
        return entries.first { $0.revents != 0 }?.fd
    }

    /// Reads output until `text` has come.
    func outputContains(_ text: String) throws -> Bool {
        var seen = ""
        var open = outputs
        while !seen.contains(text) {
            guard let ready = wait(for: open) else { return false }
            var buffer = [UInt8](repeating: 0, count: 65_536)
            let count = read(ready, &buffer, buffer.count)
            if count > 0 {
                seen += String(decoding: buffer[..<count], as: UTF8.self)
            } else {
                open.removeAll { $0 == ready }
                if open.isEmpty { return false }
            }
        }
        return true
    }

    func closeSocket() {
        close(socket)
        socket = -1
    }

    enum End: Equatable { case exited(Int32), signalled(Int32), stillRunning }

    func end() throws -> End {
        guard wait(for: [pidfd]) != nil else { return .stillRunning }
        var end = cl_exit()
        guard cl_reap_pidfd(pidfd, &end) == 1 else { throw Failure(description: "not reaped") }
        hasEnded = true
        return end.signalled ? .signalled(end.status) : .exited(end.status)
    }
}

/// Where the build left its binaries: beside the test bundle, or JOBHOST_BIN_DIR.
enum Binaries {
    static func path(_ name: String) throws -> String {
        if let folder = getenv("JOBHOST_BIN_DIR") { return String(cString: folder) + "/" + name }
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = readlink("/proc/self/exe", &buffer, buffer.count)
        var starts = [CommandLine.arguments[0]]
        if count > 0 { starts.append(String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)) }
        for start in starts {
            var folder = start[...]
            while let slash = folder.lastIndex(of: "/") {
                folder = folder[..<slash]
                if access("\(folder)/\(name)", X_OK) == 0 { return "\(folder)/\(name)" }
            }
        }
        throw WorkerProcess.Failure(description: "\(name) is not beside the tests; set JOBHOST_BIN_DIR")
    }

    /// The package's folder, from where this file was compiled.
    static var root: String {
        var path = #filePath[...]
        for _ in 0 ..< 3 { path = path[..<(path.lastIndex(of: "/") ?? path.startIndex)] }
        return String(path)
    }
}

enum Spawn {
    static func withCStrings<R>(_ texts: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> R) -> R {
        let pointers = texts.map { strdup($0) }
        defer { for pointer in pointers { free(pointer) } }
        return body(pointers + [nil])
    }

    /// Runs a program to its end; its output with the status.
    static func run(_ arguments: [String]) throws -> (status: Int32, output: String) {
        var pipe: [Int32] = [-1, -1]
        let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        guard socketpair(AF_UNIX, kind, 0, &pipe) == 0 else { throw WorkerProcess.Failure(description: "socketpair: \(errno)") }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, pipe[1], 1)
        posix_spawn_file_actions_adddup2(&actions, pipe[1], 2)
        var child: pid_t = 0
        let result = withCStrings(arguments) { posix_spawnp(&child, $0[0]!, &actions, nil, $0, environ) }
        close(pipe[1])
        defer { close(pipe[0]) }
        guard result == 0 else { return (127, "\(arguments[0]): \(result)") }
        var output: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while case let count = read(pipe[0], &buffer, buffer.count), count > 0 { output += buffer[..<count] }
        var status: Int32 = 0
        waitpid(child, &status, 0)
        return ((status >> 8) & 0xFF | status & 0x7F, String(decoding: output, as: UTF8.self))
    }

    static func isThere(_ program: String) -> Bool { (try? run([program, "--version"]).status) == 0 }
}

/// A folder for compiled plugins, gone with the object.
final class Workshop {
    let folder: String

    init() throws {
        var template = Array("/tmp/jobhost-worker-tests-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw WorkerProcess.Failure(description: "mkdtemp: \(errno)") }
        folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
    deinit { _ = try? Spawn.run(["rm", "-rf", folder]) }

    private static var include: String { Binaries.root + "/Sources/JobABI/include" }

    func write(_ name: String, _ text: String) throws -> String {
        let path = "\(folder)/\(name)"
        guard let file = fopen(path, "w") else { throw WorkerProcess.Failure(description: "\(path): \(errno)") }
        fputs(text, file)
        fclose(file)
        return path
    }

    static func read(_ path: String) throws -> String {
        guard let file = fopen(path, "r") else { throw WorkerProcess.Failure(description: "\(path): \(errno)") }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while case let count = fread(&buffer, 1, buffer.count, file), count > 0 { bytes += buffer[..<count] }
        return String(decoding: bytes, as: UTF8.self)
    }

    private func build(_ arguments: [String]) throws {
        let (status, output) = try Spawn.run(arguments)
        guard status == 0 else {
            throw WorkerProcess.Failure(description: "\(arguments.joined(separator: " ")): \(output)")
        }
    }

    /// A plugin with one entry "go" whose body of `run` is given; `job_abi.h` and the usual
    /// headers are included, `before` stands at file scope.
    func plugin(run body: String, before: String = "", members: String = "") throws -> String {
        try library(
            """
            #define _GNU_SOURCE
            #include "job_abi.h"
            #include <fcntl.h>
            #include <math.h>
            #include <poll.h>
            #include <pthread.h>
            #include <signal.h>
            #include <stdio.h>
            #include <stdlib.h>
            #include <string.h>
            #include <sys/resource.h>
            #include <sys/socket.h>
            #include <unistd.h>
            \(before)
            static int32_t run(void *instance, const job_context *c) { (void)instance; (void)c; \(body) return JOB_SUCCEEDED; }
            static const job_entry go = {.struct_size = sizeof(job_entry), .id = JOB_STR_INIT("go"), .run = run, \(members)};
            static const job_entry *at(uint32_t i) { (void)i; return &go; }
            static const job_plugin plugin = {.struct_size = sizeof(job_plugin), .entry_count = 1,
                .id = JOB_STR_INIT("evil"), .version = JOB_STR_INIT("1"), .entry = at};
            JOB_EXPORT const job_plugin *job_plugin_v1(void) { return &plugin; }
            """)
    }

    func library(_ source: String) throws -> String {
        let path = try write("plugin.c", source)
        return try compileC(path)
    }
    func compileC(_ source: String) throws -> String {
        try build([
            "cc", "-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", "-fvisibility=hidden", "-I",
            Self.include, "-o", "\(folder)/libplugin.so", source, "-lm", "-pthread",
        ])
        return "\(folder)/libplugin.so"
    }
    func compileCpp(_ source: String) throws -> String {
        try build([
            "c++", "-std=c++17", "-O1", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fPIC", "-shared",
            "-fvisibility=hidden", "-I", Self.include, "-o", "\(folder)/libplugin.so", source,
        ])
        return "\(folder)/libplugin.so"
    }
    func compileRust(_ source: String) throws -> String {
        try build([
            "rustc", "-O", "--edition", "2021", "--crate-type", "cdylib", "-C", "panic=abort", "-D", "warnings", "-o",
            "\(folder)/libplugin.so", source,
        ])
        return "\(folder)/libplugin.so"
    }
    /// Against this build's JobKit, as a plugin's own package would.
    func compileSwift(_ source: String, options: [String]) throws -> String {
        let worker = try Binaries.path("jobhost-worker")
        let bin = worker.dropLast("/jobhost-worker".count)
        // The objects of the sources that there are: those of removed ones stay in the build folder.
        let objects =
            "$(for file in \(Binaries.root)/Sources/JobJSON/*.swift \(Binaries.root)/Sources/JobKit/*.swift; do "
            + "echo \(bin)/$(basename $(dirname $file)).build/$(basename $file).o; done)"
        try build([
            "sh", "-c",
            "swiftc \"$@\" -emit-library -parse-as-library -module-name Plugin -I \(bin)/Modules -I \(Self.include) "
                + "-module-cache-path \(folder)/modules -o \(folder)/libplugin.so \(source) \(objects)", "swiftc",
        ] + options)
        return "\(folder)/libplugin.so"
    }
}

extension RunFrame {
    static func go(
        _ id: Int64 = 1, instance: UInt32 = 1, attempt: UInt32 = 1, timeout: Duration = .zero, payload: String = "",
        state: StateBlob? = nil
    ) -> RunFrame {
        RunFrame(
            run: RunID(id), instance: instance, attempt: attempt, trigger: .schedule,
            fireTime: Instant(seconds: 1_700_000_000), timeout: timeout, fence: 7, idempotencyKey: "job@1700000000",
            payload: Array(payload.utf8), stateVersion: state?.version ?? 0, state: state?.bytes ?? [])
    }
}

extension HostFrame {
    static func instance(_ number: UInt32 = 1, entry: String = "go", settings: String = "{}") -> HostFrame {
        .settings(SettingsFrame(instance: number, job: "the-job", entry: entry, settings: Array(settings.utf8)))
    }
}
