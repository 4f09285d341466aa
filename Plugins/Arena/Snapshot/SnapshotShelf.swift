import ExchangeKit
import Glibc
import JobKit
import SQL

/// Where the snapshots of one (namespace, id) are.
protocol SnapshotShelf {
    /// For messages.
    var place: String { get }
    /// The newest first.
    func numbers() throws -> [Int64]
    /// - Throws: `SnapshotFault` for one that is there and cannot be read.
    func text(_ number: Int64) throws -> String
    /// All of it or nothing, and on the disk when this returns.
    func put(_ number: Int64, _ text: String, at now: Int64) throws
    /// Takes away those before `number`.
    func forget(before number: Int64) throws
}

extension SnapshotShelf {
    /// The newest that can be read, no newer than `number`; of those that cannot be, a sentence each.
    func newest(_ number: Int64? = nil) throws -> (snapshot: Snapshot?, refused: [String]) {
        var refused: [String] = []
        for candidate in try numbers() where number == nil || candidate == number {
            do throws(SnapshotFault) {
                return (try read(candidate), refused)
            } catch {
                refused.append("snapshot \(candidate) in \(place) is refused: \(error)")
            }
        }
        return (nil, refused)
    }

    private func read(_ number: Int64) throws(SnapshotFault) -> Snapshot {
        let body: String
        do {
            body = try text(number)
        } catch let fault as SnapshotFault {
            throw fault
        } catch {
            throw SnapshotFault("it cannot be read: \(error)")
        }
        let snapshot = try Snapshot(text: body)
        guard snapshot.number == number else { throw SnapshotFault("it says that it is number \(snapshot.number)") }
        return snapshot
    }
}

/// In the exchange's database.
struct TableShelf: SnapshotShelf {
    let exchange: Exchange
    let namespace: String
    let id: String

    var place: String { "simulation_snapshots (\(namespace), \(id))" }
    private var key: [String: SQLValue] { ["namespace": .text(namespace), "id": .text(id)] }

    func numbers() throws -> [Int64] { try exchange.rows("snapshots", key) { try $0.int64(0) } }

    func text(_ number: Int64) throws -> String {
        guard let text = try exchange.first("snapshot", key.merging(["number": .int(number)]) { $1 }, { try $0.text(0) }) else {
            throw SnapshotFault("it is gone")
        }
        return text
    }

    func put(_ number: Int64, _ text: String, at now: Int64) throws {
        try exchange.run("put_snapshot", key.merging(["number": .int(number), "body": .text(text), "now": .int(now)]) { $1 })
    }

    func forget(before number: Int64) throws {
        try exchange.run("forget_snapshots", key.merging(["before": .int(number)]) { $1 })
    }
}

/// Files `<folder>/<namespace>/<id>.<number>.json`: written beside, brought to the disk, then renamed.
struct FileShelf: SnapshotShelf {
    let folder: String
    let namespace: String
    let id: String
    /// Larger ones are none.
    static let largest = 4 << 20

    var place: String { "\(folder)/\(namespace)/\(id).*.json" }
    private var directory: String { "\(folder)/\(namespace)" }
    private func path(_ number: Int64) -> String { "\(directory)/\(id).\(number).json" }

    func numbers() throws -> [Int64] {
        guard let stream = opendir(directory) else {
            if errno == ENOENT { return [] }
            throw failure("cannot look into \(directory)")
        }
        defer { closedir(stream) }
        var numbers: [Int64] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            guard name.hasPrefix(id + "."), name.hasSuffix(".json") else { continue }
            let digits = name.dropFirst(id.utf8.count + 1).dropLast(5)
            if let number = Int64(digits), number > 0, String(number) == digits { numbers.append(number) }
        }
        return numbers.sorted(by: >)
    }

    func text(_ number: Int64) throws -> String {
        guard let bytes = readFile(path(number), limit: Self.largest) else {
            throw SnapshotFault("the file cannot be read, or is larger than \(Self.largest >> 20) MB")
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    func put(_ number: Int64, _ text: String, at now: Int64) throws {
        guard text.utf8.count <= Self.largest else {
            throw JobFailure.permanent(
                "snapshot \(number) is \(counted(text.utf8.count, "byte")), files hold up to \(Self.largest >> 20) MB; keep it with store = \"database\"")
        }
        for folder in [folder, directory] where mkdir(folder, 0o755) != 0 && errno != EEXIST {
            throw failure("cannot make the folder \(folder)")
        }
        let beside = "\(directory)/.\(id).writing"
        let file = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o644)
        guard file >= 0 else { throw failure("cannot write \(beside)") }
        do {
            defer { close(file) }
            try write(Array(text.utf8), to: file, beside)
            guard fsync(file) == 0 else { throw failure("cannot bring \(beside) to the disk") }
        } catch {
            unlink(beside)
            throw error
        }
        guard rename(beside, path(number)) == 0 else { throw failure("cannot rename \(beside)") }
        let handle = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard handle >= 0 else { throw failure("cannot open \(directory)") }
        defer { close(handle) }
        guard fsync(handle) == 0 else { throw failure("cannot bring \(directory) to the disk") }
    }

    private func write(_ bytes: [UInt8], to file: Int32, _ path: String) throws {
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes { Glibc.write(file, $0.baseAddress.map { $0 + done }, bytes.count - done) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw failure("cannot write \(path)") }
            done += count
        }
    }

    func forget(before number: Int64) throws {
        for old in try numbers() where old < number { unlink(path(old)) }
    }

    /// Why nothing can be written into the folder, or made where it is to be; nil: it can.
    static func fault(_ folder: String) -> String? {
        if access(folder, W_OK | X_OK) == 0 { return nil }
        guard errno == ENOENT else { return "\(folder): \(String(cString: strerror(errno)))" }
        let above = folder.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
        let parent = above.isEmpty ? (folder.hasPrefix("/") ? "/" : ".") : above
        if access(parent, W_OK | X_OK) == 0 { return nil }
        return "\(folder) is not there, and in \(parent) it cannot be made: \(String(cString: strerror(errno)))"
    }

    /// A full disk or a folder without rights may be put right.
    private func failure(_ what: String) -> JobFailure {
        .transient("\(what): \(String(cString: strerror(errno)))", code: errno)
    }
}
