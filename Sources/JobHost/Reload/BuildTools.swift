import Glibc
import JobConfig
import JobCore
import JobStore

/// What building a generation needs of other rooms. Closures, so that start, reload, `plan`,
/// `check` and the tests each plug in their own. All may be called from any thread, several at once.
public struct BuildTools: Sendable {
    /// Reads, merges and checks the config file with this environment.
    public var loadConfig: @Sendable (_ file: String, _ environment: [String: String]) async throws(ConfigErrors) -> HostConfig
    /// Checks a library as the operator keeps it and copies it into the host's store of copies.
    /// Throws a `LibraryRefusal`; any other error counts as a fault of the host. Both describe
    /// themselves in a sentence that names the file.
    public var accept: @Sendable (_ original: String) async throws -> LibraryCopy
    /// Loads a copy in a throwaway worker and asks it about settings.
    public var probe: @Sendable (_ spec: PoolSpec, _ questions: [SettingsQuestion]) async -> ProbeResult
    /// nil: there is no such file.
    public var stamp: @Sendable (_ path: String) -> FileStamp?
    /// What everybody may write to of the file and the folders that lead to it; nil: nothing.
    public var exposed: @Sendable (_ path: String) -> ExposedPath?
    public var zones: any ZoneSource
    public var clock: any TimeSource
    public init(
        loadConfig: @escaping @Sendable (String, [String: String]) async throws(ConfigErrors) -> HostConfig,
        accept: @escaping @Sendable (String) async throws -> LibraryCopy,
        probe: @escaping @Sendable (PoolSpec, [SettingsQuestion]) async -> ProbeResult,
        stamp: @escaping @Sendable (String) -> FileStamp? = { FileStamp(path: $0) },
        exposed: @escaping @Sendable (String) -> ExposedPath? = { ExposedPath(of: $0) },
        zones: any ZoneSource, clock: any TimeSource
    ) {
        self.loadConfig = loadConfig
        self.accept = accept
        self.probe = probe
        self.stamp = stamp
        self.exposed = exposed
        self.zones = zones
        self.clock = clock
    }
}

/// A file or folder that everybody may write to.
public struct ExposedPath: Hashable, Sendable, CustomStringConvertible {
    public var path: String
    public var isFolder: Bool
    public init(path: String, isFolder: Bool) {
        self.path = path
        self.isFolder = isFolder
    }
    public var description: String { "everybody may write to the \(isFolder ? "folder " : "file ")\(path)" }

    /// The first of them: the file itself, its folder, the folders above. A sticky folder above
    /// (as /tmp is) is no danger: what is in it stays its owner's.
    public init?(of file: String) {
        guard let pointer = realpath(file, nil) else { return nil }
        defer { free(pointer) }
        var path = String(cString: pointer)
        var depth = 0
        while true {
            var found = stat()
            let isThere = stat(path, &found) == 0
            if isThere, found.st_mode & S_IWOTH != 0, depth < 2 || found.st_mode & S_ISVTX == 0 {
                self.init(path: path, isFolder: depth > 0)
                return
            }
            guard path != "/", let slash = path.lastIndex(of: "/") else { return nil }
            path = slash == path.startIndex ? "/" : String(path[..<slash])
            depth += 1
        }
    }
}

/// What tells a file from its next version without reading it.
public struct FileStamp: Hashable, Sendable {
    public var device: UInt64
    public var inode: UInt64
    public var size: Int64
    /// Nanoseconds since the epoch: of the content, and of content, name or mode. The second
    /// cannot be set by hand, so a file copied with its old date is told apart too.
    public var modified: Int64
    public var changed: Int64
    public init(device: UInt64, inode: UInt64, size: Int64, modified: Int64, changed: Int64) {
        self.device = device
        self.inode = inode
        self.size = size
        self.modified = modified
        self.changed = changed
    }

    /// nil: there is no such regular file (links are followed).
    public init?(path: String) {
        var found = stat()
        guard stat(path, &found) == 0, found.st_mode & S_IFMT == S_IFREG else { return nil }
        self.init(
            device: UInt64(found.st_dev), inode: UInt64(found.st_ino), size: Int64(found.st_size),
            modified: Self.nanoseconds(found.st_mtim), changed: Self.nanoseconds(found.st_ctim))
    }

    private static func nanoseconds(_ time: timespec) -> Int64 {
        Int64(time.tv_sec).saturatingMultiply(1_000_000_000).saturatingAdd(Int64(time.tv_nsec))
    }
}

public enum BuildOutcome: Sendable {
    /// Switch to it. Parts may have been refused; the report says which.
    case ready(Generation, ReloadReport)
    /// The old generation goes on, or at start there is none.
    case refused(ReloadReport)
    /// The same, since the host itself could not read the files: of them nothing is known. `reason`: what it met first.
    case unread(ReloadReport, reason: String)

    public var report: ReloadReport {
        switch self {
        case .ready(_, let report), .refused(let report), .unread(let report, _): report
        }
    }
}

extension Generation {
    /// The copies to be remembered as accepted once this generation serves: those of the
    /// files as they are on disk, not those that serve in place of a refused one.
    public func acceptedLibraries(at instant: Instant) -> [AcceptedLibrary] {
        plugins.values.filter { $0.problem.isEmpty }.sorted { $0.config.name < $1.config.name }.map {
            AcceptedLibrary(plugin: $0.config.name, sha256: $0.copy.sha256, path: $0.copy.path, acceptedAt: instant)
        }
    }
}
