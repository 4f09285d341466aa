import CLinux
import Glibc
import JobCore
import Testing

/// Runs that a worker gets together: what it tells of them together, and what of it survives the worker.
@Suite(.timeLimit(.minutes(5)))
struct TogetherTests {
    private let workshop: Workshop

    init() throws { workshop = try Workshop() }

    /// A worker with a slate.
    private func slated<Result>(_ body: (WorkerProcess, OpaquePointer?) throws -> Result) throws -> Result {
        let descriptor = cl_slate_create("\(workshop.folder)/slate")
        try #require(descriptor >= 0)
        defer {
            close(descriptor)
            unlink("\(workshop.folder)/slate")
        }
        let slate = cl_slate_map(descriptor)
        defer { cl_slate_unmap(slate) }
        return try body(WorkerProcess(slate: descriptor), slate)
    }

    /// Loads the library and sends these runs at once. How many bytes the worker had written before them.
    private func start(_ runs: ClosedRange<Int64>, of library: String, on worker: WorkerProcess, lease: Duration? = nil) throws -> Int {
        let ready = try FrameEncoder.encode(WorkerFrame.ready(try worker.load(library))).count
        var frames = FrameEncoder()
        // From now on, whatever the start has taken.
        if let lease { try frames.append(Self.lease(lease)) }
        try frames.append(HostFrame.instance())
        for run in runs { try frames.append(HostFrame.run(.go(run))) }
        try worker.sendRaw(frames.bytes)
        return ready
    }

    private static func lease(_ length: Duration) -> HostFrame {
        var now = timespec()
        clock_gettime(CLOCK_BOOTTIME, &now)
        return .lease(until: MonotonicInstant(microseconds: Int64(now.tv_sec) * 1_000_000 + Int64(now.tv_nsec) / 1_000) + length)
    }

    /// What a worker says until its end: what was written, and what waited for it on the slate.
    private func lastWords(
        _ library: String, runs: ClosedRange<Int64>, lease: Duration? = nil, end expected: WorkerProcess.End = .signalled(SIGABRT)
    ) throws -> (written: [UInt8], waiting: [UInt8]) {
        try slated { worker, slate in
            let ready = try start(runs, of: library, on: worker, lease: lease)
            let written = try worker.receiveRaw()
            let end = try worker.end()
            #expect(end == expected)
            var waiting = [UInt8](repeating: 0, count: Int(CL_SLATE_UNSENT))
            let count = cl_slate_unsent(slate, UInt64(ready + written.count), &waiting)
            return (written, Array(waiting[..<count]))
        }
    }

    private func story(_ bytes: [UInt8]) throws -> [String] {
        var decoder = FrameDecoder<WorkerFrame>()
        decoder.append(bytes[...])
        var story: [String] = []
        while let frame = try decoder.next() {
            switch frame {
            case .started(let run): story.append("started \(run)")
            case .result(let result): story.append("\(result.code) \(result.run)")
            default: story.append("\(frame)")
            }
        }
        return story
    }

    @Test func `Of runs that came together, each beginning and each end is known after a crash`() throws {
        let library = try workshop.plugin(run: "if (c->run_id == 4) abort();")
        var waited = 0
        for _ in 0..<20 {
            let (written, waiting) = try lastWords(library, runs: 1...6)
            let told = try story(written + waiting)
            #expect(told == ["started 1", "succeeded 1", "started 2", "succeeded 2", "started 3", "succeeded 3", "started 4"])
            waited += waiting.isEmpty ? 0 : 1
        }
        #expect(waited > 0, "each was written by itself")
    }

    @Test func `A run that lasts is known to have begun, whatever came with it`() throws {
        try slated { worker, _ in
            _ = try worker.load(workshop.plugin(run: "if (c->run_id == 2) for (;;) pause(); usleep(300);"))
            try worker.send(.instance(), .run(.go(1)), .run(.go(2)), .run(.go(3)))
            var frame = try worker.receive()
            while frame != .started(run: RunID(2)) { frame = try worker.receive() }
        }
    }

    @Test func `A child that a plugin forks off tells nothing in its name`() throws {
        let library = try workshop.plugin(
            run: """
                if (c->run_id == 2 && fork() == 0) { c->log(c, JOB_LOG_INFO, JOB_STR("of the child"), JOB_STR("")); _exit(0); }
                if (c->run_id == 2) { wait(NULL); }
                if (c->run_id == 1) { usleep(300); }
                if (c->run_id == 3) { abort(); }
                """, before: "#include <sys/wait.h>")
        for _ in 0..<5 {
            let (written, waiting) = try lastWords(library, runs: 1...3)
            let told = try story(written + waiting)
            #expect(told == ["started 1", "succeeded 1", "started 2", "succeeded 2", "started 3"])
        }
    }

    @Test func `What is too long to wait on the slate is told whole, and so is what comes after it`() throws {
        let library = try workshop.plugin(
            run: """
                if (c->run_id == 2) { job_str state = {big, sizeof big}; if (c->state_put(c, 1, state, JOB_STATE_ON_SUCCESS) != JOB_OK) return JOB_FAILED; }
                if (c->run_id == 5) { abort(); }
                """, before: "static char big[3 * \(CL_SLATE_UNSENT)];")
        for _ in 0..<5 {
            let (written, waiting) = try lastWords(library, runs: 1...6)
            let told = try story(written + waiting)
            #expect(told == (1...4).flatMap { ["started \($0)", "succeeded \($0)"] } + ["started 5"])
            #expect(written.count > 3 * Int(CL_SLATE_UNSENT))
        }
    }

    @Test func `A lease that ends while short runs come one after the other ends the worker, and with it what it tells`() throws {
        let library = try workshop.plugin(run: "usleep(2000);")
        var told: [String] = []
        // On a busy machine the lease may end before the first of them.
        for _ in 0..<10 where told.isEmpty {
            let (written, waiting) = try lastWords(library, runs: 1...1_000, lease: .milliseconds(500), end: .signalled(SIGKILL))
            told = try story(written + waiting)
            #expect(!told.contains("started 1000"), "\(told.count) told")
        }
        #expect(!told.isEmpty)
    }

    @Test func `A plugin that floods its log does not keep the worker from hearing that its lease ends`() throws {
        let library = try workshop.plugin(
            run: """
                pthread_t thread;
                if (pthread_create(&thread, NULL, flood, (void *)c) != 0) return JOB_FAILED;
                for (;;) { pause(); }
                """,
            before: """
                static void *flood(void *c) {
                    for (;;) { ((const job_context *)c)->log(c, JOB_LOG_INFO, JOB_STR("flood flood flood flood"), JOB_NONE); }
                    return NULL;
                }
                """)
        try slated { worker, _ in
            _ = try start(1...50, of: library, on: worker, lease: .seconds(600))
            // Enough to have filled the socket's buffer; then the plugin's thread blocks in its write, and nobody reads any more.
            for _ in 0..<1_000 { _ = try worker.receive() }
            var frames = FrameEncoder()
            try frames.append(Self.lease(.seconds(1)))
            for run in 2...50 as ClosedRange<Int64> { try frames.append(HostFrame.recall(run: RunID(run))) }
            try worker.sendRaw(frames.bytes)
            #expect(try worker.end() == .signalled(SIGKILL))
        }
    }

    @Test func `What is given back while others talk is told, and before the worker ends`() throws {
        let library = try workshop.plugin(
            run: """
                pthread_t thread;
                if (pthread_create(&thread, NULL, flood, (void *)c) != 0) return JOB_FAILED;
                while (!c->is_cancelled(c)) poll(NULL, 0, 1);
                stop = 1;
                pthread_join(thread, NULL);
                return JOB_CANCELLED;
                """,
            before: """
                static volatile int stop;
                static void *flood(void *c) {
                    while (!stop) ((const job_context *)c)->log(c, JOB_LOG_INFO, JOB_STR("flood flood flood flood"), JOB_NONE);
                    return NULL;
                }
                """)
        try slated { worker, _ in
            _ = try start(1...400, of: library, on: worker)
            for _ in 0..<1_000 { _ = try worker.receive() }
            try worker.send(.recall(run: RunID(2)), .shutdown, .cancel(run: RunID(1)))
            var decoder = FrameDecoder<WorkerFrame>()
            var returned: Set<RunID> = []
            decoder.append(try worker.receiveRest())
            while let frame = try decoder.next() { if case .returned(let run) = frame { returned.insert(run) } }
            #expect(returned == Set((2...400).map { RunID($0) }))
            #expect(try worker.end() == .exited(0))
        }
    }

    @Test func `Without a slate each beginning is written before the run is executed`() throws {
        let library = try workshop.plugin(run: "if (c->run_id == 4) abort();")
        for _ in 0..<5 {
            let worker = try WorkerProcess()
            _ = try start(1...6, of: library, on: worker)
            let told = try story(worker.receiveRaw())
            #expect(told == ["started 1", "succeeded 1", "started 2", "succeeded 2", "started 3", "succeeded 3", "started 4"])
            #expect(try worker.end() == .signalled(SIGABRT))
        }
    }
}
