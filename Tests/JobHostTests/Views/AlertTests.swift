import JobConfig
import JobCore
import JobJSON
import JobTestKit
import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization
import Testing

@testable import JobHost

struct AlertMessageTests {
    private func message(_ alerts: [Alert]) -> API.AlertMessage {
        API.AlertMessage(id: "7", host: "test", at: sampleNow, alerts.map { .init(alert: $0, state: .happened, since: sampleNow, count: 1) })
    }

    /// As curl has it, which takes lines up to 100 KiB.
    private func longestLine(_ message: API.AlertMessage) throws -> Int {
        let config = try Webhook(url: WebhookURL("https://hook/")).curlConfig(APIJSON.bytes(of: message), headers: [])
        let lines = config.split(separator: UInt8(ascii: "\n"))
        #expect(String(decoding: lines.last ?? [], as: UTF8.self).hasPrefix("data-binary = "))
        return lines.map(\.count).max() ?? 0
    }

    @Test func whatDoesNotFitIntoALineOfCurlsIsCounted() throws {
        let plain = message((0..<60).map { Alert(.runDiscarded, subject: "mint-\($0)", "said no", hint: "jobhost retry \($0)") })
        #expect((plain.alerts.count, plain.more) == (50, 10))
        for text in [#"{"said":"no \\ \""}"#, "\u{1}", "„so“ ", "a"] {
            let texts = (0..<60).map { Alert(.runDiscarded, subject: "mint-\($0)", String(repeating: text, count: 1_000), hint: #"jobhost log "m""#) }
            let rich = message(texts)
            #expect(rich.alerts.count + rich.more == 60)
            #expect(rich.alerts.count >= 10, "\(rich.alerts.count) of \(text)")
            #expect(try longestLine(rich) < 100 << 10)
        }
    }

    @Test(arguments: [#"\""#, "a\u{301}", "\u{301}"])
    func oneHugeTextIsCutAndTold(_ text: String) throws {
        let huge = String(repeating: text, count: 200_000)
        let only = message([Alert(.hostProblem, subject: huge, huge, hint: huge)])
        #expect((only.alerts.count, only.more) == (1, 0))
        #expect(only.summary.utf8.count < 2_000)
        #expect(try longestLine(only) < 100 << 10)
    }
}

struct AlertBookTests {
    private func at(_ seconds: Int64) -> Now {
        Now(wall: sampleNow + .seconds(seconds), monotonic: MonotonicInstant(microseconds: seconds * 1_000_000))
    }
    private func open(_ job: String) -> Alert { Alert(.breakerOpened, subject: job, "the breaker of \(job) is open", hint: "") }
    private func dead(_ run: Int) -> Alert { Alert(.runDiscarded, subject: "mint", "run \(run) is a dead letter", hint: "") }
    private func text(_ lines: [AlertBook.Line]) -> [String] {
        lines.map { "\($0.state.rawValue) \($0.alert.key)\($0.count > 1 ? " ×\($0.count)" : "")" }
    }

    @Test func oneCauseIsOneMessageAndOneAtItsEnd() {
        var book = AlertBook()
        #expect(book.look([open("a")], [], now: at(0)).isEmpty)
        #expect(book.look([open("a"), open("b")], [], now: at(4)).isEmpty)
        #expect(text(book.look([open("a"), open("b")], [], now: at(10))) == ["firing breaker_opened:a", "firing breaker_opened:b"])
        for second in 11..<60 { #expect(book.look([open("a"), open("b")], [], now: at(Int64(second))).isEmpty) }
        #expect(book.look([open("b")], [], now: at(60)).isEmpty)
        #expect(text(book.look([open("b")], [], now: at(70))) == ["resolved breaker_opened:a"])
        #expect(book.standing.map(\.alert.subject) == ["b"])
    }

    @Test func whatIsOverAtOnceIsNotTold() {
        var book = AlertBook()
        _ = book.look([open("a")], [], now: at(0))
        #expect(book.look([], [], now: at(5)).isEmpty)
        #expect(book.look([], [], now: at(20)).isEmpty)
    }

    @Test func whatFlapsIsNotToldAnew() {
        var book = AlertBook()
        _ = book.look([open("a")], [], now: at(0))
        #expect(book.look([open("a")], [], now: at(10)).count == 1)
        _ = book.look([], [], now: at(20))
        #expect(book.look([open("a")], [], now: at(25)).isEmpty)
        #expect(book.look([open("a")], [], now: at(60)).isEmpty)
    }

    @Test func whatLastsIsToldAgain() {
        var book = AlertBook(.init(gather: .seconds(10), again: .seconds(600), quiet: .seconds(600)))
        _ = book.look([open("a")], [], now: at(0))
        #expect(book.look([open("a")], [], now: at(10)).count == 1)
        #expect(book.look([open("a")], [], now: at(600)).isEmpty)
        _ = book.look([open("a")], [], now: at(610))
        #expect(text(book.look([open("a")], [], now: at(620))) == ["firing breaker_opened:a"])
        var never = AlertBook(.init(gather: .seconds(10), again: nil, quiet: .seconds(600)))
        _ = never.look([open("a")], [], now: at(0))
        #expect(never.look([open("a")], [], now: at(10)).count == 1)
        for hour in 1..<100 { #expect(never.look([open("a")], [], now: at(Int64(hour) * 3_600)).isEmpty) }
    }

    @Test func whatHappensOftenIsCounted() {
        var book = AlertBook()
        #expect(book.look([], [dead(1), dead(2)], now: at(0)).isEmpty)
        let first = book.look([], [dead(3)], now: at(10))
        #expect(text(first) == ["happened run_discarded:mint ×3"])
        #expect(first.first?.alert.text == "run 3 is a dead letter")
        #expect(book.look([], [dead(4)], now: at(11)).isEmpty)
        #expect(book.look([], [dead(5)], now: at(300)).isEmpty)
        #expect(text(book.look([], [], now: at(610))) == ["happened run_discarded:mint ×2"])
        #expect(book.look([], [], now: at(5_000)).isEmpty)
    }

    @Test func theWorstComesFirst() {
        var book = AlertBook()
        _ = book.look([Alert(.pluginRefused, subject: "p", "", hint: ""), open("z")], [dead(1)], now: at(0))
        let lines = book.look([Alert(.pluginRefused, subject: "p", "", hint: ""), open("z")], [], now: at(10))
        #expect(lines.map(\.alert.kind) == [.breakerOpened, .pluginRefused, .runDiscarded])
    }

    @Test func memoryIsBounded() {
        var book = AlertBook()
        let many = (0..<5_000).map { open("job\($0)") }
        _ = book.look(many, (0..<5_000).map { Alert(.firesMissed, subject: "job\($0)", "", hint: "") }, now: at(0))
        #expect(book.look(many, [], now: at(10)).count == 2 * AlertBook.mostKeys)
    }
}

struct AlertKindTests {
    private func problem(_ kind: HostProblem.Kind, _ subject: String = "", _ grade: HealthGrade = .critical) -> HostProblem {
        HostProblem(kind: kind, subject: subject, text: "trouble", grade: grade)
    }

    /// What an operator is promised to be told of, out of the state and the events that it comes from.
    @Test func everyTroubleIsAnAlert() {
        var host = Samples.snapshot([Samples.healthy, Samples.broken])
        host.hostProblems = [problem(.store), problem(.clock), problem(.plugin, "market"), problem(.reload), problem(.other, "http")]
        host.jobs[0].health = JobHealth(refused: "its settings")
        let standing = Alert.conditions(host)
        #expect(Set(standing.map(\.key)) == [
            "store_trouble", "clock_trouble", "plugin_refused:market", "reload_refused", "host_problem:http", "job_critical:candles", "breaker_opened:deposits-credit",
        ])
        #expect(standing.allSatisfy { !$0.text.isEmpty && $0.hint.hasPrefix("jobhost ") })
        #expect(Set(standing.filter { $0.severity == .critical }.map(\.kind)) == [.storeTrouble, .clockTrouble, .jobCritical, .breakerOpened])
        let happened = [
            HostEvent.ended(Samples.record(9, job: "mint", state: .discarded, outcome: .failed, reason: "no such asset")),
            .notRun(job: "candles", reason: .window, text: "3 fires missed", at: sampleNow),
        ].compactMap(Alert.init(of:))
        #expect(happened.map(\.key) == ["run_discarded:mint", "fires_missed:candles"])
        #expect(happened.map(\.hint) == ["jobhost retry 9", "jobhost runs candles --state missed"])
        // Every kind is among them.
        #expect(Set((standing + happened).map(\.kind)) == Set(Alert.Kind.allCases).subtracting([.test]))
    }

    @Test func whatIsInOrderIsNone() {
        var paused = Samples.healthy
        paused.control.paused = true
        var held = Samples.broken
        held.breaker.state = "forced_open"
        let facts = JobHealth.Facts(
            isEnabled: true, badSettings: nil, lastSuccess: sampleNow, failingSince: nil, lastDuration: nil, running: [], errorsLastHour: 0,
            breaker: "forced_open", metrics: [:], since: sampleNow)
        held.health = JobHealth(of: facts, by: HealthPolicy(), now: sampleNow)
        #expect(held.health.grade == .warning)
        // An operator wanted these so.
        var host = Samples.snapshot([Samples.healthy, Samples.running, Samples.off, paused, held])
        host.hostProblems = [problem(.rollback, "market", .warning), problem(.removal, "", .warning)]
        #expect(Alert.conditions(host) == [])
        #expect(host.problems == [] && API.HostHealth(host).grade == .warning)
        // A canary's decision nobody asked for.
        host.hostProblems = [problem(.rollback, "market")]
        #expect(Alert.conditions(host).map(\.key) == ["host_problem:market"])
        #expect(API.HostHealth(host).grade == .critical)
        for event: HostEvent in [
            .ended(Samples.record(9)), .ended(Samples.record(9, state: .retryable, outcome: .retry)),
            .notRun(job: "candles", reason: .overlap, text: "", at: sampleNow), .problems(["x"], at: sampleNow),
        ] { #expect(Alert(of: event) == nil) }
    }

    /// Each is told once while it lasts, and when it is over.
    @Test func eachIsToldOnceAndWhenItIsOver() {
        func at(_ seconds: Int64) -> Now { Now(wall: sampleNow + .seconds(seconds), monotonic: MonotonicInstant(microseconds: seconds * 1_000_000)) }
        for kind in Alert.Kind.allCases where ![.test, .runDiscarded, .firesMissed].contains(kind) {
            var book = AlertBook()
            let alert = Alert(kind, subject: "x", "trouble", hint: "")
            var lines: [AlertBook.Line] = []
            for second in 0...60 as ClosedRange<Int64> { lines += book.look(second < 30 ? [alert] : [], [], now: at(second)) }
            #expect(lines.map(\.state) == [.firing, .resolved], "\(kind)")
        }
    }
}

struct OutboxTests {
    private func at(_ seconds: Int64) -> MonotonicInstant { MonotonicInstant(microseconds: seconds * 1_000_000) }
    private func message(_ id: Int) -> Outbox.Message { Outbox.Message(id: "\(id)", body: []) }

    @Test func oneIsOnItsWayAtATimeAndInOrder() {
        var box = Outbox()
        box.add(message(1))
        box.add(message(2))
        #expect(box.next(now: at(0))?.id == "1")
        #expect(box.next(now: at(0)) == nil)
        #expect(box.ended(nil, now: at(1)) == false)
        #expect(box.next(now: at(1))?.id == "2")
    }

    @Test func itIsTriedAgainWithGrowingWaits() {
        var box = Outbox()
        box.add(message(1))
        for (tried, again) in [(0, 2), (2, 6), (6, 14), (14, 30)] {
            #expect(box.next(now: at(Int64(tried)))?.id == "1")
            #expect(box.ended("no", now: at(Int64(tried))) == false)
            #expect(box.next(now: at(Int64(again) - 1)) == nil)
        }
        #expect(box.problem == "no")
    }

    @Test func newerOnesPushOutTheOldestThatIsNotOnItsWay() {
        var box = Outbox()
        box.add(message(0))
        _ = box.next(now: at(0))
        for n in 1...(Outbox.mostMessages + 5) { box.add(message(n)) }
        #expect(box.messages.count == Outbox.mostMessages)
        #expect(box.messages.first?.id == "0" && box.messages[1].id == "7")
        #expect(box.lost == 6)
    }

    @Test func allAttemptsTogetherTakeLessThanHalfAnHour() {
        var box = Outbox()
        box.add(message(1))
        var now: Int64 = 0
        var attempts = 0
        while !box.messages.isEmpty, now < 10_000 {
            if box.next(now: at(now)) != nil {
                attempts += 1
                _ = box.ended("no", now: at(now))
            }
            now += 1
        }
        #expect(attempts == Outbox.mostAttempts)
        #expect((600..<1_800).contains(now))
        #expect(box.lost == 1)
    }
}

struct AlertsTests {
    /// A loopback server that keeps what is POSTed to it.
    private final class Hook: Sendable {
        let received = Mutex<[(headers: [String: String], body: [UInt8])]>([])
        let port: Int
        private let channel: any Channel
        init(status: HTTPResponseStatus = .ok) async throws {
            let boxed = Boxed()
            channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .childChannelInitializer { channel in
                    channel.pipeline.configureHTTPServerPipeline().flatMapThrowing {
                        try channel.pipeline.syncOperations.addHandler(Taker(boxed, status))
                    }
                }
                .bind(host: "127.0.0.1", port: 0).get()
            port = channel.localAddress?.port ?? 0
            boxed.take.withLock { $0 = { [weak self] headers, body in self?.received.withLock { $0.append((headers, body)) } } }
        }
        func close() async throws { try await channel.close().get() }
    }
    private final class Boxed: Sendable { let take = Mutex<(@Sendable ([String: String], [UInt8]) -> Void)?>(nil) }
    private final class Taker: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart
        private let boxed: Boxed
        private let status: HTTPResponseStatus
        private var headers: [String: String] = [:]
        private var body: [UInt8] = []
        private var isRefused = false
        init(_ boxed: Boxed, _ status: HTTPResponseStatus) {
            self.boxed = boxed
            self.status = status
        }
        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch unwrapInboundIn(data) {
            case .head(let head):
                isRefused = head.uri.hasSuffix("=refused")
                headers = Dictionary(head.headers.map { ($0.name.lowercased(), $0.value) }, uniquingKeysWith: { $1 })
            case .body(let buffer): body += Array(buffer.readableBytesView)
            case .end:
                boxed.take.withLock { $0 }?(headers, body)
                let head = HTTPResponseHead(version: .http1_1, status: isRefused ? .serviceUnavailable : status, headers: ["Content-Length": "0", "Connection": "close"])
                context.write(wrapOutboundOut(.head(head)), promise: nil)
                context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
            }
        }
    }

    @Test func aTestReachesWebhookAndCommandSigned() async throws {
        let hook = try await Hook()
        try await withServer { _, socket, server in
            var settings = AlertSettings()
            settings.webhooks = [try WebhookURL("http://127.0.0.1:\(hook.port)/alerts?key=hidden")]
            settings.command = ["true"]
            settings.secret = AccessToken(name: "alerts", secret: "s3cret")
            await server.alerts.use(settings)
            let answer = try await ask(socket, "POST", "/api/v1/alerts/test", #"{"reason":"try"}"#)
            #expect(answer.status == 200)
            let receivers = try #require(answer.json["receivers"]?.arrayValue)
            #expect(receivers.map { $0["name"]?.stringValue } == ["http://127.0.0.1:\(hook.port)/alerts", "true"])
            #expect(receivers.allSatisfy { $0["problem"] == .null })
            let (headers, body) = try #require(hook.received.withLock { $0.first })
            let time = try #require(headers["x-jobhost-timestamp"])
            #expect(headers["x-jobhost-signature"] == "sha256=" + SHA256.hmac(key: Array("s3cret".utf8), Array("\(time).".utf8) + body))
            let message = try JSON(parsing: body)
            #expect(message["id"]?.stringValue == headers["x-jobhost-delivery"])
            #expect(message["alerts"]?.arrayValue?.first?["kind"] == "test")
            #expect(message["summary"]?.stringValue?.contains("a test of the alerts") == true)
        }
        try await hook.close()
    }

    @Test func aReceiverThatRefusesIsNamed() async throws {
        let hook = try await Hook(status: .internalServerError)
        try await withServer { _, socket, server in
            var settings = AlertSettings()
            settings.webhooks = [try WebhookURL("http://127.0.0.1:\(hook.port)/")]
            settings.command = ["no-such-program"]
            await server.alerts.use(settings)
            let answer = try await ask(socket, "POST", "/api/v1/alerts/test")
            let problems = answer.json["receivers"]?.arrayValue?.map { $0["problem"]?.stringValue ?? "" } ?? []
            #expect(problems == ["http://127.0.0.1:\(hook.port)/ answered with status 500", "it does not exist"])
        }
        try await hook.close()
    }

    @Test func twoThatLookAlikeAreTwo() async throws {
        let hook = try await Hook()
        try await withServer { _, socket, server in
            var settings = AlertSettings()
            settings.webhooks = try ["a", "b"].map { try WebhookURL("http://127.0.0.1:\(hook.port)/x?key=\($0)") }
            await server.alerts.use(settings)
            let answer = try await ask(socket, "POST", "/api/v1/alerts/test")
            let names = answer.json["receivers"]?.arrayValue?.map { $0["name"]?.stringValue ?? "" }
            #expect(names == ["http://127.0.0.1:\(hook.port)/x", "http://127.0.0.1:\(hook.port)/x (2)"])
            #expect(hook.received.withLock { $0.count } == 2)
        }
        try await hook.close()
    }

    private func dead(_ run: Int64, of job: String) -> HostEvent {
        .ended(Samples.record(run, job: job, state: .discarded, outcome: .failed, reason: "no such asset"))
    }

    /// What `journalctl JOBHOST_JOB=mint` finds.
    @Test func whatIsAboutAJobNamesItInTheLog() async throws {
        let folder = try TestFolder()
        let host = try FakeHost(folder: folder.path)
        defer { host.close() }
        let clock = ManualClock(wall: sampleNow)
        var options = HostLog.Options()
        (options.format, options.file) = (.json, folder.path + "/host.log")
        let log = try HostLog(options)
        let alerts = Alerts(
            shelf: SnapshotShelf(control: host, clock: clock, reuse: 0), clock: clock,
            log: Logger(label: "test") { _ in HostLogHandler(sink: log, clock: clock) }, run: { _, _ in nil })
        var settings = AlertSettings()
        settings.gather = .zero
        await alerts.use(settings)
        host.edit { ($0.jobs, $0.refusedPlugins) = ([Samples.healthy], ["market": "it does not load"]) }
        alerts.hear([dead(9, of: "mint")])
        await alerts.look()
        log.flush()
        let lines = try Files.read(folder.path + "/host.log").split(separator: "\n").map { try JSON(parsing: String($0)) }
        let told = lines.map { line in ["alert", "subject", "job"].map { line[$0]?.stringValue } }
        #expect(Set(told) == [["plugin_refused", "market", nil], ["run_discarded", "mint", "mint"]])
    }

    /// The end of a delivery to whom was named before is nothing to whom is named now.
    @Test func whoIsTakenOutAndNamedAgainKeepsItsMessages() async throws {
        let folder = try TestFolder()
        let host = try FakeHost(folder: folder.path)
        defer { host.close() }
        let (clock, deliveries) = (ManualClock(wall: sampleNow), Deliveries())
        let alerts = deliveries.alerts(of: host, clock)
        var settings = AlertSettings()
        settings.command = ["page"]
        settings.gather = .zero
        await alerts.use(settings)
        alerts.hear([dead(9, of: "mint")])
        await alerts.look()
        try await eventually { deliveries.count == 1 }
        await alerts.use(AlertSettings())
        await alerts.use(settings)
        alerts.hear([dead(10, of: "candles")])
        await alerts.look()
        try await eventually { deliveries.count == 2 }
        deliveries.end(0, nil)
        deliveries.end(1, "busy")
        try await eventually { await alerts.shown().receivers.first?.problem == "busy" }
        #expect(await alerts.shown().receivers.first?.waiting == 1)
        clock.advance(by: .seconds(2))
        await alerts.look()
        try await eventually { deliveries.count == 3 }
        #expect(deliveries.text(2) == deliveries.text(1) && deliveries.text(2).contains("run 10 of candles"))
        deliveries.end(2, nil)
        try await eventually { await alerts.shown().receivers.first?.waiting == 0 }
    }

    /// Where two look alike, what waits for one is not told to the other.
    @Test func whatWaitsForOneThatIsTakenOutIsToldToNobodyElse() async throws {
        let hook = try await Hook()
        try await withServer({ host in host.edit { $0.jobs = [Samples.healthy] } }, clock: ManualClock(wall: sampleNow)) { _, _, server in
            let alerts = server.alerts
            func url(_ query: String) throws -> WebhookURL { try WebhookURL("http://127.0.0.1:\(hook.port)/x?\(query)") }
            var settings = AlertSettings()
            settings.gather = .zero
            settings.webhooks = [try url("key=refused"), try url("key=b")]
            await alerts.use(settings)
            alerts.hear([dead(9, of: "mint")])
            await alerts.look()
            try await eventually { await alerts.shown().receivers.map { $0.problem == nil ? $0.waiting : -$0.waiting } == [-1, 0] }
            settings.webhooks = [try url("key=b")]
            await alerts.use(settings)
            #expect(await alerts.shown().receivers.map(\.waiting) == [0])
            // Another key for the same one: what waits for it goes there.
            settings.webhooks = [try url("key=refused")]
            await alerts.use(settings)
            alerts.hear([dead(10, of: "candles")])
            await alerts.look()
            try await eventually { await alerts.shown().receivers.first?.problem != nil }
            settings.webhooks = [try url("key=c")]
            await alerts.use(settings)
            #expect(await alerts.shown().receivers.map(\.waiting) == [1])
            settings.webhooks = [try WebhookURL("http://127.0.0.1:\(hook.port)/y")]
            await alerts.use(settings)
            #expect(await alerts.shown().receivers.map(\.waiting) == [0])
        }
        try await hook.close()
    }

    /// From the host's state to the message.
    @Test func whatIsWrongIsToldOnceAndItsEndToo() async throws {
        let hook = try await Hook()
        let clock = ManualClock(wall: sampleNow)
        try await withServer({ host in host.edit { $0.jobs = [Samples.healthy] } }, clock: clock) { host, socket, server in
            var settings = AlertSettings()
            settings.webhooks = [try WebhookURL("http://127.0.0.1:\(hook.port)/")]
            await server.alerts.use(settings)
            host.edit { host in
                host.jobs[0].breaker.state = "open"
                host.jobs[0].breaker.reason = "5 failures"
            }
            server.alerts.hear([.ended(Samples.record(9, job: "mint", state: .discarded, outcome: .failed, reason: "no such asset"))])
            await server.alerts.look()
            #expect(try await ask(socket, "GET", "/api/v1/alerts").json["alerts"]?.arrayValue?.count == 1)
            clock.advance(by: .seconds(10))
            await server.alerts.look()
            try await eventually { hook.received.withLock { $0.count } == 1 }
            let first = try JSON(parsing: hook.received.withLock { $0[0].body })
            #expect(first["alerts"]?.arrayValue?.map { $0["key"]?.stringValue } == ["breaker_opened:candles", "run_discarded:mint"])
            #expect(first["alerts"]?.arrayValue?.last?["text"] == "run 9 of mint is a dead letter: no such asset")
            // A reload that changes the alerts forgets nobody who was told.
            settings.gather = .seconds(5)
            await server.alerts.use(settings)
            host.edit { $0.jobs[0].breaker.state = "closed" }
            await server.alerts.look()
            clock.advance(by: .seconds(10))
            await server.alerts.look()
            try await eventually { hook.received.withLock { $0.count } == 2 }
            let last = try JSON(parsing: hook.received.withLock { $0[1].body })
            #expect(last["alerts"]?.arrayValue?.map { $0["state"]?.stringValue } == ["resolved"])
        }
        try await hook.close()
    }

    @Test(arguments: [
        ("http://a:9093/x?y=1", "a", 9093, "/x?y=1"), ("http://127.0.0.1", "127.0.0.1", 80, "/"), ("http://[::1]:8080/", "::1", 8080, "/"),
        ("http://h?q", "h", 80, "/?q"), ("http://[::1]", "::1", 80, "/"), ("https://a", "a", 443, "/"), ("https://a:8443/x?y", "a", 8443, "/x?y"),
    ])
    func urlsAreTakenApart(_ text: String, _ host: String, _ port: Int, _ path: String) throws {
        let url = try WebhookURL(text)
        #expect(url.host == host)
        #expect(url.port == port)
        #expect(url.path == path)
        #expect(!url.shown.contains("?"))
        #expect(try WebhookURL(url.whole) == url)
    }

    @Test(arguments: ["https://", "HTTPS://a/", "ftp://a/", "http://", "http://a:0/", "http://a:99999/", "http://u:p@a/", "http://a b/", "http://a\r\nX: y/"])
    func whatIsNoWebhookIsRefused(_ text: String) {
        #expect(throws: WebhookURL.Refusal.self) { try WebhookURL(text) }
    }
}
