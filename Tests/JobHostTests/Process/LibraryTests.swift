import Glibc
import JobCore
import Synchronization
import Testing

@testable import JobHost

/// What is accepted as a library, and what becomes of it.
@Suite struct LibraryTests {
    /// One small library for all of the suite's checks.
    static let library: Result<[UInt8], any Error> = Result {
        let folder = TemporaryFolder()
        let path = try TroublePlugin.build(in: folder.path)
        return try #require(ProcFS.read(path, limit: 1 << 24))
    }

    private func refusal(_ bytes: [UInt8]) -> String? {
        do {
            _ = try ELFCheck(bytes: bytes).check()
            return nil
        } catch { return error.description }
    }

    @Test func aLinkedLibraryIsAccepted() throws {
        let bytes = try Self.library.get()
        let findings = try ELFCheck(bytes: bytes).check()
        #expect(findings.needed == ["libc.so.6"])
        #expect(findings.searchPaths == [])
    }

    @Test func aLibraryCutAnywhereIsRefused() throws {
        let bytes = try Self.library.get()
        var cuts = Array(stride(from: 0, to: bytes.count, by: 4_096))
        cuts += [1, 63, 64, bytes.count - 1, bytes.count * 8 / 10]
        for cut in cuts {
            #expect(refusal(Array(bytes[..<cut])) != nil, "cut at \(cut) of \(bytes.count)")
        }
        let text = try #require(refusal(Array(bytes[..<(bytes.count - 1)])))
        #expect(text == "the file is cut short: its section table lies beyond its end at \(bytes.count - 1) bytes")
    }

    /// Of its full length from the beginning, as some programs copy, and quiet for as long as the network is.
    @Test func aLibraryWhoseEndIsStillZerosIsRefused() throws {
        let bytes = try Self.library.get()
        for whole in stride(from: 0, to: bytes.count, by: 4_096) {
            #expect(refusal(Array(bytes[..<whole]) + Array(repeating: 0, count: bytes.count - whole)) != nil, "zeros from \(whole) of \(bytes.count)")
        }
    }

    @Test(arguments: ["hi\n", "#!", "\u{7F}EL", String(repeating: "text ", count: 40)])
    func whatIsNoLibraryIsNotCalledCutShort(_ text: String) {
        #expect(refusal(Array(text.utf8)) == "it is not an ELF file")
    }

    @Test func noMutationOfTheHeadersEndsTheHost() throws {
        let bytes = try Self.library.get()
        var random = Seeded(7)
        var refused = 0
        for _ in 0..<3_000 {
            var mutant = bytes
            for _ in 0...random.below(4) {
                // Headers and tables are where numbers are believed.
                let place = random.below(3) == 0 ? bytes.count - 1 - random.below(2_000) : random.below(1_024)
                mutant[place] = UInt8(random.below(256))
            }
            if refusal(mutant) != nil { refused += 1 }
        }
        #expect(refused > 100)
    }

    @Test func randomBytesAreRefused() {
        var random = Seeded(11)
        for _ in 0..<200 {
            var bytes = (0..<random.below(500)).map { _ in UInt8(random.below(256)) }
            #expect(refusal(bytes) != nil)
            bytes.replaceSubrange(0..<min(4, bytes.count), with: [0x7f, 0x45, 0x4c, 0x46])
            #expect(refusal(bytes) != nil)
        }
    }

    @Test(arguments: [
        (4, UInt8(1), "it is not a 64-bit library"),
        (5, UInt8(2), "its byte order is not this machine's"),
        (16, UInt8(2), "it is not a shared library (ELF type 2)"),
        (18, UInt8(8), "it is built for another machine (ELF machine 8, this one is \(ELFCheck.machine))"),
    ])
    func whatIsNotForThisMachineIsRefusedWithTheReason(offset: Int, value: UInt8, reason: String) throws {
        var bytes = try Self.library.get()
        bytes[offset] = value
        #expect(refusal(bytes) == reason)
    }

    @Test func aCopyIsNamedByItsContentAndReadOnly() throws {
        let folder = TemporaryFolder()
        let bytes = try Self.library.get()
        try write(bytes, to: folder.path + "/libMine.so")
        let store = LibraryStore(stateDir: folder.path)
        let copy = try store.accept(original: folder.path + "/libMine.so")
        #expect(copy.sha256 == SHA256.hex(of: bytes))
        #expect(copy.path == "\(folder.path)/plugins/\(copy.sha256)/libMine.so")
        #expect(ProcFS.read(copy.path, limit: 1 << 24) == bytes)
        var info = stat()
        #expect(stat(copy.path, &info) == 0)
        #expect(info.st_mode & 0o777 == 0o444)
        let inode = info.st_ino
        #expect(try store.accept(original: folder.path + "/libMine.so") == copy)
        #expect(stat(copy.path, &info) == 0)
        #expect(info.st_ino == inode)
        // Only copies are there: nothing half-made.
        #expect(entries(folder.path + "/plugins") == [copy.sha256])
    }

    @Test("A copy of another length than what it is named by is damaged, and replaced when the same library comes again")
    func damagedCopy() throws {
        let folder = TemporaryFolder()
        let bytes = try Self.library.get()
        try write(bytes, to: folder.path + "/libMine.so")
        let store = LibraryStore(stateDir: folder.path)
        let copy = try store.accept(original: folder.path + "/libMine.so")
        #expect(chmod(copy.path, 0o644) == 0)
        #expect(truncate(copy.path, off_t(bytes.count / 2)) == 0)
        #expect(try store.accept(original: folder.path + "/libMine.so") == copy)
        #expect(ProcFS.read(copy.path, limit: 1 << 24) == bytes)
    }

    @Test("Of copies that may not have reached the disk the next life keeps those that are whole")
    func unfinished() throws {
        let folder = TemporaryFolder()
        let bytes = try Self.library.get()
        try write(bytes, to: folder.path + "/libMine.so")
        try write(bytes + [0], to: folder.path + "/libOther.so")
        let store = LibraryStore(stateDir: folder.path)
        let (mine, other) = (
            try store.accept(original: folder.path + "/libMine.so", durably: false), try store.accept(original: folder.path + "/libOther.so", durably: false))
        store.makeDurable(other)
        store.removeUnfinished()
        #expect(ProcFS.read(mine.path, limit: 1 << 24) == bytes)
        #expect(ProcFS.read(other.path, limit: 1 << 24) == bytes + [0])
        // Half of it, as after a power cut, of the next one that was not waited for.
        try write(bytes + [1], to: folder.path + "/libMine.so")
        let cut = try store.accept(original: folder.path + "/libMine.so", durably: false)
        #expect(chmod(cut.path, 0o755) == 0)
        #expect(truncate(cut.path, off_t(bytes.count / 2)) == 0)
        #expect(chmod(cut.path, 0o555) == 0)
        store.removeUnfinished()
        #expect(ProcFS.read(cut.path, limit: 1 << 24) == nil)
        #expect(try store.accept(original: folder.path + "/libMine.so") == cut)
    }

    @Test func theCopyOutlivesTheOriginal() throws {
        let folder = TemporaryFolder()
        let bytes = try Self.library.get()
        try write(bytes, to: folder.path + "/lib.so")
        let copy = try LibraryStore(stateDir: folder.path).accept(original: folder.path + "/lib.so")
        try write([0], to: folder.path + "/lib.so")
        #expect(ProcFS.read(copy.path, limit: 1 << 24) == bytes)
    }

    @Test func whatIsRefusedLeavesNothingBehind() throws {
        let folder = TemporaryFolder()
        let bytes = try Self.library.get()
        try write(Array(bytes[..<(bytes.count * 8 / 10)]), to: folder.path + "/cut.so")
        try write([], to: folder.path + "/empty.so")
        let store = LibraryStore(stateDir: folder.path)
        for (name, part) in [("cut.so", "cut short"), ("empty.so", "is empty"), ("missing.so", "No such file or directory (ENOENT)"), ("", "is not a file")] {
            do {
                _ = try store.accept(original: "\(folder.path)/\(name)")
                Issue.record("accepted \(name)")
            } catch {
                #expect(error.description.contains(part), "\(name): \(error)")
                #expect(!error.isHostFault)
            }
        }
        #expect(entries(folder.path + "/plugins") == [])
    }

    @Test("A file that somebody writes to while it is copied is refused, however long they go on; when they are done it is taken")
    func writtenMeanwhile() throws {
        let folder = TemporaryFolder()
        let (path, bytes) = (folder.path + "/grows.so", try Self.library.get())
        try write(bytes, to: path)
        let writer = try Appender(to: path)
        let store = LibraryStore(stateDir: folder.path)
        var refusal: LibraryRefusal?
        while refusal == nil {
            // Where not a byte came meanwhile, it is rightly taken.
            do { _ = try store.accept(original: path) } catch { refusal = error }
            store.prune(keeping: [])
        }
        #expect(refusal?.description == "\(path) changed while it was copied; it is tried again when it is quiet")
        #expect(refusal?.isHostFault == false)
        #expect(entries(folder.path + "/plugins") == [])
        writer.end()
        #expect(try store.accept(original: path).sha256 == SHA256.hex(of: ProcFS.read(path, limit: 1 << 30) ?? []))
    }

    @Test func aSiblingBesideTheOriginalIsRefusedButAnUnusedOriginIsNot() throws {
        let folder = TemporaryFolder()
        let path = folder.path
        try write("int sibling(void) { return 1; }\n", to: path + "/sibling.c")
        try write("int sibling(void); int use(void) { return sibling(); }\n", to: path + "/use.c")
        #expect(try run(["cc", "-shared", "-fPIC", "-o", path + "/libsibling.so", path + "/sibling.c"]) == 0)
        #expect(try run(["cc", "-shared", "-fPIC", "-Wl,-rpath,$ORIGIN", "-o", path + "/libuse.so", path + "/use.c", "-L" + path, "-lsibling"]) == 0)
        #expect(try run(["cc", "-shared", "-fPIC", "-Wl,-rpath,$ORIGIN", "-o", path + "/libalone.so", path + "/sibling.c"]) == 0)
        let store = LibraryStore(stateDir: path)
        _ = try store.accept(original: path + "/libalone.so")
        do {
            _ = try store.accept(original: path + "/libuse.so")
            Issue.record("accepted")
        } catch {
            #expect(error.description.hasPrefix("\(path)/libuse.so needs libsibling.so beside itself ($ORIGIN)"))
        }
    }

    @Test func pruningKeepsWhatItIsTold() throws {
        let folder = TemporaryFolder()
        let bytes = try Self.library.get()
        let store = LibraryStore(stateDir: folder.path)
        try write(bytes, to: folder.path + "/a.so")
        // Bytes after the section table change the content, not the library.
        try write(bytes + [1], to: folder.path + "/b.so")
        let (a, b) = (try store.accept(original: folder.path + "/a.so"), try store.accept(original: folder.path + "/b.so"))
        #expect(a.sha256 != b.sha256)
        store.prune(keeping: [b.sha256])
        #expect(entries(folder.path + "/plugins") == [b.sha256])
        #expect(access(b.path, R_OK) == 0)
    }

    private func entries(_ path: String) -> [String] {
        guard let directory = opendir(path) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }
}

/// Appends to a file as fast as it can, from before `init` returns until `end` does.
private final class Appender: Sendable {
    private let isEnding = Atomic(false)
    private let count = Atomic(0)
    private let thread: Mutex<pthread_t>

    init(to path: String) throws {
        let file = open(path, O_WRONLY | O_APPEND | O_CLOEXEC)
        try #require(file >= 0)
        thread = Mutex(pthread_t())
        let body = Unmanaged.passRetained(Body(file: file, appender: self))
        try #require(thread.withLock { pthread_create(&$0, nil, { argument in
            let body = Unmanaged<Body>.fromOpaque(argument!).takeRetainedValue()
            body.appender.write(to: body.file)
            return nil
        }, body.toOpaque()) } == 0)
        while count.load(ordering: .relaxed) == 0 { sched_yield() }
    }

    private final class Body {
        let file: Int32
        let appender: Appender
        init(file: Int32, appender: Appender) { (self.file, self.appender) = (file, appender) }
    }

    private func write(to file: Int32) {
        while !isEnding.load(ordering: .relaxed) {
            _ = Glibc.write(file, "x", 1)
            count.wrappingAdd(1, ordering: .relaxed)
        }
        close(file)
    }

    func end() {
        isEnding.store(true, ordering: .relaxed)
        _ = thread.withLock { pthread_join($0, nil) }
    }
}
