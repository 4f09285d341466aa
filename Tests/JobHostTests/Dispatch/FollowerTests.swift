import JobConfig
import JobCore
import JobStore
import Testing

@testable import JobHost

/// Jobs that follow others, where hosts share a store and each serves some jobs of the config.
@Suite("Followers of other hosts") struct FollowerTests: DispatchStory {
    private func host(isShared: Bool) -> SimulatedHost {
        var settings = Dispatcher.Settings()
        settings.isShared = isShared
        return SimulatedHost(at: "2026-01-01T00:00:00.500Z", settings: settings)
    }
    private func jobs(_ change: (inout JobConfig) -> Void = { _ in }) -> [JobConfig] {
        [
            SimulatedHost.job("first", .none) { $0.retry.maxAttempts = 1 },
            SimulatedHost.job("second", .after(job: "first")) {
                $0.retry.maxAttempts = 7
                change(&$0)
            },
        ]
    }

    @Test("after: a follower that another host serves gets its run from the host where the first one ended, by the follower's own settings")
    func elsewhere() {
        var host = host(isShared: true)
        host.apply(jobs(), only: ["first"])
        host.enqueue("first")
        host.end(.failed)
        #expect(host.runs("second").isEmpty)
        host.enqueue("first")
        host.end(.nothingToDo)
        #expect(host.runs("second").map(\.trigger) == [.after])
        #expect(host.runs("second").map(\.maxAttempts) == [7])
        #expect(host.started.isEmpty, "it is the other host's")
    }

    @Test("after: one that this host has handed to another one too")
    func handedOver() {
        var host = host(isShared: true)
        host.apply(jobs())
        host.apply(jobs(), generation: 2, only: ["first"])
        host.enqueue("first")
        host.end(.succeeded)
        #expect(host.runs("second").map(\.trigger) == [.after])
    }

    @Test("after: none for one that is switched off, in the config or by an operator of whichever host, nor where no other host shares the store")
    func switchedOff() {
        var host = host(isShared: true)
        host.apply(jobs { $0.enabled = false }, only: ["first"])
        func first(_ host: inout SimulatedHost) {
            host.enqueue("first")
            host.end(.succeeded)
        }
        first(&host)
        #expect(host.runs("second").isEmpty)
        host.dispatcher.controlsElsewhere["second"] = ControlRow(enabled: true)
        first(&host)
        #expect(host.runs("second").count == 1)
        host.apply(jobs(), generation: 2, only: ["first"])
        host.dispatcher.controlsElsewhere["second"] = ControlRow(enabled: false)
        first(&host)
        #expect(host.runs("second").count == 1)
        var alone = self.host(isShared: false)
        alone.apply(jobs(), only: ["first"])
        first(&alone)
        #expect(alone.runs("second").isEmpty)
    }
}
