import JobConfig
import JobCore
import Synchronization
import Testing

/// A config that was read before is taken again as long as nothing that it came from has changed.
@Suite struct MemoryTests {
    /// Files that can be changed, and how often one was read.
    private final class Disk: Sendable {
        struct State {
            var files: [String: String] = [:]
            var reads = 0
        }
        let state = Mutex(State())
        subscript(path: String) -> String? {
            get { state.withLock { $0.files["/c/" + path] } }
            set { state.withLock { $0.files["/c/" + path] = newValue } }
        }
        var machine: Machine {
            Machine(
                readFile: { (path, _) throws(Machine.Fault) in
                    guard let text = self.state.withLock({ $0.files[path] }) else { throw Machine.Fault(reason: "no such file") }
                    return Array(text.utf8)
                },
                listFolder: { folder in
                    self.state.withLock { state in
                        state.files.keys.filter { $0.hasPrefix(folder + "/") }.map { String($0.dropFirst(folder.count + 1)) }.filter { !$0.contains("/") }
                    }
                },
                kind: { path in self.state.withLock { $0.files[path] != nil ? .file : nil } },
                hostName: "h", programFolder: "/usr/bin", currentFolder: "/c")
        }
    }

    private struct Zones: ZoneSource {
        let asked = Counter()
        func zone(named name: String) throws(ZoneError) -> Zone {
            asked.count.withLock { $0 += 1 }
            return .utc
        }
        final class Counter: Sendable { let count = Mutex(0) }
    }

    private let disk = Disk()

    init() {
        disk["jobs.toml"] = """
            [host]
            include = ["d/*.toml"]
            [plugins.a]
            library = "liba.so"
            settings = { word = "file:secret", other = "${OTHER:-none}" }
            [jobs.j]
            plugin = "a"
            entry = "e"
            cron = "0 * * * *"
            timezone = "Europe/Berlin"
            """
        disk["liba.so"] = ""
        disk["secret"] = "one"
    }

    /// Whether the second load after a change parsed anew, which shows in the zones being asked for.
    private func isReadAgain(
        environment: [String: String] = [:], after change: (Disk) -> Void
    ) throws -> (again: Bool, config: HostConfig?) {
        var memory: ConfigMemory?
        let first = try ConfigLoader.load(file: "/c/jobs.toml", environment: [:], zones: Zones(), machine: disk.machine, memory: &memory)
        let before = try #require(memory)
        #expect(before.config == first)
        change(disk)
        let second = try? ConfigLoader.load(
            file: "/c/jobs.toml", environment: environment, zones: Zones(), machine: disk.machine, memory: &memory)
        if let second {
            let fresh = try ConfigLoader.load(file: "/c/jobs.toml", environment: environment, zones: Zones(), machine: disk.machine)
            #expect(second == fresh, "from memory or not, it is what is on disk")
        }
        return (second != first, second)
    }

    @Test func nothingChanged() throws {
        var memory: ConfigMemory?
        let first = try ConfigLoader.load(file: "/c/jobs.toml", environment: [:], zones: Zones(), machine: disk.machine, memory: &memory)
        let zones = Zones()
        let second = try ConfigLoader.load(file: "/c/jobs.toml", environment: [:], zones: zones, machine: disk.machine, memory: &memory)
        #expect(first == second)
        #expect(zones.asked.count.withLock { $0 } == 1, "each zone is compared once")
    }

    @Test func anEditedFile() throws {
        #expect(try isReadAgain { $0["jobs.toml"] = $0["jobs.toml"]?.replacing("0 * * * *", with: "5 * * * *") }.again)
    }

    @Test func aNewDropIn() throws {
        let found = try isReadAgain { $0["d/new.toml"] = "[jobs.k]\nplugin = \"a\"\nentry = \"e\"\nevery = \"1s\"\n" }
        #expect(found.again && found.config?.jobs.count == 2)
    }

    @Test func aSecretThatWasRotated() throws {
        #expect(try isReadAgain { $0["secret"] = "two" }.again)
    }

    @Test func anotherEnvironment() throws {
        #expect(try isReadAgain(environment: ["OTHER": "some"]) { _ in }.again)
    }

    @Test func aLibraryThatIsGone() throws {
        let found = try isReadAgain { $0["liba.so"] = nil }
        #expect(found.config == nil, "refused, as if it were read for the first time")
    }

    @Test func whatIsRefusedIsNotRemembered() throws {
        var memory: ConfigMemory?
        disk["jobs.toml"] = "[jobs"
        #expect(throws: ConfigErrors.self) {
            try ConfigLoader.load(file: "/c/jobs.toml", environment: [:], zones: Zones(), machine: disk.machine, memory: &memory)
        }
        #expect(memory == nil)
    }
}
