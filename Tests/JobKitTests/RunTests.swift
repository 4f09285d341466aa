import JobABI
import Testing

@testable import JobKit

private struct Plan: JobSettings {
    var does = "nothing"
}

private struct Memory: Codable, Equatable {
    var seen: [String] = []
}

private struct Unknown: Error {}

/// Does what its settings say.
private final class Scripted: JobEntry {
    static let info = EntryInfo(
        id: "scripted", description: "For tests.", idempotent: true, defaultSchedule: "every 1s", stateVersion: 2,
        payloadSchema: "{}")
    private let plan: Plan

    init(settings: Plan) throws {
        plan = settings
        if settings.does == "create-transient" { throw JobFailure.transient("database is down") }
        if settings.does == "create-unknown" { throw Unknown() }
    }

    func run(_ context: RunContext) throws -> RunOutcome {
        switch plan.does {
        case "succeeded": return .succeeded("done")
        case "nothing-to-do": return .nothingToDo("0 active pairs")
        case "snooze": return .snooze(until: 77, "later")
        case "cancelled": return .cancelled()
        case "failed": return .failed("broken", code: 4)
        case "retry": return .retry("busy", notBefore: 99, code: 5)
        case "throw-transient": throw JobFailure.transient("timeout", code: 6, notBefore: 98)
        case "throw-permanent": throw JobFailure.permanent("no such account", code: 7)
        case "throw-settings": throw JobFailure.badSettings("wrong key")
        case "throw-unknown": throw Unknown()
        case "throw-cancellation":
            try context.checkCancellation()
            return .failed("not cancelled")
        case "state":
            var memory = try context.state(as: Memory.self) ?? Memory()
            memory.seen.append("\(context.rawState?.version ?? 0)")
            try context.putState(memory)
            try context.putState(bytes: [1, 2], version: 9, when: .always)
        case "state-too-large": try context.putState(bytes: Array(repeating: 0, count: 262_145))
        case "talk": talk(context)
        case "enqueue":
            try context.enqueue(job: "mint", payload: ["asset": "x"], key: "k", at: 5)
            try context.enqueue(job: "tidy")
        case "payload": return .succeeded(try context.payload.decode([String: Int].self).description)
        case "who":
            return .succeeded(
                "\(context.runID) \(context.job) \(context.attempt) \(context.trigger == .catchUp) "
                    + "\(context.fireTimeMicroseconds) \(context.fence) \(context.idempotencyKey) "
                    + "\(context.remaining.map { "\($0)" } ?? "no limit") \(context.cancelFD ?? -1)")
        default: return .nothingToDo("")
        }
        return .succeeded()
    }

    func doctor(_ check: DoctorContext) throws {
        check.ok("plan", plan.does)
        try check.look(at: "peer") { throw JobFailure.transient("it is down") }
        if plan.does == "throw-cancellation" { try check.look(at: "peer") { try check.checkCancellation() } }
        if plan.does == "throw-permanent" { throw JobFailure.permanent("no such account", code: 7) }
        check.warning("job", check.job)
    }

    private func talk(_ context: RunContext) {
        context.log.debug("d")
        context.log.warning("w", fields: ["n": 1, "pair": "X/Y", "ok": true, "rate": 0.25, "text": .string("a\"b")])
        context.progress(done: 3, total: 9, "third")
        context.items(2)
        context.items(3)
        context.metrics.counter("trades", labels: ["pair": "X/Y", "a": "b"])
        context.metrics.gauge("price", 1.5)
        context.metrics.histogram("seconds", 0.1)
    }
}

@Suite struct RunTests {
    private func test(_ does: String) -> TestRun { TestRun(settings: #"{"does":"\#(does)"}"#) }

    @Test(arguments: [
        ("succeeded", TestRun.Code.succeeded, "done", 0), ("nothing-to-do", .nothingToDo, "0 active pairs", 0),
        ("snooze", .snooze, "later", 0), ("cancelled", .cancelled, "", 0), ("failed", .failed, "broken", 4),
        ("retry", .retry, "busy", 5), ("throw-transient", .retry, "timeout", 6),
        ("throw-permanent", .failed, "no such account", 7), ("throw-settings", .badSettings, "wrong key", 0),
        ("throw-unknown", .failed, "Unknown()", 0), ("create-transient", .retry, "database is down", 0),
        ("create-unknown", .failed, "Unknown()", 0),
    ] as [(String, TestRun.Code, String, Int32)])
    func `Outcomes and errors become codes`(does: String, code: TestRun.Code, text: String, failCode: Int32) {
        let test = test(does)
        #expect(test.run(Scripted.self) == code)
        #expect(test.text == text)
        #expect(test.failCode == failCode)
        #expect(test.snoozeUntil == (does == "snooze" ? 77 : nil))
        #expect(test.notBefore == (does == "retry" ? 99 : does == "throw-transient" ? 98 : nil))
    }

    @Test func `checkCancellation ends the run as cancelled`() {
        let test = test("throw-cancellation")
        test.isCancelled = true
        #expect(test.run(Scripted.self) == .cancelled)
    }

    @Test func `State is read as it was and written with the entry's version`() throws {
        let test = test("state")
        #expect(test.run(Scripted.self) == .succeeded)
        #expect(test.stateOnSuccess == StateValue(version: 2, bytes: Array(#"{"seen":["0"]}"#.utf8)))
        #expect(test.stateAlways == StateValue(version: 9, bytes: [1, 2]))
        test.state = test.stateOnSuccess
        #expect(test.run(Scripted.self) == .succeeded)
        #expect(test.stateOnSuccess?.bytes == Array(#"{"seen":["0","2"]}"#.utf8))
    }

    @Test func `State that cannot be read or is too large fails the run with the reason`() {
        let unreadable = test("state")
        unreadable.state = StateValue(version: 1, bytes: Array(#"{"seen":1}"#.utf8))
        #expect(unreadable.run(Scripted.self) == .failed)
        #expect(unreadable.text == "the job's state (version 1) cannot be read: seen: an array was expected, not a number")
        let large = test("state-too-large")
        #expect(large.run(Scripted.self) == .failed)
        #expect(large.text == "state of 262145 bytes: larger than the host allows")
    }

    @Test func `Log, progress, items and metrics arrive`() {
        let test = test("talk")
        #expect(test.run(Scripted.self) == .succeeded)
        #expect(
            test.log == [
                .init(level: JOB_LOG_DEBUG, text: "d", fields: ""),
                .init(level: JOB_LOG_WARNING, text: "w", fields: #"{"n":1,"ok":true,"pair":"X/Y","rate":0.25,"text":"a\"b"}"#),
            ])
        #expect(test.progress.map(\.done) == [3])
        #expect(test.items == 5)
        #expect(
            test.samples == [
                .init(kind: "counter", name: "trades", labels: ["a": "b", "pair": "X/Y"], value: 1),
                .init(kind: "gauge", name: "price", labels: [:], value: 1.5),
                .init(kind: "histogram", name: "seconds", labels: [:], value: 0.1),
            ])
    }

    @Test func `Enqueued runs carry payload, key and time`() {
        let test = test("enqueue")
        #expect(test.run(Scripted.self) == .succeeded)
        #expect(
            test.enqueued == [
                .init(job: "mint", payload: #"{"asset":"x"}"#, key: "k", at: 5),
                .init(job: "tidy", payload: "", key: "", at: 0),
            ])
    }

    @Test func `A payload that does not fit fails for good`() {
        let test = test("payload")
        #expect(test.run(Scripted.self) == .failed)
        #expect(test.text == "the run has no payload")
        test.payload = #"{"a":"b"}"#
        #expect(test.run(Scripted.self) == .failed)
        #expect(test.text == "payload: a: a whole number was expected, not a string")
        test.payload = #"{"a":1}"#
        #expect(test.run(Scripted.self) == .succeeded)
        #expect(test.text == #"["a": 1]"#)
    }

    @Test func `A run knows who it is`() {
        let test = test("who")
        test.runID = 12
        test.attempt = 3
        test.trigger = .catchUp
        test.fireTimeMicroseconds = 1_700_000_000_000_000
        test.fence = 8
        test.idempotencyKey = "k"
        test.remainingMilliseconds = 1_500
        #expect(test.run(Scripted.self) == .succeeded)
        #expect(test.text == "12 test 3 true 1700000000000000 8 k 1.5 seconds -1")
    }

    @Test func `A doctor's findings are kept, and what it looks at stands alone`() {
        let test = test("succeeded")
        #expect(test.doctor(Scripted.self) == .succeeded)
        #expect(test.findings == [.init(.ok, "plan", "succeeded"), .init(.error, "peer", "it is down"), .init(.warning, "job", "test")])
    }

    @Test(arguments: [
        ("throw-permanent", TestRun.Code.failed, "no such account"), ("throw-cancellation", .cancelled, "cancelled"),
        ("create-transient", .retry, "database is down"),
    ])
    func `A doctor that gives up says why`(does: String, code: TestRun.Code, text: String) {
        let test = test(does)
        test.isCancelled = true
        #expect(test.doctor(Scripted.self) == code)
        #expect(test.text == text)
    }

    @Test func `The exported descriptor says what the types say`() throws {
        let plugin = JobPlugin.export(id: "p", version: "1.2.3", description: "d", [Scripted.self, Scripted.self])
        #expect(plugin.pointee.struct_size == 64)
        #expect(plugin.pointee.entry_count == 2)
        #expect(String(plugin.pointee.version) == "1.2.3")
        let entry = try #require(plugin.pointee.entry(1))
        #expect(plugin.pointee.entry(2) == nil)
        #expect(entry.pointee.flags == JOB_ENTRY_IDEMPOTENT | JOB_ENTRY_CANCELLABLE)
        #expect(entry.pointee.state_version == 2)
        #expect(String(entry.pointee.default_schedule) == "every 1s")
        #expect(String(entry.pointee.payload_schema) == "{}")
    }
}
