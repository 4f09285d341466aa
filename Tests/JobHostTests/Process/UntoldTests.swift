import JobCore
import Testing

@testable import JobHost

/// Of runs that a worker has together: what it has not told, and what its slate tells of it.
@Suite("What a worker could not say of its runs", .timeLimit(.minutes(5))) struct UntoldTests {
    /// `body`, once the room has learned that runs of `brief` are short, and gives a worker several at once.
    private func onStageOfShortRuns(_ body: (Stage) async throws -> Void) async throws {
        try await onStage { stage in
            await stage.configure([await stage.pool(max: 1)])
            await stage.startAll(1...3, "brief")
            for run in 1...3 as ClosedRange<Int64> { _ = try await stage.end(of: run) }
            try await body(stage)
        }
    }

    /// nil: it was given back.
    private func end(of run: Int64, on stage: Stage) async -> AttemptEnd? {
        let event = await stage.event { event in
            switch event {
            case .ended(let end): end.run == RunID(run)
            case .returned(let returned): returned == RunID(run)
            default: false
            }
        }
        if case .ended(let end) = event { return end } else { return nil }
    }

    @Test("What began and did not say so is lost with its worker, even where only its beginning is left on the slate: it is not given back")
    func begunIsNotGivenBack() async throws {
        try await onStageOfShortRuns { stage in
            var untold = 0
            for round in 1...5 as ClosedRange<Int64> {
                let first = round * 100
                await stage.startAll("brief", (first...first + 30).map { ($0, $0 == first + 20 ? "\"forget\"" : "") })
                for run in first...first + 20 {
                    let end = await end(of: run, on: stage)
                    let outcomes: [Outcome?] = run < first + 20 ? [.succeeded, .lost, .crashed] : [.lost, .crashed]
                    #expect(outcomes.contains(end?.outcome), "run \(run): \(end?.reason ?? "given back")")
                    if end?.outcome == .lost { untold += 1 }
                }
                for run in first + 21...first + 30 { _ = await end(of: run, on: stage) }
            }
            #expect(untold > 0, "each beginning was told")
        }
    }

    @Test("A worker that stands still in a run that it has not told of is killed by that run's limit; what it had ended has ended")
    func standsStill() async throws {
        try await onStageOfShortRuns { stage in
            await stage.startAll("brief", (10...20).map { ($0, $0 == 15 ? "\"stop\"" : "") }, timeout: (run: 15, limit: .seconds(2)))
            for run in 10...14 as ClosedRange<Int64> {
                let end = await end(of: run, on: stage)
                #expect(end?.outcome == .succeeded, "run \(run): \(end?.reason ?? "given back")")
            }
            let end = await end(of: 15, on: stage)
            #expect(end?.outcome == .timedOut, "\(end?.reason ?? "given back")")
            for run in 16...20 as ClosedRange<Int64> {
                let next = await self.end(of: run, on: stage)
                #expect(next == nil || next?.outcome == .succeeded, "run \(run): \(next?.reason ?? "")")
            }
        }
    }
}
