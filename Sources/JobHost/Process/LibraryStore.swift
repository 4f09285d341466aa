import CLinux
import Glibc
import JobCore

/// The host's own copies of libraries: `<state_dir>/plugins/<sha256>/<name>.so`, mode 0444,
/// never changed once there. Callable from any thread; `accept` reads the whole file.
///
/// A copy whose bytes may not have reached the disk yet has mode 0555. It serves as well as any other, and a life of
/// the host that finds one knows that it may be cut short: it is thrown away and made anew.
public struct LibraryStore: Sendable {
    private let folder: String
    private static let chunk = 256 << 10
    private static let (durable, fresh): (mode_t, mode_t) = (0o444, 0o555)

    public init(stateDir: String) { folder = stateDir + "/plugins" }

    /// Copies a library into the store, unless it is there already, and checks the copy. The
    /// original must not change meanwhile. `durably` false: `makeDurable` is to follow.
    public func accept(original: String, durably: Bool = true) throws(LibraryRefusal) -> LibraryCopy {
        let source = cl_open(original, O_RDONLY | O_NONBLOCK, 0)
        guard source >= 0 else { throw Self.cannot("read \(original)", -source, fault: [EMFILE, ENFILE, ENOMEM].contains(-source)) }
        defer { close(source) }
        let before = try Self.look(source, original)
        try makeFolder(folder)
        let partial = "\(folder)/.\(getpid())-\(UInt64(pthread_self()))-\(before.st_ino).partial"
        unlink(partial)
        let target = cl_open(partial, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600)
        guard target >= 0 else { throw Self.cannot("write \(partial)", -target, fault: true) }
        defer {
            close(target)
            unlink(partial)
        }
        let hash = try copy(source, to: target, size: Int(before.st_size), original)
        let after = try Self.look(source, original)
        guard Self.isUnchanged(before, after) else { throw Self.changed(original) }
        try check(target, size: UInt64(before.st_size), original)
        let copy = try settle(partial, target, hash: hash, name: Self.fileName(original))
        if durably { makeDurable(copy) }
        return copy
    }

    /// Waits for the disk, which may take long.
    public func makeDurable(_ copy: LibraryCopy) {
        let file = cl_open(copy.path, O_RDONLY, 0)
        guard file >= 0 else { return }
        defer { close(file) }
        var found = stat()
        guard fstat(file, &found) == 0, found.st_mode & 0o777 != Self.durable, fsync(file) == 0 else { return }
        let home = cl_open(Self.parent(of: copy.path), O_RDONLY | O_DIRECTORY, 0)
        guard home >= 0 else { return }
        defer { close(home) }
        if fsync(home) == 0 { fchmod(file, Self.durable) }
    }

    /// Of what an earlier life of the host left without knowing that it had reached the disk, only that stays which is
    /// whole: it may be the copy that serves where the original has become useless. Call it while nothing is being copied.
    public func removeUnfinished() {
        for hash in Folder.names(in: folder) ?? [] {
            for name in Folder.names(in: "\(folder)/\(hash)") ?? [] {
                var found = stat()
                let path = "\(folder)/\(hash)/\(name)"
                guard lstat(path, &found) == 0, found.st_mode & 0o777 == Self.fresh else { continue }
                if Self.hash(ofFile: path) == hash { makeDurable(LibraryCopy(sha256: hash, path: path)) } else { unlink(path) }
            }
        }
    }

    /// nil: it cannot be read.
    private static func hash(ofFile path: String) -> String? {
        let file = cl_open(path, O_RDONLY, 0)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var hash = SHA256()
        var buffer = [UInt8](repeating: 0, count: chunk)
        while true {
            let count = read(file, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            if count < 0 { return nil }
            if count == 0 { return hash.hexDigest() }
            buffer.withUnsafeBytes { hash.update(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
        }
    }

    /// Removes every copy but these (sha256). Copies that something runs from stay readable to
    /// it: the files go when the last mapping does.
    public func prune(keeping: Set<String>) {
        for name in Folder.names(in: folder) ?? [] where name.utf8.count == 64 && !keeping.contains(name) {
            Folder.remove("\(folder)/\(name)")
        }
    }

    // MARK: Steps

    /// No more than there was at the beginning: somebody who writes faster would keep this at it for ever.
    private func copy(_ source: Int32, to target: Int32, size: Int, _ original: String) throws(LibraryRefusal) -> String {
        var hash = SHA256()
        var copied = 0
        var buffer = [UInt8](repeating: 0, count: Self.chunk)
        while true {
            let count = read(source, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            if count < 0 { throw Self.cannot("read \(original)", errno, fault: true) }
            if count == 0 { return hash.hexDigest() }
            copied += count
            guard copied <= size else { throw Self.changed(original) }
            buffer.withUnsafeBytes { hash.update(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
            var done = 0
            while done < count {
                let written = buffer.withUnsafeBytes { write(target, $0.baseAddress! + done, count - done) }
                if written < 0, errno == EINTR { continue }
                if written <= 0 { throw Self.cannot("copy \(original)", errno, fault: true) }
                done += written
            }
        }
    }

    private func check(_ copy: Int32, size: UInt64, _ original: String) throws(LibraryRefusal) {
        let elf = ELFCheck(size: size) { offset, count in
            var bytes = [UInt8](repeating: 0, count: count)
            return pread(copy, &bytes, count, off_t(offset)) == count ? bytes : nil
        }
        let findings: ELFCheck.Findings
        do { findings = try elf.check() } catch { throw LibraryRefusal("\(original) cannot be used: \(error)") }
        let parent = Self.parent(of: original)
        if let sibling = Self.sibling(findings, beside: parent) {
            throw LibraryRefusal(
                "\(original) needs \(sibling) beside itself ($ORIGIN), but the host runs a copy from another folder: "
                    + "link it statically, or install that library where the system looks"
            )
        }
    }

    /// A needed library that the search path finds only from where the original lies.
    private static func sibling(_ findings: ELFCheck.Findings, beside parent: String) -> String? {
        let folders = findings.searchPaths.filter { $0.contains("$ORIGIN") || $0.contains("${ORIGIN}") }
            .map { replace("$ORIGIN", by: parent, in: replace("${ORIGIN}", by: parent, in: $0)) }
        return findings.needed.first { name in
            folders.contains { !name.contains("/") && access("\($0)/\(name)", F_OK) == 0 }
        }
    }

    private static func replace(_ word: String, by text: String, in path: String) -> String {
        var out: [UInt8] = []
        var rest = Array(path.utf8)[...]
        while !rest.isEmpty {
            if rest.starts(with: word.utf8) {
                out += text.utf8
                rest = rest.dropFirst(word.utf8.count)
            } else {
                out.append(rest.removeFirst())
            }
        }
        return String(decoding: out, as: UTF8.self)
    }

    private func settle(_ partial: String, _ target: Int32, hash: String, name: String) throws(LibraryRefusal) -> LibraryCopy {
        let home = "\(folder)/\(hash)"
        let path = "\(home)/\(name)"
        // One of another length is damaged: what it should be takes its place.
        var (there, fresh) = (stat(), stat())
        if access(path, R_OK) == 0, stat(path, &there) == 0, fstat(target, &fresh) == 0, there.st_size == fresh.st_size {
            return LibraryCopy(sha256: hash, path: path)
        }
        try makeFolder(home)
        guard fchmod(target, Self.fresh) == 0, rename(partial, path) == 0 else {
            throw Self.cannot("write \(path)", errno, fault: true)
        }
        return LibraryCopy(sha256: hash, path: path)
    }

    private func makeFolder(_ path: String) throws(LibraryRefusal) {
        if mkdir(path, 0o755) == 0 {
            // Whatever the umask: workers of another user read it.
            chmod(path, 0o755)
        } else if errno != EEXIST {
            throw Self.cannot("make the folder \(path)", errno, fault: true)
        }
    }

    // MARK: Looks

    private static func look(_ fd: Int32, _ path: String) throws(LibraryRefusal) -> stat {
        var info = stat()
        guard fstat(fd, &info) == 0 else { throw cannot("look at \(path)", errno, fault: true) }
        guard info.st_mode & S_IFMT == S_IFREG else { throw LibraryRefusal("\(path) is not a file") }
        guard info.st_size > 0 else { throw LibraryRefusal("\(path) is empty") }
        return info
    }

    private static func isUnchanged(_ a: stat, _ b: stat) -> Bool {
        a.st_size == b.st_size && a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec
    }

    private static func changed(_ path: String) -> LibraryRefusal {
        LibraryRefusal("\(path) changed while it was copied; it is tried again when it is quiet")
    }

    private static func cannot(_ what: String, _ code: Int32, fault: Bool) -> LibraryRefusal {
        LibraryRefusal("cannot \(what): \(errorText(code))", isHostFault: fault)
    }

    private static func parent(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    private static func fileName(_ path: String) -> String {
        path.split(separator: "/").last.map(String.init) ?? "library.so"
    }
}
