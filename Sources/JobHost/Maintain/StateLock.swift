import Glibc

/// Sole ownership of a state folder (`<state_dir>/lock`), or of a store in a file
/// (`<file>.lock`): an exclusive `flock` for as long as this object lives (or until `release`).
/// The kernel gives it back however the process ends,
/// so a lock is proof that nobody else lives here, and a leftover file is not.
///
/// The file is never deleted: a deleted one could be locked by two at once. The descriptor
/// is close-on-exec, so no worker inherits it.
public final class StateLock: Sendable {
    public let path: String
    private let descriptor: OwnedDescriptor

    private init(path: String, descriptor: Int32) {
        self.path = path
        self.descriptor = OwnedDescriptor(descriptor)
    }

    /// Makes the folder (mode 0751, parents too: workers of another `user` must reach their copies) where it is missing, takes the lock, and
    /// writes the holder's pid into the file. Waits only for a lock whose holder is dead.
    public static func acquire(stateDir: String, pid: Int32 = getpid()) throws(StateLockError) -> StateLock {
        try makeFolder(stateDir)
        return try acquire(path: stateDir + "/lock", of: .stateDir(stateDir), pid: pid)
    }

    /// Two hosts with a `state_dir` each and one store would take each other's workers and runs
    /// for what an earlier life left behind. By whatever name the file is reached; its folder is
    /// made where it is missing.
    public static func acquire(storeFile: String, pid: Int32 = getpid()) throws(StateLockError) -> StateLock {
        let folder = storeFile.lastIndex(of: "/").map { String(storeFile[..<$0]) } ?? "."
        if !folder.isEmpty { try makeFolder(folder) }
        return try acquire(path: resolved(storeFile) + ".lock", of: .store(storeFile), pid: pid)
    }

    private static func resolved(_ path: String) -> String {
        func real(_ path: String) -> String? {
            guard let found = realpath(path, nil) else { return nil }
            defer { free(found) }
            return String(cString: found)
        }
        if let file = real(path) { return file }
        guard let slash = path.lastIndex(of: "/"), let folder = real(String(path[..<slash])) else { return path }
        return folder + path[slash...]
    }

    private static func acquire(path: String, of property: StateLockError.Property, pid: Int32) throws(StateLockError) -> StateLock {
        var patience = longestAfterlife
        // Once more if somebody replaced the file between opening and locking it.
        for _ in 0..<10 {
            let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
            guard descriptor >= 0 else { throw .system(path: path, action: "open", errno: errno) }
            while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
                let code = errno
                if code == EINTR { continue }
                let holder = holder(descriptor)
                // A host that was killed while it started a worker: the child has its descriptors
                // until it executes. Or somebody just looks who holds the lock.
                if code == EWOULDBLOCK, patience > 0, !(holder.map(isAlive) ?? false) {
                    patience -= 1
                    poll(nil, 0, 10)
                    continue
                }
                _ = Glibc.close(descriptor)
                if code == EWOULDBLOCK { throw .held(property, holder: holder) }
                throw .system(path: path, action: "lock", errno: code)
            }
            guard isStillThere(path, descriptor) else {
                _ = Glibc.close(descriptor)
                continue
            }
            let text = Array("\(pid)\n".utf8)
            guard ftruncate(descriptor, 0) == 0, pwrite(descriptor, text, text.count, 0) == text.count else {
                let code = errno
                _ = Glibc.close(descriptor)
                throw .system(path: path, action: "write", errno: code)
            }
            return StateLock(path: path, descriptor: descriptor)
        }
        throw .system(path: path, action: "lock", errno: ESTALE)
    }

    /// How long a dead holder's lock is waited for, in steps of 10 ms.
    private static let longestAfterlife = 200

    private static func isAlive(_ pid: Int32) -> Bool { kill(pid, 0) == 0 || errno == EPERM }

    /// Gives the lock back. Later calls do nothing.
    public func release() { descriptor.close() }

    /// Who holds the lock of this folder, as the file says; nil: nobody.
    public static func holder(stateDir: String) -> Int32? { holder(lock: stateDir + "/lock") }

    /// Who serves the store in this file; nil: nobody.
    public static func holder(storeFile: String) -> Int32? { holder(lock: resolved(storeFile) + ".lock") }

    private static func holder(lock path: String) -> Int32? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard descriptor >= 0 else { return nil }
        defer { _ = Glibc.close(descriptor) }
        guard flock(descriptor, LOCK_SH | LOCK_NB) != 0, errno == EWOULDBLOCK else { return nil }
        return holder(descriptor)
    }

    private static func holder(_ descriptor: Int32) -> Int32? {
        var bytes = [UInt8](repeating: 0, count: 32)
        let count = pread(descriptor, &bytes, bytes.count, 0)
        guard count > 0 else { return nil }
        let text = String(decoding: bytes[..<count].prefix { $0 != 10 }, as: UTF8.self)
        return Int32(text).flatMap { $0 > 0 ? $0 : nil }
    }

    private static func isStillThere(_ path: String, _ descriptor: Int32) -> Bool {
        var opened = stat()
        var named = stat()
        return fstat(descriptor, &opened) == 0 && lstat(path, &named) == 0
            && opened.st_ino == named.st_ino && opened.st_dev == named.st_dev
    }

    private static func makeFolder(_ path: String) throws(StateLockError) {
        var prefix = ""
        for part in path.split(separator: "/", omittingEmptySubsequences: false) {
            prefix += (prefix.isEmpty && part.isEmpty) ? "" : String(part)
            if !prefix.isEmpty, prefix != "/", mkdir(prefix, 0o751) != 0, errno != EEXIST, errno != EISDIR {
                let code = errno
                var found = stat()
                // A read-only or foreign parent that is there already is not our concern.
                if stat(prefix, &found) != 0 { throw .system(path: prefix, action: "make the folder", errno: code) }
            }
            prefix += "/"
        }
    }
}

public enum StateLockError: Error, Hashable, Sendable, CustomStringConvertible {
    public enum Property: Hashable, Sendable {
        case stateDir(String)
        case store(String)
    }
    /// Another host has it. `holder`: its pid, if the file says so.
    case held(Property, holder: Int32?)
    case system(path: String, action: String, errno: Int32)

    public var description: String {
        switch self {
        case .held(let property, let holder):
            let who = holder.map { "a running host (pid \($0))" } ?? "another running host"
            return switch property {
            case .stateDir(let path): "\(path) is in use by \(who); stop it first, or give this one another state_dir"
            case .store(let path): "the store \(path) is in use by \(who); stop it first, or give this one a store of its own ([store] url)"
            }
        case .system(let path, let action, let code):
            return "cannot \(action) \(path): \(String(cString: strerror(code)))"
        }
    }
}
