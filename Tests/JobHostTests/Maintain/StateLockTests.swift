import Glibc
import Testing

@testable import JobHost

/// A folder that goes away with its test.
final class EmptyFolder {
    let path: String
    init() throws {
        var template = Array("/tmp/jobhost-test-XXXXXX".utf8CString)
        path = try #require(mkdtemp(&template).map { String(cString: $0) })
    }
    deinit { Self.remove(path) }

    private static func remove(_ path: String) {
        var found = stat()
        guard lstat(path, &found) == 0 else { return }
        guard found.st_mode & S_IFMT == S_IFDIR, let folder = opendir(path) else {
            _ = unlink(path)
            return
        }
        while let entry = readdir(folder) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            if name != ".", name != ".." { remove(path + "/" + name) }
        }
        closedir(folder)
        _ = rmdir(path)
    }
}

func contents(_ path: String) -> String? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4_096)
    while true {
        let count = read(descriptor, &buffer, buffer.count)
        guard count > 0 else { return String(decoding: bytes, as: UTF8.self) }
        bytes += buffer[..<count]
    }
}

@Suite("The lock on state_dir")
struct StateLockTests {
    let folder: EmptyFolder
    init() throws { folder = try EmptyFolder() }

    /// A host killed while it starts a worker leaves its lock to the child, until that executes.
    @Test("the lock of a dead holder is waited for, a living one's is not")
    func afterlife() async throws {
        let path = folder.path
        var living: StateLock?
        // It is waited for two seconds, which may be over on a busy machine before it is given back here.
        for _ in 0..<10 where living == nil {
            // No process has such a number: it is above every kernel's limit.
            let dead = try StateLock.acquire(stateDir: path, pid: 1 << 30)
            let next = Task.detached { try StateLock.acquire(stateDir: path) }
            poll(nil, 0, 50)
            dead.release()
            living = try? await next.value
        }
        try #require(living != nil)
        let clock = ContinuousClock()
        let waits = (0..<5).map { _ in
            clock.measure { _ = #expect(throws: StateLockError.self) { try StateLock.acquire(stateDir: path) } }
        }
        #expect(try #require(waits.min()) < .seconds(1), "\(waits)")
        living?.release()
    }

    @Test("a store has one holder, by whatever name it is reached")
    func store() throws {
        let file = folder.path + "/a/b.db"
        let first = try StateLock.acquire(storeFile: file, pid: 4_711)
        #expect(symlink(folder.path + "/a", folder.path + "/other") == 0)
        let refusal = #expect(throws: StateLockError.self) {
            try StateLock.acquire(storeFile: folder.path + "/other/b.db", pid: 4_712)
        }
        #expect(refusal == .held(.store(folder.path + "/other/b.db"), holder: 4_711))
        first.release()
        try StateLock.acquire(storeFile: folder.path + "/other/b.db").release()
    }

    @Test("one holder; the second learns who it is")
    func exclusive() throws {
        let lock = try StateLock.acquire(stateDir: folder.path, pid: 4_711)
        #expect(contents(folder.path + "/lock") == "4711\n")
        #expect(StateLock.holder(stateDir: folder.path) == 4_711)
        let refusal = #expect(throws: StateLockError.self) { try StateLock.acquire(stateDir: folder.path, pid: 4_712) }
        #expect(refusal == .held(.stateDir(folder.path), holder: 4_711))
        #expect(refusal?.description == "\(folder.path) is in use by a running host (pid 4711); stop it first, or give this one another state_dir")
        lock.release()
        #expect(StateLock.holder(stateDir: folder.path) == nil)
    }

    @Test("a released lock can be taken again, and the file of a dead host is no obstacle")
    func again() throws {
        try StateLock.acquire(stateDir: folder.path, pid: 4_711).release()
        #expect(contents(folder.path + "/lock") == "4711\n", "the file stays")
        let second = try StateLock.acquire(stateDir: folder.path, pid: 9)
        #expect(contents(folder.path + "/lock") == "9\n")
        second.release()
        second.release()
    }

    @Test("losing the object gives the lock back")
    func scope() throws {
        do { _ = try StateLock.acquire(stateDir: folder.path) }
        try StateLock.acquire(stateDir: folder.path).release()
    }

    @Test("missing folders are made: strangers may pass through, but neither list nor write")
    func makesFolders() throws {
        let deep = folder.path + "/a/b"
        let lock = try StateLock.acquire(stateDir: deep)
        defer { lock.release() }
        var found = stat()
        #expect(stat(deep, &found) == 0 && found.st_mode & 0o007 == 0o001)
    }

    @Test("a file in the way is named")
    func fileInTheWay() throws {
        let path = folder.path + "/file"
        close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0o600))
        let refusal = #expect(throws: StateLockError.self) { try StateLock.acquire(stateDir: path) }
        #expect(refusal?.description == "cannot open \(path)/lock: Not a directory")
        let below = #expect(throws: StateLockError.self) { try StateLock.acquire(stateDir: path + "/below") }
        #expect(below?.description == "cannot make the folder \(path)/below: Not a directory")
    }

    @Test("a link in the place of the lock is not followed")
    func link() throws {
        #expect(symlink("/dev/null", folder.path + "/lock") == 0)
        #expect(throws: StateLockError.system(path: folder.path + "/lock", action: "open", errno: ELOOP)) {
            try StateLock.acquire(stateDir: folder.path)
        }
    }
}
