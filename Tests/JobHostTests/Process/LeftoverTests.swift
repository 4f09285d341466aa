import Glibc
import JobCore
import Testing

@testable import JobHost

/// What a plugin uses beside its own process and memory: processes that it leaves behind or waits for, shared memory.
@Suite("What a plugin uses beside its own", .timeLimit(.minutes(5))) struct LeftoverTests {
    @Test("Processes that a plugin leaves behind and that have ended go with their worker before they are many; no run is lost")
    func unreaped() async throws {
        try await onStage { stage in
            await stage.configure([await stage.pool()])
            var most = 0
            var workers: Set<Int32> = []
            for run in 1...200 as ClosedRange<Int64> {
                await stage.start(run, "scatter")
                let end = try await stage.end(of: run)
                #expect(end.outcome == .succeeded, "run \(run): \(end.reason)")
                workers.insert(end.pid)
                most = max(most, ProcFS.children(end.pid).count)
            }
            #expect(most <= 100 && workers.count >= 2, "\(most) of \(workers.count) workers")
        }
    }

    @Test("Shared memory counts for the memory limit")
    func sharedMemory() async throws {
        try await onStage { stage in
            await stage.configure([await stage.pool(memory: 64 << 20)])
            await stage.start(1, "share")
            let end = try await stage.end(of: 1)
            #expect(end.outcome == .crashed)
            #expect(end.reason.hasPrefix("memory limit of 64MiB: ") && end.reason.hasSuffix(" resident; killed"), "\(end.reason)")
        }
    }

    @Test("What a process that is waited for has used up counts for the CPU limit before it has ended")
    func cpuOfChildren() async throws {
        try await onStage { stage in
            var pool = await stage.pool()
            pool.sandbox = Sandbox()
            pool.sandbox?.cpuTime = .seconds(1)
            await stage.configure([pool])
            await stage.start(1, "spin")
            let end = try await stage.end(of: 1)
            #expect(end.outcome == .crashed)
            #expect(end.reason.hasPrefix("CPU limit of 1s: "), "\(end.reason)")
        }
    }

    @Test("What an earlier run left behind is not counted for the next one")
    func cpuOfStrangers() throws {
        var shell: pid_t = 0
        let words: [String] = ["sh", "-c", "while :; do :; done & wait"]
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        let code = posix_spawn(&shell, "/bin/sh", nil, nil, &arguments, environ)
        try #require(code == 0)
        defer {
            for child in ProcFS.children(shell) { kill(child, SIGKILL) }
            kill(shell, SIGKILL)
            while waitpid(shell, nil, 0) < 0, errno == EINTR {}
        }
        while ProcFS.children(shell).first.flatMap({ ProcFS.stat($0)?.cpuTicks }) ?? 0 < 20 {}
        let now = SystemClock().now().monotonic
        let all = try #require(ProcFS.cpu(shell, since: now + .seconds(-600)))
        let own = try #require(ProcFS.cpu(shell, since: now + .seconds(1)))
        #expect(all >= .milliseconds(200) && own < .milliseconds(100), "\(all), \(own)")
    }

    @Test("What a worker lets a run enqueue the host takes, however long names and keys are")
    func enqueues() async throws {
        try await onStage { stage in
            await stage.configure([await stage.pool()])
            await stage.start(1, "hand_on")
            let end = try await stage.end(of: 1)
            #expect(end.outcome == .succeeded, "\(end.reason)")
            #expect(end.enqueues.count == 10_000)
        }
    }
}
