import Glibc
import JobCore
import Testing

@testable import JobHost

/// The real worker, which is sent runs ahead of their instant.
@Suite(.timeLimit(.minutes(5))) struct AheadRoomTests {
    /// A stage whose one worker is warm. → Its pid.
    private func warm(_ stage: Stage) async throws -> Int32 {
        await stage.configure([await stage.pool()])
        await stage.start(1, "good")
        return try await stage.end(of: 1).pid
    }

    @Test func itBeginsAtItsInstantAndItsLimitsCountFromThere() async throws {
        try await onStage { stage in
            let pid = try await warm(stage)
            let instant = SystemClock().now().wall + .milliseconds(150)
            await stage.startAhead(2, "good", in: .milliseconds(150))
            let end = try await stage.end(of: 2)
            #expect(end.outcome == .succeeded && end.pid == pid)
            #expect(try #require(end.startedAt) >= instant)
        }
    }

    @Test func aWorkerThatDiesBeforeTheInstantGivesItBackUnattempted() async throws {
        try await onStage { stage in
            let pid = try await warm(stage)
            await stage.startAhead(2, "good", in: .seconds(600))
            await stage.startAhead(3, "good", in: .seconds(600))
            // No other may come: it has no place.
            await stage.returned(3)
            Glibc.kill(pid, SIGKILL)
            await stage.returned(2)
            await stage.start(4, "good")
            let end = try await stage.end(of: 4)
            #expect(end.outcome == .succeeded && end.pid != pid)
        }
    }

    @Test func whatIsTakenBackComesBackAndItsWorkerGoesOn() async throws {
        try await onStage { stage in
            let pid = try await warm(stage)
            await stage.startAhead(2, "good", in: .seconds(600))
            await stage.takeBack(2, 77)
            await stage.returned(2)
            await stage.start(3, "polite")
            let began = await stage.started(3)
            #expect(began == pid)
            await stage.takeBack(3)
            await stage.cancel(3)
            let end = try await stage.end(of: 3)
            #expect(end.outcome == .cancelled && end.startedAt != nil, "what has begun goes on")
        }
    }

    @Test func anOperatorsCancelEndsItWithoutAnAttempt() async throws {
        try await onStage { stage in
            _ = try await warm(stage)
            await stage.startAhead(2, "good", in: .seconds(600))
            await stage.cancel(2)
            let end = try await stage.end(of: 2)
            #expect(end.outcome == .cancelled && end.startedAt == nil)
        }
    }

    @Test func aRunThatIsDueAndMayBeLongComesFirst() async throws {
        try await onStage { stage in
            _ = try await warm(stage)
            await stage.startAhead(2, "good", in: .seconds(600))
            await stage.start(3, "nothing")
            await stage.returned(2)
            #expect(try await stage.end(of: 3).outcome == .nothingToDo)
        }
    }

    @Test func aReloadOrAStopGivesItBack() async throws {
        try await onStage { stage in
            _ = try await warm(stage)
            await stage.startAhead(2, "good", in: .seconds(600))
            await stage.configure([await stage.pool(environment: ["NEW": "1"])])
            await stage.returned(2)
            await stage.start(3, "good")
            _ = try await stage.end(of: 3)
            await stage.startAhead(4, "good", in: .seconds(600))
            await stage.stop()
            await stage.returned(4)
        }
    }

    /// Its worker stands still from before it is taken back until its instant is over: then the word waits for it, and
    /// the instant has come too. The word is first.
    @Test func whatWasTakenBackInTimeNeverBegins() async throws {
        try await onStage { stage in
            let pid = try await warm(stage)
            await stage.configure([await stage.pool(), await stage.pool(key: "clock")])
            await stage.start(2, "good", pool: "clock")
            _ = try await stage.end(of: 2)
            for round in Int64(0)..<5 {
                let (held, clock) = (10 + round * 2, 11 + round * 2)
                // Another worker tells when that instant is over.
                await stage.startAheadAndTakeBack(held, standing: pid, clock: clock)
                _ = try await stage.end(of: clock)
                Glibc.kill(pid, SIGCONT)
                await stage.returned(held)
                let began = await stage.events.contains { if case .started(RunID(held), _, _, _) = $0 { true } else { false } }
                #expect(!began)
            }
        }
    }

    /// What its pool recalls for another run waits for the next worker. Not what is taken back as well, though the worker's
    /// one answer comes when its instant is over.
    @Test func whatWasRecalledAndIsTakenBackWaitsForNoOtherWorker() async throws {
        try await onStage { stage in
            let pid = try await warm(stage)
            await stage.configure([await stage.pool(), await stage.pool(key: "clock")])
            await stage.start(2, "good", pool: "clock")
            _ = try await stage.end(of: 2)
            await stage.startAheadAndTakeBack(10, standing: pid, due: 11, clock: 12)
            _ = try await stage.end(of: 12)
            Glibc.kill(pid, SIGCONT)
            await stage.returned(10)
            #expect(try await stage.end(of: 11).outcome == .nothingToDo)
            let began = await stage.events.contains { if case .started(RunID(10), _, _, _) = $0 { true } else { false } }
            #expect(!began)
        }
    }
}
