import Glibc
import JobCore
import SQL
import Testing

@testable import JobStore

/// The write-ahead log beside the store's file: it begins anew again and again, whatever the load.
@Suite(.timeLimit(.minutes(5))) struct LogSizeTests {
    /// A page in the log has a header of its own.
    private static let page = 4_096 + 24
    /// The brake, and what may be written until the copies beside and here have met.
    private static let bound = (CheckpointPace.brake + 3 * CheckpointPace.step) * page

    private func logBytes(_ file: TemporaryStore) -> Int {
        var information = stat()
        return stat(file.path + "-wal", &information) == 0 ? Int(information.st_size) : 0
    }

    /// One commit of a few dozen pages.
    private func write(_ store: SQLiteStore, _ round: Int64) async throws {
        let requests = (0..<3).map { number in
            var request = NewRun(job: "job-\(number)", trigger: .enqueued, fireTime: .at(round))
            request.payload = Array("{\"round\":\(round),\"filler\":\"\(String(repeating: "x", count: 30_000))\"}".utf8)
            return request
        }
        _ = try await store.enqueue(requests, now: .at(round))
    }

    /// Who copies the file of a stopped host has all of it. By turns, since it is about who closes first.
    @Test func closedItIsGone() async throws {
        for _ in 0..<20 {
            try await TemporaryStore.use { file in
                let store = try await file.open()
                try await write(store, 1)
                await store.close()
                #expect(access(file.path + "-wal", F_OK) != 0, "\(logBytes(file)) bytes are left")
            }
        }
    }

    @Test func commitsWithoutAPauseDoNotLetItGrow() async throws {
        try await TemporaryStore.use { file in
            let store = try await file.open()
            let longest = try await withThrowingTaskGroup(of: Int.self) { group in
                for writer in 0..<4 as Range<Int64> {
                    group.addTask {
                        var longest = 0
                        for round in 0..<250 as Range<Int64> {
                            try await write(store, writer * 1_000 + round)
                            longest = max(longest, logBytes(file))
                        }
                        return longest
                    }
                }
                return try await group.reduce(0) { max($0, $1) }
            }
            await store.close()
            #expect(longest > CheckpointPace.step * Self.page)
            #expect(longest < Self.bound, "\(longest / 1_000_000) MB")
        }
    }

    @Test func aReaderThatStaysLetsItGrowForAsLongAsItStays() async throws {
        try await TemporaryStore.use { file in
            let store = try await file.open()
            try await write(store, 0)
            let reader = try file.otherProgram()
            try reader.execute("BEGIN; SELECT count(*) FROM runs")
            var round: Int64 = 1
            while logBytes(file) < 2 * Self.bound {
                try await write(store, round)
                round += 1
            }
            try reader.execute("COMMIT")
            let rest = round
            while logBytes(file) > CheckpointPace.keptBytes, round < rest + 500 {
                try await write(store, round)
                round += 1
            }
            #expect(logBytes(file) <= CheckpointPace.keptBytes)
            await store.close()
        }
    }

    @Test func copiesAreMadeBesideTheWriterUntilTheBrake() {
        var pace = CheckpointPace()
        #expect(pace.turn(pages: 999) == .none)
        #expect(pace.turn(pages: 1_000) == .beside)
        #expect(pace.turn(pages: 1_999) == .none)
        #expect(pace.turn(pages: 2_500) == .beside)
        #expect(pace.turn(pages: 4_100) == .here)
        #expect(pace.turn(pages: 4_200) == .none)
        #expect(pace.turn(pages: 5_100) == .here)
        #expect(pace.turn(pages: 30) == .none)
        #expect(pace.turn(pages: 1_030) == .beside)
    }
}
