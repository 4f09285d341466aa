import Glibc
import JobCore

/// What `Doctor` judges.
public struct DoctorFacts: Sendable {
    public struct StateDir: Hashable, Sendable {
        public enum Access: Hashable, Sendable {
            case missing(canBeMade: Bool)
            case notAFolder
            case notWritable(String)
            /// Permission bits.
            case writable(mode: UInt32)
        }
        public var path: String
        public var access: Access
        /// pid of the host that lives there.
        public var holder: Int32?
        public init(path: String, access: Access, holder: Int32? = nil) {
            self.path = path
            self.access = access
            self.holder = holder
        }
    }

    public struct Disk: Hashable, Sendable {
        /// For an ordinary user.
        public var freeBytes: UInt64
        /// nil: the file system does not count them.
        public var freeInodes: UInt64?
        public init(freeBytes: UInt64, freeInodes: UInt64?) {
            self.freeBytes = freeBytes
            self.freeInodes = freeInodes
        }
    }

    public enum Worker: Hashable, Sendable {
        case missing(String)
        case notExecutable(String)
        case silent(String, why: String)
        case answered(String, version: String, expected: String)
    }

    /// What the store says, read without changing it.
    public struct History: Hashable, Sendable {
        public enum Format: Hashable, Sendable {
            case absent, foreign
            case current(Int64)
            case older(Int64, known: Int64)
            case newer(Int64, known: Int64)
        }
        public struct OpenBreaker: Hashable, Sendable {
            public var job: String
            /// nil: until somebody closes it.
            public var until: Instant?
            public var reason: String
            public init(job: String, until: Instant?, reason: String) {
                self.job = job
                self.until = until
                self.reason = reason
            }
        }
        public var format: Format
        /// Jobs of which something has ever ended.
        public var jobs = 0
        public var breakers: [OpenBreaker] = []
        /// Dead letters, by job.
        public var dead: [String: Int64] = [:]
        /// Since when the run waits that is due and has waited longest, by job.
        public var oldestWaiting: [String: Instant] = [:]
        /// Plugins whose accepted copy is not where the store says.
        public var missingCopies: [String] = []
        public init(format: Format) { self.format = format }
    }

    public enum Store: Hashable, Sendable {
        case read(History)
        case failed(String)
        case skipped(String)
    }

    public var stateDir: StateDir
    public var disk: Disk?
    /// Of the store, where it is on another disk; nil: it is not.
    public var storeDisk: Disk?
    public var timeZoneProblem: String?
    public var worker: Worker
    public var descriptorLimit: UInt64
    public var maxWorkers: Int
    public var wall: Instant
    /// By the kernel's account; nil: it does not say.
    public var isClockSynchronised: Bool?
    public var store: Store
    /// Of a build of the whole config; nil: there is none to judge.
    public var config: ReloadReport?
    public init(
        stateDir: StateDir, disk: Disk?, timeZoneProblem: String?, worker: Worker, descriptorLimit: UInt64,
        maxWorkers: Int, wall: Instant, isClockSynchronised: Bool?, store: Store, config: ReloadReport?,
        storeDisk: Disk? = nil
    ) {
        self.storeDisk = storeDisk
        self.stateDir = stateDir
        self.disk = disk
        self.timeZoneProblem = timeZoneProblem
        self.worker = worker
        self.descriptorLimit = descriptorLimit
        self.maxWorkers = maxWorkers
        self.wall = wall
        self.isClockSynchronised = isClockSynchronised
        self.store = store
        self.config = config
    }
}

/// What only other rooms can find out.
public struct DoctorCollaborators: Sendable {
    /// The version a worker binary prints; throws with a sentence if it does not start.
    public var workerVersion: @Sendable (_ path: String) async throws -> String
    /// Reads the store without changing it.
    public var readStore: @Sendable () async throws -> DoctorFacts.Store
    /// The store's file; nil: it is no file.
    public var storeFile: String?
    /// Reads a zone of the tz database; throws with the reason.
    public var readZone: @Sendable (_ name: String) throws -> Void
    /// What the kernel says (adjtimex(2)); nil: not known.
    public var isClockSynchronised: @Sendable () -> Bool?
    public init(
        workerVersion: @escaping @Sendable (String) async throws -> String,
        readStore: @escaping @Sendable () async throws -> DoctorFacts.Store, storeFile: String? = nil,
        readZone: @escaping @Sendable (String) throws -> Void,
        isClockSynchronised: @escaping @Sendable () -> Bool? = { nil }
    ) {
        self.isClockSynchronised = isClockSynchronised
        self.workerVersion = workerVersion
        self.readStore = readStore
        self.storeFile = storeFile
        self.readZone = readZone
    }
}

extension DoctorFacts {
    /// Looks at this machine. Writes nothing but a probe file in `stateDir`, which it removes.
    public static func gather(
        stateDir: String, workerPath: String, version: String, maxWorkers: Int, config: ReloadReport?, now: Instant,
        collaborators: DoctorCollaborators
    ) async -> DoctorFacts {
        let folder = lookAtStateDir(stateDir)
        return DoctorFacts(
            stateDir: folder, disk: disk(nearestFolder(stateDir)),
            timeZoneProblem: zoneProblem(collaborators.readZone),
            worker: await lookAtWorker(workerPath, expected: version, collaborators.workerVersion),
            descriptorLimit: descriptorLimit(), maxWorkers: maxWorkers, wall: now,
            isClockSynchronised: collaborators.isClockSynchronised(),
            store: await readStore(collaborators.readStore), config: config,
            storeDisk: collaborators.storeFile.flatMap { storeDisk(stateDir, $0) })
    }

    static func lookAtStateDir(_ path: String) -> StateDir {
        var found = stat()
        guard stat(path, &found) == 0 else {
            return StateDir(path: path, access: .missing(canBeMade: access(nearestFolder(path), W_OK | X_OK) == 0))
        }
        guard found.st_mode & S_IFMT == S_IFDIR else { return StateDir(path: path, access: .notAFolder) }
        // Tried, not asked: a read-only mount and access lists say no only then.
        let probe = path + "/.doctor.\(getpid())"
        let descriptor = open(probe, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else {
            return StateDir(path: path, access: .notWritable(String(cString: strerror(errno))))
        }
        _ = close(descriptor)
        _ = unlink(probe)
        return StateDir(path: path, access: .writable(mode: found.st_mode & 0o7777), holder: StateLock.holder(stateDir: path))
    }

    static func disk(_ path: String) -> Disk? {
        var found = statvfs()
        guard statvfs(path, &found) == 0 else { return nil }
        let (bytes, overflow) = UInt64(found.f_bavail).multipliedReportingOverflow(by: UInt64(found.f_frsize))
        return Disk(freeBytes: overflow ? .max : bytes, freeInodes: found.f_files == 0 ? nil : UInt64(found.f_favail))
    }

    /// The path itself, or the closest parent that is there.
    static func nearestFolder(_ path: String) -> String {
        var path = path
        var found = stat()
        while stat(path, &found) != 0, let slash = path.lastIndex(of: "/"), path.count > 1 {
            path = slash == path.startIndex ? "/" : String(path[..<slash])
        }
        return path
    }

    /// One that never changes and one with daylight saving time.
    static func zoneProblem(_ read: @Sendable (String) throws -> Void) -> String? {
        for name in ["Etc/UTC", "Europe/Berlin", "America/New_York"] {
            do { try read(name) } catch { return "\(name): \(error)" }
        }
        return nil
    }

    static func lookAtWorker(
        _ path: String, expected: String, _ version: @Sendable (String) async throws -> String
    ) async -> Worker {
        var found = stat()
        guard stat(path, &found) == 0, found.st_mode & S_IFMT == S_IFREG else { return .missing(path) }
        guard access(path, X_OK) == 0 else { return .notExecutable(path) }
        do {
            return .answered(path, version: try await version(path), expected: expected)
        } catch {
            return .silent(path, why: "\(error)")
        }
    }

    static func readStore(_ read: @Sendable () async throws -> Store) async -> Store {
        do { return try await read() } catch { return .failed("\(error)") }
    }

    /// nil: the store is on the disk of `stateDir`.
    static func storeDisk(_ stateDir: String, _ storeFile: String) -> Disk? {
        let folder = nearestFolder(storeFile)
        var (state, store) = (stat(), stat())
        guard stat(nearestFolder(stateDir), &state) == 0, stat(folder, &store) == 0, state.st_dev != store.st_dev else { return nil }
        return disk(folder)
    }

    static func descriptorLimit() -> UInt64 {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 0 }
        return UInt64(limit.rlim_cur)
    }

}
