import CLinux
import Glibc
import JobCore

/// The supervisor's half of what it shares with one worker besides the socket: see
/// clinux_slate.h. Confined to the loop.
final class Slate {
    let path: String
    /// For the spawn; closed after it.
    private(set) var descriptor: Int32
    private let memory: OpaquePointer

    fileprivate init(path: String) throws(HostFault) {
        self.path = path
        descriptor = try checked(cl_slate_create(path), "make \(path)")
        guard let memory = cl_slate_map(descriptor) else {
            let code = errno
            Glibc.close(descriptor)
            unlink(path)
            throw HostFault("map \(path)", code: code)
        }
        self.memory = memory
    }

    deinit {
        cl_slate_unmap(memory)
        closeDescriptor()
    }

    func closeDescriptor() {
        if descriptor >= 0 { Glibc.close(descriptor) }
        descriptor = -1
    }

    func sign(pid: Int32, startTime: UInt64, bootID: String) { cl_slate_sign(memory, pid, startTime, bootID) }

    /// The attempt is to be killed with its worker. false: it is not under way, its end is on
    /// its way here.
    func close(attempt fence: Int64) -> Bool { cl_slate_close(memory, fence) }

    /// Before a frame that asks for a run back, or for all.
    func askBack() { cl_slate_ask_back(memory) }

    /// The worker is gone: what it had told and not written yet, after so many bytes that it had.
    func unsent(after received: UInt64) -> [UInt8] {
        Array(unsafeUninitializedCapacity: Int(CL_SLATE_UNSENT)) { bytes, count in
            count = cl_slate_unsent(memory, received, bytes.baseAddress)
        }
    }

    /// The worker is gone, and all that it told has been heard: it may hold what a log must not.
    func forgetUnsent() { cl_slate_forget_unsent(memory) }

    /// The attempt that the worker is in; nil: in none.
    var underWay: Int64? {
        let fence = cl_slate_under_way(memory)
        return fence > 0 ? fence : nil
    }

    /// Asked of the latest attempts only.
    func hasBegun(attempt fence: Int64) -> Bool { cl_slate_has_begun(memory, fence) }

    /// Around every read of the worker's output: `stream` 0 is stdout, 1 stderr.
    func reading(_ stream: Int32, _ read: () -> Int) -> Int {
        cl_slate_reading(memory, stream)
        let count = read()
        cl_slate_read(memory, stream, Int64(count))
        return count
    }
}

/// The slates of all workers of this life of the host, as files in `<state_dir>/slates`, and the
/// promise that there are no workers without one. Confined to the loop.
final class Slates {
    private let folder: String
    private let bootID: String
    private var made = 0
    /// Of this life.
    private var epoch = ""
    /// Living workers that have none.
    private var without = 0
    /// Of the last slate that could not be made.
    private var failure = ""
    /// Of workers that are gone; their runs' ends may not be recorded yet.
    private var retired: [String] = []
    /// Why the next life will have no proof of what had not begun; nil: it will.
    private(set) var problem: String?

    init(stateDir: String, bootID: String) {
        folder = Self.folder(stateDir)
        self.bootID = bootID
    }

    static func folder(_ stateDir: String) -> String { stateDir + "/slates" }
    static func lifeFile(_ stateDir: String) -> String { folder(stateDir) + "/life" }

    /// What an earlier life left has been judged: it goes, and this life begins. No worker may
    /// have been started before.
    func begin(epoch: String) {
        removeAll()
        mkdir(folder, 0o700)
        self.epoch = epoch
        promise()
    }

    /// That there are no workers without one.
    private func promise() {
        let file = cl_open(folder + "/life", O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0o600)
        let text = Array("\(bootID) \(epoch)".utf8)
        let isWritten = file >= 0 && write(file, text, text.count) == text.count
        let code = file < 0 ? -file : errno
        if file >= 0 { close(file) }
        problem = nil
        if !isWritten { giveUp("\(HostFault("write \(folder)/life", code: code))") }
    }

    /// For a worker about to be started. nil: it has to do without.
    func make() -> Slate? {
        made += 1
        do throws(HostFault) {
            return try Slate(path: "\(folder)/\(made)")
        } catch {
            failure = "\(error)"
            return nil
        }
    }

    /// It has been started, and was not sent anything yet. Where it has no slate, the next life
    /// will take what this host's death interrupts for begun.
    func started(_ slate: Slate?, pid: Int32, startTime: UInt64) {
        if let slate { return slate.sign(pid: pid, startTime: startTime, bootID: bootID) }
        without += 1
        giveUp(failure)
    }

    private func giveUp(_ reason: String) {
        unlink(folder + "/life")
        problem = reason
    }

    /// The worker is gone; nil: it had none.
    func retire(_ slate: Slate?) {
        guard let slate else {
            without -= 1
            return
        }
        slate.forgetUnsent()
        retired.append(slate.path)
    }

    /// Every end that was reported up to now is recorded: nobody will ask about them any more.
    func everythingIsRecorded() {
        for path in retired { unlink(path) }
        retired = []
        if problem != nil, without == 0 { promise() }
    }

    /// The host stops, and nothing is left to be recorded.
    func end() { removeAll() }

    private func removeAll() {
        for name in Self.names(in: folder) { unlink("\(folder)/\(name)") }
    }

    fileprivate static func names(in folder: String) -> [String] {
        (Folder.names(in: folder) ?? []).filter { !$0.hasPrefix(".") }
    }
}

/// What the slates of the life before this one tell of the attempts that were under way when it
/// ended: which of them had not begun.
struct SlateProof: Sendable {
    /// The life whose workers all had slates; nil: none is known, nothing is proved.
    private var epoch: String?
    private var begun: Set<Int64> = []
    /// Of attempts that began long ago only the largest fence is known.
    private var passed: Int64 = 0
    /// The workers.
    private(set) var workers: [Survivors.Row] = []

    /// Read it when no worker of that life lives any more, holding the state folder's lock.
    /// - Parameter bootID: of this boot: memory that a crash of the machine took proves nothing.
    init(stateDir: String, bootID: String) {
        guard !bootID.isEmpty, let life = ProcFS.read(Slates.lifeFile(stateDir), limit: 1 << 10) else { return }
        let words = String(decoding: life, as: UTF8.self).split(separator: " ").map(String.init)
        guard words.count == 2, words[0] == bootID else { return }
        let folder = Slates.folder(stateDir)
        var isWhole = true
        for name in Slates.names(in: folder) where name != "life" {
            isWhole = read("\(folder)/\(name)") && isWhole
        }
        if isWhole { epoch = words[1] }
    }

    private mutating func read(_ path: String) -> Bool {
        var content = cl_slate_content()
        var fences = [Int64](repeating: 0, count: Int(CL_SLATE_ENTRIES))
        guard cl_slate_look(path, &content, &fences) else { return false }
        begun.formUnion(fences.prefix(Int(content.count)))
        passed = max(passed, content.passed)
        let boot = withUnsafeBytes(of: &content.boot) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        if content.pid > 0 {
            workers.append(Survivors.Row(pid: content.pid, startTime: content.start_time, bootID: boot))
        }
        return true
    }

    /// Whether the attempt of that life had certainly not begun. Where nothing proves it: false.
    func provesUnbegun(fence: Int64, epoch: String) -> Bool {
        epoch == self.epoch && fence > passed && !begun.contains(fence)
    }
}
