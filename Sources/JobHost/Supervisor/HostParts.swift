import Glibc
import JobConfig
import JobCore
import Synchronization

/// The loop with its process room, and the builder of generations on top: what start, `check`,
/// `exec` and `plugin inspect` have in common.
struct HostParts: Sendable {
    let loop: EventLoop
    let handle: RoomHandle
    let runLogs: RunLogs
    let builder: GenerationBuilder
    let libraries: LibraryStore
    /// The host's control group, if it was delegated to it.
    let groupFolder: String?

    var room: any WorkerRoom { handle.room }

    /// Starts the loop's thread.
    /// - Parameters:
    ///   - reading: what `config` was read from: where that is still so, it is not read again.
    ///   - stateDir: where copies of libraries and run logs go; nil: the config's. `check` and
    ///     `exec` use a folder of their own, so that they work beside a running host.
    ///   - slates: of the host that has the state folder for itself.
    ///   - adjust: applied to each config that is loaded.
    init(
        config: HostConfig, reading: ConfigMemory? = nil, clock: SystemClock, environment: [String: String], stateDir: String? = nil,
        slates: Slates? = nil,
        adjust: @escaping @Sendable (HostConfig) throws(ConfigErrors) -> HostConfig = { $0 }
    ) throws {
        let folder = stateDir ?? config.host.stateDir
        let loop = try EventLoop(clock: clock)
        let runLogs = try RunLogs(stateDir: folder, clock: clock)
        let libraries = LibraryStore(stateDir: folder)
        let groups = ControlGroups.ofThisProcess(stateDir: folder)
        let room = try ProcessRoom(
            loop: loop, clock: clock, workerBinary: Self.workerBinary(),
            // Relative paths in settings are relative to the config's folder, like all others in it.
            stateDir: Self.folder(of: config.file),
            maxWorkers: config.host.maxWorkers, runLogs: runLogs, groups: groups, slates: slates)
        try loop.start()
        let handle = RoomHandle(loop: loop, room: room)
        let zones = SystemZones(environment: environment)
        self.loop = loop
        self.runLogs = runLogs
        self.libraries = libraries
        groupFolder = groups?.folder
        self.handle = handle
        let memory = Mutex(reading)
        builder = GenerationBuilder(tools: BuildTools(
            loadConfig: { (file, environment) throws(ConfigErrors) in
                // Taken out and put back: two loads at once both read.
                var known = memory.withLock { $0 }
                defer { memory.withLock { [known] in $0 = known } }
                return try adjust(try ConfigLoader.load(file: file, environment: environment, zones: zones, memory: &known))
            },
            accept: { original in
                let copy = try libraries.accept(original: original, durably: false)
                // A disk that is busy keeps nobody from trying the library, nor from serving with it.
                Task.detached(priority: .utility) { libraries.makeDurable(copy) }
                return copy
            },
            probe: { spec, questions in await handle.probe(spec, questions) },
            zones: zones, clock: clock))
    }

    private static func folder(of file: String) -> String {
        guard let slash = file.lastIndex(of: "/"), slash > file.startIndex else { return "/" }
        return String(file[..<slash])
    }

    /// Ends every worker, then the loop.
    func stop() async {
        let (loop, handle) = (loop, handle)
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            loop.post { handle.room.shutdown(grace: .zero) { continuation.resume() } }
        }
        loop.stop()
    }

    /// `jobhost-worker` beside the running binary, or what `JOBHOST_WORKER` names.
    static func workerBinary() -> String {
        if let named = getenv("JOBHOST_WORKER") { return String(cString: named) }
        return Machine.system.programFolder + "/jobhost-worker"
    }
}

/// A folder that is gone when its user is done.
struct ScratchFolder: Sendable {
    let path: String

    init() throws {
        let base = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        var template = Array((base + "/jobhost-XXXXXX").utf8CString)
        guard mkdtemp(&template) != nil else {
            throw CommandError(.unavailable, "cannot make a folder in \(base): \(String(cString: strerror(errno)))")
        }
        // `user = "…"`: that one's worker finds its way to the copy of its library, and nothing else.
        chmod(template, 0o711)
        path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    func remove() { Folder.remove(path) }
}
