import Glibc
import JobCore
import JobStore
import SQL

/// A store's file in a folder of its own, gone afterwards.
struct TemporaryStore: Sendable {
    let folder: String
    var path: String { folder + "/jobhost.db" }

    static let midnight = Instant(seconds: 1_764_547_200)
    static let owner = Owner(host: "alpha", epoch: "life-1")

    static func use<Result>(_ body: (TemporaryStore) async throws -> Result) async throws -> Result {
        let store = try TemporaryStore(folder: makeFolder())
        defer { store.remove() }
        return try await body(store)
    }

    private static func makeFolder() throws -> String {
        let base = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        var template = Array("\(base)/jobstore-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw StoreError(.unavailable, "no temporary folder") }
        return String(cString: made)
    }

    private func remove() {
        if let entries = opendir(folder) {
            while let entry = readdir(entries) {
                let name = withUnsafePointer(to: &entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                }
                unlink("\(folder)/\(name)")
            }
            closedir(entries)
        }
        rmdir(folder)
    }

    func open(_ change: (inout SQLiteStoreOptions) -> Void = { _ in }) async throws -> SQLiteStore {
        var options = SQLiteStoreOptions()
        options.busyTimeoutMilliseconds = 60_000
        change(&options)
        return try await SQLiteStore.open(path: path, options: options)
    }

    /// Another program's connection to the same file.
    func otherProgram() throws -> SQLiteConnection {
        var options = SQLiteOptions()
        options.create = false
        options.busyTimeoutMilliseconds = 60_000
        return try SQLiteConnection(path: path, options: options)
    }
}

extension Instant {
    static func at(_ seconds: Int64) -> Instant { TemporaryStore.midnight + .seconds(seconds) }
}

extension NewRun {
    /// A run of "mint" that is due at midnight, with a payload of `bytes` bytes.
    static func mint(bytes: Int = 0) -> NewRun {
        var run = NewRun(job: "mint", trigger: .enqueued, fireTime: .at(0))
        run.payload = Array(("\"" + String(repeating: "x", count: bytes) + "\"").utf8)
        return run
    }
}

extension FireClaim {
    static func candles(_ second: Int64) -> FireClaim {
        FireClaim(
            job: "candles", fireTime: .at(second), trigger: .schedule, leaseUntil: .at(second + 60),
            expectedCursor: second == 1 ? nil : .at(second - 1), newCursor: .at(second), scheduleText: "every 1s")
    }
}
