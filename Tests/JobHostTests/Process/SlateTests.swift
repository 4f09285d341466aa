import CLinux
import Glibc
import JobCore
import Testing

@testable import JobHost

/// What is left on a worker's slate when host and worker were killed, and what it proves.
@Suite("Slates") struct SlateTests {
    private let folder = TemporaryFolder()
    private let boot = "this-boot"

    /// A life of the host with workers that began these attempts; then both are gone.
    private func live(_ epoch: String = "1", begun: [[Int64]]) {
        let slates = Slates(stateDir: folder.path, bootID: boot)
        slates.begin(epoch: epoch)
        for fences in begun {
            guard let slate = slates.make() else { return #expect(Bool(false), "\(slates.problem ?? "")") }
            let memory = cl_slate_map(slate.descriptor)
            for fence in fences {
                cl_slate_begin(memory, fence)
                #expect(cl_slate_end(memory, fence))
            }
            cl_slate_unmap(memory)
        }
    }
    private func proof(boot: String = "this-boot") -> SlateProof { SlateProof(stateDir: folder.path, bootID: boot) }

    @Test("What no worker began had not begun; what one began had")
    func proves() {
        live(begun: [[1, 4], [2], []])
        let proof = proof()
        #expect((1...6).map { proof.provesUnbegun(fence: $0, epoch: "1") } == [false, false, true, false, true, true])
    }

    @Test("Another life, another boot, no life: nothing is proved")
    func othersProveNothing() {
        live(begun: [[1]])
        #expect(proof().provesUnbegun(fence: 2, epoch: "1"))
        #expect(!proof().provesUnbegun(fence: 2, epoch: "0"))
        #expect(!proof(boot: "another-boot").provesUnbegun(fence: 2, epoch: "1"))
        #expect(!proof(boot: "").provesUnbegun(fence: 2, epoch: "1"))
        unlink(Slates.lifeFile(folder.path))
        #expect(!proof().provesUnbegun(fence: 2, epoch: "1"))
    }

    @Test("Of more attempts than fit, the old ones count as begun by their number")
    func many() {
        let count = Int64(CL_SLATE_ENTRIES)
        live(begun: [Array(stride(from: 2, through: 2 * count + 20, by: 2))])
        let proof = proof()
        // 2, 4 … 20 have been overwritten: nothing is known of what is not larger than 20.
        for fence in [1, 2, 19, 20, 22, 2 * count + 20] as [Int64] { #expect(!proof.provesUnbegun(fence: fence, epoch: "1"), "\(fence)") }
        for fence in [21, 23, 2 * count + 19, 2 * count + 21] as [Int64] { #expect(proof.provesUnbegun(fence: fence, epoch: "1"), "\(fence)") }
    }

    @Test("A slate that its plugin has written over, or that is cut short, proves nothing")
    func scribbled() throws {
        for (offset, bytes) in [(0, [1]), (256, Array(repeating: 7, count: 64)), (256 + 8, [0])] as [(Int, [UInt8])] {
            live(begun: [[1, 2, 3]])
            let file = open(Slates.folder(folder.path) + "/1", O_RDWR | O_CLOEXEC)
            try #require(file >= 0 && pwrite(file, bytes, bytes.count, off_t(offset)) == bytes.count)
            close(file)
            #expect(!proof().provesUnbegun(fence: 9, epoch: "1"), "offset \(offset)")
        }
        live(begun: [[1]])
        truncate(Slates.folder(folder.path) + "/1", 100)
        #expect(!proof().provesUnbegun(fence: 9, epoch: "1"))
    }

    @Test("Killed in the middle of beginning: that attempt counts as begun, the proof of others stands")
    func inBetween() throws {
        live(begun: [[1, 2]])
        let file = open(Slates.folder(folder.path) + "/1", O_RDWR | O_CLOEXEC)
        var fence: Int64 = 3
        try #require(pwrite(file, &fence, 8, 256 + 2 * 16) == 8)
        close(file)
        #expect(!proof().provesUnbegun(fence: 3, epoch: "1"))
        #expect(proof().provesUnbegun(fence: 4, epoch: "1"))
    }

    @Test("Where a worker has no slate nothing is proved, and health says so")
    func withoutOne() {
        let slates = Slates(stateDir: folder.path, bootID: boot)
        slates.begin(epoch: "1")
        #expect(slates.problem == nil)
        mkdir(Slates.folder(folder.path) + "/1", 0o700)
        #expect(slates.make() == nil)
        // What was not started needs none.
        #expect(slates.problem == nil)
        slates.started(nil, pid: 1, startTime: 1)
        #expect(slates.problem?.contains("File exists") == true, "\(slates.problem ?? "")")
        #expect(!proof().provesUnbegun(fence: 1, epoch: "1"))
        rmdir(Slates.folder(folder.path) + "/1")
    }

    @Test("Once no worker without a slate is left and all ends are recorded, what comes is proved again")
    func withoutOneForAWhile() {
        let slates = Slates(stateDir: folder.path, bootID: boot)
        slates.begin(epoch: "1")
        mkdir(Slates.folder(folder.path) + "/1", 0o700)
        slates.started(slates.make(), pid: 1, startTime: 1)
        rmdir(Slates.folder(folder.path) + "/1")
        slates.everythingIsRecorded()
        #expect(slates.problem != nil, "it lives")
        slates.retire(nil)
        #expect(slates.problem != nil, "its end may not be recorded")
        #expect(!proof().provesUnbegun(fence: 1, epoch: "1"))
        slates.everythingIsRecorded()
        #expect(slates.problem == nil)
        #expect(proof().provesUnbegun(fence: 1, epoch: "1"))
    }

    /// A slate as the supervisor has it, and as its worker does, who unmaps it.
    private func shared() throws -> (Slate, OpaquePointer?) {
        let slates = Slates(stateDir: folder.path, bootID: boot)
        slates.begin(epoch: "1")
        let slate = try #require(slates.make())
        return (slate, cl_slate_map(slate.descriptor))
    }

    @Test("An attempt ends or is closed, never both")
    func gate() throws {
        let (slate, memory) = try shared()
        defer { cl_slate_unmap(memory) }
        cl_slate_begin(memory, 5)
        #expect(!slate.close(attempt: 4))
        #expect(slate.close(attempt: 5))
        #expect(!cl_slate_end(memory, 5))
        cl_slate_begin(memory, 6)
        #expect(cl_slate_end(memory, 6))
        #expect(!slate.close(attempt: 6))
    }

    @Test("What a worker has told and not written is all that comes after what was received")
    func unsent() throws {
        let (slate, memory) = try shared()
        defer { cl_slate_unmap(memory) }
        let room = Int(CL_SLATE_UNSENT)
        #expect(slate.unsent(after: 0) == [])
        let all = (0..<room).map { UInt8(truncatingIfNeeded: $0 % 251) }
        cl_slate_tell(memory, all, room)
        #expect(slate.unsent(after: 0) == all)
        #expect(slate.unsent(after: 3) == Array(all[3...]))
        #expect(slate.unsent(after: UInt64(room)) == [])
        #expect(slate.unsent(after: UInt64(room) + 9) == [], "somebody else wrote to the socket")
        // Around the end, and after something that was too long to wait.
        cl_slate_tell(memory, [1, 2, 3, 4, 5], 5)
        cl_slate_told(memory, 100_000)
        cl_slate_tell(memory, [6, 7, 8], 3)
        #expect(slate.unsent(after: UInt64(room) + 100_005) == [6, 7, 8])
        #expect(slate.unsent(after: UInt64(room) + 100_007) == [8])
        #expect(slate.unsent(after: 0) == [], "more is missing than was kept")
    }

    @Test("How much has been printed is what was read and what is left in the pipe")
    func written() throws {
        let (slate, memory) = try shared()
        defer { cl_slate_unmap(memory) }
        var ends: [Int32] = [0, 0]
        try #require(pipe(&ends) == 0)
        defer { for end in ends { close(end) } }
        #expect(cl_slate_written(memory, 1, ends[1]) == 0)
        try #require(Glibc.write(ends[1], "hello", 5) == 5)
        #expect(cl_slate_written(memory, 1, ends[1]) == 5)
        var buffer = [UInt8](repeating: 0, count: 3)
        #expect(slate.reading(1) { read(ends[0], &buffer, 3) } == 3)
        try #require(Glibc.write(ends[1], "!", 1) == 1)
        #expect(cl_slate_written(memory, 1, ends[1]) == 6)
        #expect(cl_slate_written(memory, 0, -1) == -1)
        #expect(cl_slate_written(nil, 0, ends[1]) == -1)
    }

    @Test("Output is cut where the ends of runs are, however it was read")
    func cut() {
        var cut = OutputCut()
        func append(_ text: String) { Array(text.utf8).withUnsafeBytes { cut.append($0) } }
        func take(_ offset: Int64) -> String { String(decoding: cut.take(to: offset), as: UTF8.self) }
        append("one tw")
        #expect(take(4) == "one ")
        #expect(cut.missing(to: 8) == 2 && cut.missing(to: 5) == 0)
        append("o three")
        #expect(take(8) == "two " && take(8) == "" && take(2) == "")
        #expect(cut.waiting == 5)
        #expect(String(decoding: cut.takeAll(), as: UTF8.self) == "three")
        append("four")
        #expect(cut.missing(to: 20) == 3 && take(99) == "four")
    }
}
