import Glibc
import Synchronization
import Testing

/// A folder with a config, plugins compiled on the spot, and the real `jobhost` run in it.
/// Ends with the test: every process it started is dead and the folder is gone.
final class TestHost: Sendable {
    let folder: String
    static let binaries = binaryFolder()
    static let sources = sourceFolder()
    static let header = sources + "/Sources/JobABI/include"

    private let hosts = Mutex<[Child]>([])
    private let beacons = Mutex<[Beacon]>([])
    private let gates = Mutex<[PluginGate]>([])

    /// Hosts compile plugins, start and die: more of them at a time than this, and a small
    /// machine measures nothing but itself.
    private static let line = Gate(width: 6)

    /// Runs a test's body; whatever comes of it, every host is dead and the folder gone afterwards.
    static func with(_ body: (TestHost) async throws -> Void) async throws {
        await line.enter()
        do { try await alone(body) } catch {
            await line.leave()
            throw error
        }
        await line.leave()
    }

    private static func alone(_ body: (TestHost) async throws -> Void) async throws {
        let test = try TestHost()
        let result: Result<Void, any Error>
        do {
            try await body(test)
            result = .success(())
        } catch {
            result = .failure(error)
        }
        await test.end()
        try result.get()
    }

    private init() throws {
        var template = Array("/tmp/jobhost-e2e-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Failure("cannot make a folder: \(errno)") }
        folder = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        mkdir(folder + "/plugins", 0o755)
    }

    struct Failure: Error, CustomStringConvertible {
        var description: String
        init(_ text: String) { description = text }
    }

    /// Where the built binaries are: beside the test bundle, or `JOBHOST_BIN_DIR`.
    private static func binaryFolder() -> String {
        if let named = getenv("JOBHOST_BIN_DIR") { return String(cString: named) }
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = readlink("/proc/self/exe", &buffer, buffer.count)
        let path = String(decoding: buffer[..<max(0, count)].map(UInt8.init(bitPattern:)), as: UTF8.self)
        return String(path[..<(path.lastIndex(of: "/") ?? path.endIndex)])
    }

    private static func sourceFolder(_ file: String = #filePath) -> String {
        file.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(separator: "/")
    }

    // MARK: Files

    func write(_ text: String, to name: String) throws {
        let path = folder + "/" + name
        let file = open(path + ".new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard file >= 0 else { throw Failure("cannot write \(path): \(errno)") }
        let bytes = Array(text.utf8)
        defer { close(file) }
        guard Glibc.write(file, bytes, bytes.count) == bytes.count, rename(path + ".new", path) == 0 else {
            throw Failure("cannot write \(path): \(errno)")
        }
    }

    func config(_ text: String, grace: String = "5s") throws {
        try write("[host]\nname = \"test\"\ngrace = \"\(grace)\"\n" + text, to: "jobs.toml")
    }

    /// Compiles a plugin in C (or C++) against `job_abi.h` and renames it into place.
    func plugin(_ name: String, _ source: String, cpp: Bool = false) async throws {
        let file = folder + "/\(name)." + (cpp ? "cpp" : "c")
        try write(source, to: "\(name)." + (cpp ? "cpp" : "c"))
        let target = library(name)
        try await compile(
            cpp ? "g++" : "cc",
            [cpp ? "-std=c++17" : "-std=c11", "-O1", "-fPIC", "-shared", "-pthread", "-DFOLDER=\"\(folder)\""]
                + ["-I", Self.header, "-o", target + ".new", file])
        rename(target + ".new", target)
    }

    /// Compiles a library in C that is no plugin.
    func sharedLibrary(_ name: String, _ source: String) async throws {
        try write(source, to: "\(name).c")
        try await compile("cc", ["-std=gnu11", "-O1", "-fPIC", "-shared", "-pthread", "-o", folder + "/lib\(name).so", "\(name).c", "-ldl"])
    }

    /// Compiles a program in C.
    func program(_ name: String, _ source: String) async throws {
        try write(source, to: "\(name).c")
        try await compile("cc", ["-std=gnu11", "-O1", "-o", folder + "/" + name, "\(name).c"])
    }

    /// Compiles a plugin in Rust and renames it into place. `panic`: "abort" or "unwind".
    func rustPlugin(_ name: String, _ source: String, panic: String) async throws {
        try write(source, to: "\(name).rs")
        try await compile(
            "rustc", ["--edition", "2021", "--crate-type", "cdylib", "-C", "panic=\(panic)", "-o", library(name) + ".new", "\(name).rs"])
        rename(library(name) + ".new", library(name))
    }

    /// Compiles a plugin in C that calls functions in Swift (`@_cdecl`), with a runtime of its own.
    func swiftPlugin(_ name: String, _ source: String, swift: String) async throws {
        try write(source, to: "\(name).c")
        try write(swift, to: "\(name).swift")
        try await compile("cc", ["-std=c11", "-fPIC", "-c", "-DFOLDER=\"\(folder)\"", "-I", Self.header, "-o", "\(name).o", "\(name).c"])
        try await compile(
            "swiftc",
            ["-emit-library", "-parse-as-library", "-static-stdlib", "-module-name", "Plugin", "-module-cache-path", "modules"]
                + ["-o", library(name) + ".new", "\(name).swift", "\(name).o"])
        rename(library(name) + ".new", library(name))
    }

    private func compile(_ compiler: String, _ arguments: [String]) async throws {
        let path = getenv("PATH").map { String(cString: $0) } ?? "/usr/bin:/bin"
        let home = getenv("HOME").map { String(cString: $0) } ?? "/tmp"
        let child = try Child("/usr/bin/env", [compiler] + arguments, environment: ["PATH": path, "HOME": home], folder: folder)
        guard await child.exitCode() == 0 else {
            throw Failure("\(compiler): " + child.errors.all.joined(separator: "\n"))
        }
    }

    /// Whether a program is to be found on the path.
    static func isThere(_ program: String) -> Bool {
        (getenv("PATH").map { String(cString: $0) } ?? "").split(separator: ":").contains { access("\($0)/\(program)", X_OK) == 0 }
    }

    /// Where a plugin's library lies.
    func library(_ name: String) -> String { folder + "/plugins/lib\(name).so" }

    func exists(_ name: String) -> Bool { access(folder + "/" + name, F_OK) == 0 }

    /// The ledger, read and changed behind the host's back.
    var ledger: LedgerFile { LedgerFile(path: folder + "/var/jobhost.db") }

    /// What plugins say with `tell`, as lines.
    func beacon() throws -> Beacon {
        let beacon = try Beacon(path: folder + "/beacon")
        beacons.withLock { $0.append(beacon) }
        return beacon
    }

    /// Where plugins wait with `wait_gate`.
    func gate() throws -> PluginGate {
        let gate = try PluginGate(path: folder + "/gate")
        gates.withLock { $0.append(gate) }
        return gate
    }

    // MARK: Processes

    static func environment(_ more: [String: String] = [:]) -> [String: String] {
        ["PATH": "/usr/bin:/bin", "HOME": "/tmp", "NO_COLOR": "1"].merging(more) { $1 }
    }

    /// Starts the host and returns when it serves.
    func start(_ more: [String: String] = [:], through wrapper: [String] = []) async throws -> Child {
        let child = try launch(more, through: wrapper)
        guard await child.errors.next(where: { $0.contains("serving ") }) != nil else {
            throw Failure("the host did not start:\n" + child.errors.all.joined(separator: "\n"))
        }
        return child
    }

    /// Starts the host and does not wait. `wrapper`: a command that executes the one behind it.
    func launch(_ more: [String: String] = [:], through wrapper: [String] = []) throws -> Child {
        let command = wrapper + [Self.binaries + "/jobhost", "run", "--config", "jobs.toml"]
        let child = try Child(
            command[0], Array(command.dropFirst()), environment: Self.environment(more), folder: folder)
        hosts.withLock { $0.append(child) }
        return child
    }

    struct Answer {
        var code: Int32
        var output: String
        var errors: String
    }

    /// Starts any program in the test's folder and does not wait.
    func run(_ program: String, _ arguments: String...) throws -> Child {
        let child = try Child(program, arguments, environment: Self.environment(), folder: folder)
        hosts.withLock { $0.append(child) }
        return child
    }

    /// Starts a command and does not wait.
    func foreground(_ arguments: String..., environment: [String: String] = [:]) throws -> Child {
        let child = try Child(Self.binaries + "/jobhost", arguments, environment: Self.environment(environment), folder: folder)
        hosts.withLock { $0.append(child) }
        return child
    }

    /// Starts any program and does not wait.
    func command(_ program: String, _ arguments: String...) throws -> Child {
        let child = try Child(program, arguments, environment: Self.environment(["TERM": "xterm"]), folder: folder)
        hosts.withLock { $0.append(child) }
        return child
    }

    @discardableResult
    func jobhost(_ arguments: String..., environment: [String: String] = [:]) async throws -> Answer {
        try await jobhost(arguments: arguments, environment: environment)
    }

    /// - Parameter wrapper: a command that executes the one behind it.
    func jobhost(
        arguments: [String], environment: [String: String] = [:], through wrapper: [String] = []
    ) async throws -> Answer {
        let command = wrapper + [Self.binaries + "/jobhost"] + arguments
        let child = try Child(
            command[0], Array(command.dropFirst()), environment: Self.environment(environment), folder: folder)
        let code = await child.exitCode()
        return Answer(
            code: code, output: child.output.all.joined(separator: "\n"), errors: child.errors.all.joined(separator: "\n"))
    }

    /// What a probe of the host's health hears.
    func health() async throws -> (status: Int, body: String) { try await probe("/healthz") }

    /// Whoever asks at the socket in the state folder `state`.
    func probe(_ path: String, in state: String = "var") async throws -> (status: Int, body: String) {
        let curl = try run("/usr/bin/env", "curl", "-sS", "-m", "60", "-w", "\\n%{http_code}", "--unix-socket", state + "/jobhost.sock", "http://localhost" + path)
        guard await curl.exitCode() == 0, let status = Int(curl.output.all.last ?? "") else {
            throw Failure("no answer: \(curl.output.all) \(curl.errors.all)")
        }
        return (status, curl.output.all.dropLast().joined(separator: "\n"))
    }

    /// Asked until it has this status.
    @discardableResult
    func probe(_ path: String, in state: String = "var", until status: Int) async throws -> String {
        while true {
            let answer = try await probe(path, in: state)
            if answer.status == status { return answer.body }
            // At its time limit a test says no more than that; this is what one wants to know.
            if Task.isCancelled { Issue.record(Failure("\(path) is still \(answer)")) }
            try Task.checkCancellation()
        }
    }

    func killHosts() async {
        for host in hosts.withLock({ $0 }) {
            host.signal(SIGKILL)
            _ = await host.exitCode()
        }
    }

    /// Kills what is left and removes the folder.
    private func end() async {
        await killHosts()
        for beacon in beacons.withLock({ $0 }) { beacon.end() }
        for gate in gates.withLock({ $0 }) { gate.end() }
        if let remover = try? Child("/bin/rm", ["-rf", folder], environment: [:], folder: "/") { _ = await remover.exitCode() }
    }
}

extension Child {
    /// The next line of the host's log that contains all of these, from `from` on.
    @discardableResult
    func logs(_ parts: String..., from: Int = 0) async throws -> Int {
        guard let found = await errors.next(from: from, where: { line in parts.allSatisfy(line.contains) }) else {
            let failure = TestHost.Failure("no line with \(parts) in:\n" + errors.all.joined(separator: "\n"))
            // At its time limit a test says no more than that; this is what one wants to know.
            if Task.isCancelled { Issue.record(failure) }
            throw failure
        }
        return found.index
    }
}
