import Glibc
import JobCore
import SQL
import Synchronization
import Testing

@testable import JobStore

@Suite("What other programs put into the inbox of a file is heard", .timeLimit(.minutes(5))) struct ListeningTests {
    private static let rules = ["mint": InboxRule()]

    private final class Counter: Sendable {
        private let count = Atomic(0)
        private let (stream, bell) = AsyncStream.makeStream(of: [String]?.self)

        var value: Int { count.load(ordering: .acquiring) }

        /// `jobs`: as the store told of them.
        func add(_ jobs: [String]? = nil) {
            count.add(1, ordering: .acquiringAndReleasing)
            bell.yield(jobs)
        }

        /// Once more than was awaited before; what was told.
        @discardableResult
        func next() async -> [String]? {
            for await jobs in stream { return jobs }
            return nil
        }
    }

    /// With a store that is listened to.
    private func listening(_ body: (TemporaryStore, SQLiteStore, Counter) async throws -> Void) async throws {
        try await TemporaryStore.use { file in
            let (store, ear) = (try await file.open(), Counter())
            store.listen { ear.add($0) }
            try await body(file, store, ear)
            await store.close()
        }
    }

    @Test("Each row that another program commits is heard of by itself, also one that waited before anybody listened")
    func rows() async throws {
        try await TemporaryStore.use { file in
            let (store, ear) = (try await file.open(), Counter())
            let application = try file.otherProgram()
            for number in 1...5 {
                try application.execute("INSERT INTO enqueue_inbox (job) VALUES ('mint')")
                if number == 1 { store.listen { ear.add($0) } }
                await ear.next()
                #expect(try await store.drainInbox(jobs: Self.rules, limit: 9, now: .at(0)).runs.count == 1)
            }
            await store.close()
        }
    }

    @Test("With it is told of which jobs the oldest rows are, so that nobody needs to ask")
    func jobs() async throws {
        try await listening { file, store, ear in
            let application = try file.otherProgram()
            for jobs in [["mint"], ["burn", "mint"]] {
                try application.execute("INSERT INTO enqueue_inbox (job) VALUES " + jobs.map { "('\($0)')" }.joined(separator: ", "))
                #expect(await ear.next()?.sorted() == jobs)
                _ = try await store.drainInbox(jobs: ["mint": InboxRule(), "burn": InboxRule()], limit: 9, now: .at(0))
            }
            try application.execute("""
                WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 100)
                INSERT INTO enqueue_inbox (job) SELECT 'job-' || i FROM n
                """)
            #expect(await ear.next()?.count == 32, "no more than one claim takes along")
        }
    }

    @Test("Neither the host's own writes are heard, nor what stays in the inbox as refused, nor what others write elsewhere in the file")
    func others() async throws {
        try await listening { file, store, ear in
            let application = try file.otherProgram()
            try application.execute("CREATE TABLE orders (id INTEGER); INSERT INTO enqueue_inbox (job, refused) VALUES ('mnit', 'no such job')")
            for number in 0..<50 {
                _ = try await store.enqueue([.mint()], now: .at(0))
                try application.execute("INSERT INTO orders VALUES (\(number))")
            }
            try application.execute("INSERT INTO enqueue_inbox (job) VALUES ('mint')")
            await ear.next()
            #expect(ear.value == 1)
        }
    }

    @Test("Beside a host that writes without a pause too")
    func busy() async throws {
        try await listening { file, store, ear in
            let written = Counter()
            try await withThrowingTaskGroup { group in
                for _ in 0..<3 {
                    group.addTask {
                        while ear.value == 0 {
                            try Task.checkCancellation()
                            _ = try await store.enqueue([.mint()], now: .at(0))
                            written.add()
                        }
                    }
                }
                // The listener rests by then.
                while written.value < 100 {
                    try Task.checkCancellation()
                    _ = try await store.jobsInInbox()
                }
                try file.otherProgram().execute("INSERT INTO enqueue_inbox (job) VALUES ('mint')")
                try await group.waitForAll()
            }
        }
    }

    @Test("The writer looks at the end of each of its transactions for what others have committed, not for what it has itself")
    func writer() async throws {
        try await TemporaryStore.use { store in
            await (try store.open()).close()
            let (threads, options) = (ThreadCount(), SQLiteStoreOptions())
            let listener = SQLiteListener(path: store.path, options: options)
            listener.heard({ _ in }, on: threads)
            let file = StoreFile(path: store.path, role: .writer, options: options)
            func finds(_ sql: String) throws -> Bool {
                let ledger = try file.open()
                defer { listener.writerEnds(hearing: false) }
                return try ledger.connection.transaction(.immediate) {
                    listener.writerBegins()
                    try ledger.connection.run(sql)
                    return listener.writerLooks(file)
                }
            }
            let (insert, other) = ("INSERT INTO enqueue_inbox (job) VALUES ('mint')", "UPDATE sequences SET value = value + 1")
            #expect(try !finds(other))
            #expect(try !finds(insert))
            try store.otherProgram().execute(insert)
            #expect(try finds(other))
            #expect(try !finds(other))
            #expect(try !finds("DELETE FROM enqueue_inbox"))
            try store.otherProgram().execute(insert)
            #expect(try !finds("DELETE FROM enqueue_inbox"), "what it takes itself")
            file.close()
            listener.stop()
            await threads.allEnded()
        }
    }

    @Test("Also when the log was deleted and made anew")
    func anew() async throws {
        try await listening { file, store, ear in
            for _ in 0..<2 {
                unlink(file.path + "-wal")
                _ = try await store.enqueue([.mint()], now: .at(0))
                try file.otherProgram().execute("INSERT INTO enqueue_inbox (job) VALUES ('mint')")
                await ear.next()
                _ = try await store.drainInbox(jobs: Self.rules, limit: 9, now: .at(0))
            }
        }
    }

    private struct Descriptors: Equatable {
        var files = 0
        var watches = 0
    }

    /// Those of this process that have to do with a folder: its files, and watches of it.
    private func descriptors(of file: TemporaryStore) -> Descriptors {
        var information = stat()
        stat(file.folder, &information)
        let watched = "ino:\(String(information.st_ino, radix: 16)) "
        var found = Descriptors()
        for number in 0..<4_096 {
            var target = [CChar](repeating: 0, count: 4_096)
            let count = readlink("/proc/self/fd/\(number)", &target, target.count)
            guard count > 0 else { continue }
            let name = String(decoding: target[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
            if name.hasPrefix(file.folder + "/") { found.files += 1 }
            if name.contains("inotify"), let content = Self.text(of: "/proc/self/fdinfo/\(number)"), content.contains(watched) { found.watches += 1 }
        }
        return found
    }

    private static func text(of path: String) -> String? {
        guard let file = fopen(path, "r") else { return nil }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 4_096)
        let count = fread(&bytes, 1, bytes.count, file)
        return String(decoding: bytes[..<count], as: UTF8.self)
    }

    @Test("It ends with the store, and leaves nothing behind: no descriptor, no thread")
    func ends() async throws {
        try await TemporaryStore.use { file in
            weak var gone: Counter?
            do {
                let (store, ear) = (try await file.open(), Counter())
                gone = ear
                store.listen { ear.add($0) }
                let application = try file.otherProgram()
                try application.execute("INSERT INTO enqueue_inbox (job) VALUES ('mint')")
                await ear.next()
                application.close()
                #expect(descriptors(of: file).watches == 1)
                await store.close()
                #expect(descriptors(of: file) == Descriptors())
                // Too late: nobody hears.
                store.listen { ear.add($0) }
                #expect(descriptors(of: file).watches == 0)
            }
            #expect(gone == nil, "a thread holds it")
        }
    }

    @Test("A store that nobody closes ends too")
    func left() async throws {
        try await TemporaryStore.use { file in
            do {
                let (store, ear) = (try await file.open(), Counter())
                store.listen { ear.add($0) }
            }
            while descriptors(of: file) != Descriptors() { try Task.checkCancellation() }
        }
    }
}

@Suite struct CommitPatienceTests {
    @Test("Whoever writes for hours without a commit is looked at each few milliseconds all the same, and for a quarter of a second after his last byte")
    func boundedPauses() {
        var patience = CommitPatience()
        var elapsed: UInt64 = 0
        while elapsed < 4 * 3_600 * 1_000_000 {
            patience.heardMore()
            guard let pause = patience.pause() else { return #expect(Bool(false), "given up while he writes") }
            #expect(pause <= CommitPatience.longestPause)
            elapsed += UInt64(pause)
        }
        var left: UInt32 = 0
        while let pause = patience.pause() { left += pause }
        #expect((CommitPatience.most...CommitPatience.most + CommitPatience.longestPause).contains(left))
    }
}
