import Glibc
import JobCore
import Testing

@testable import JobHost

@Suite struct HeartbeatTests {
    private static let noon = Instant(rfc3339: "2026-03-01T12:00:00Z")!

    private func withFolder(_ body: (String) throws -> Void) throws {
        var template = Array("/tmp/jobhost-beat-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        let folder = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        defer {
            unlink(folder + "/alive")
            rmdir(folder)
        }
        try body(folder)
    }

    @Test("A fire well after the last beat was not seen; one before it, or near it, may have been started")
    func proof() throws {
        try withFolder { folder in
            Heartbeat(stateDir: folder, bootID: "boot").beat(Self.noon)
            let next = Heartbeat(stateDir: folder, bootID: "boot")
            #expect(next.previous == Self.noon)
            #expect(next.provesUnseen(fire: Self.noon + Heartbeat.slack + .microseconds(1)))
            #expect(!next.provesUnseen(fire: Self.noon + Heartbeat.slack))
            #expect(!next.provesUnseen(fire: Self.noon - .seconds(3600)))
        }
    }

    @Test("Without a beat of this boot nothing is proved, wherever the clock stands")
    func noProof() throws {
        try withFolder { folder in
            let first = Heartbeat(stateDir: folder, bootID: "boot")
            #expect(!first.provesUnseen(fire: .distantFuture))
            first.beat(Self.noon)
            #expect(!Heartbeat(stateDir: folder, bootID: "another").provesUnseen(fire: .distantFuture))
            #expect(!Heartbeat(stateDir: folder, bootID: "").provesUnseen(fire: .distantFuture))
            #expect(!Heartbeat(stateDir: folder + "/missing", bootID: "boot").provesUnseen(fire: .distantFuture))
        }
    }

    @Test("A life that ends before its first beat leaves no proof of its own")
    func lifeWithoutBeat() throws {
        try withFolder { folder in
            Heartbeat(stateDir: folder, bootID: "before the power cut").beat(Self.noon)
            _ = Heartbeat(stateDir: folder, bootID: "after it")
            #expect(Heartbeat(stateDir: folder, bootID: "after it").previous == nil)
        }
    }

    @Test("It beats every half second, at once when the wall clock leaps, and never back with it")
    func pace() {
        var pace = BeatPace()
        func now(_ monotonic: Int64, wall: Int64) -> Now {
            Now(wall: Self.noon + .milliseconds(wall), monotonic: MonotonicInstant(microseconds: monotonic * 1_000))
        }
        #expect(pace.beat(now(0, wall: 0)) == Self.noon)
        #expect(pace.beat(now(499, wall: 499)) == nil)
        #expect(pace.beat(now(500, wall: 500)) == Self.noon + .milliseconds(500))
        #expect(pace.beat(now(510, wall: 300_000)) == Self.noon + .seconds(300))
        #expect(pace.beat(now(520, wall: -300_000)) == nil)
        #expect(pace.beat(now(1_010, wall: -299_500)) == Self.noon + .seconds(300))
    }
}
