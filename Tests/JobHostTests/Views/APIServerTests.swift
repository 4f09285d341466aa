import Glibc
import JobConfig
import JobCore
import JobJSON
import JobStore
import Testing

@testable import JobHost

struct APIServerTests {
    struct Case: CustomTestStringConvertible, Sendable {
        var method = "GET"
        var path: String
        var body = ""
        var status: Int
        /// Of a problem.
        var code: String?
        /// In the answer's text.
        var contains: [String] = []
        /// Not in it.
        var without: [String] = []
        var testDescription: String { "\(method) \(path) \(body)" }
    }

    static let cases: [Case] = [
        Case(path: "/api/v1", status: 200, contains: ["/api/v1/jobs/{job}/trigger", "\"method\":\"POST\""]),
        Case(path: "/api/v1/status", status: 200, contains: ["\"name\":\"margin-check\"", "\"uptime_ms\":11520000", "\"store_url\":\"postgresql://jobhost:***@db/jobs\""]),
        Case(path: "/api/v1/host", status: 200, contains: ["\"phase\":\"running\"", "\"started_at\":\"2026-05-04T06:48:00Z\""]),
        Case(path: "/api/v1/overview", status: 200, contains: ["\"failing_since\":\"2026-05-04T09:59:29Z\"", "\"recent\":[]", "\"resident_bytes\":8000000"]),
        Case(path: "/api/v1/overview?job=candles,mint&recent=2", status: 200, contains: ["\"jobs\":[{", "\"outcome\":\"crashed\"", "\"duration_us\":1200000"]),
        Case(path: "/api/v1/overview?first=0", status: 400, code: "invalid", contains: ["from 1 to 10000"]),
        Case(path: "/api/v1/overview?recent=21", status: 400, code: "invalid", contains: ["from 0 to 20"]),
        Case(path: "/api/v1/timeline", status: 200, contains: ["\"step_ms\":300000", "\"busy_us\":1200000", "\"reason\":\"breaker\""]),
        Case(path: "/api/v1/timeline?from=2026-05-04T00:00:00Z&to=2026-05-03T00:00:00Z", status: 400, code: "invalid", contains: ["not before"]),
        Case(path: "/api/v1/timeline?step_ms=1000", status: 400, code: "invalid", contains: ["more than 2000 steps"]),
        Case(path: "/api/v1/jobs", status: 200, contains: ["\"jobs\":["]),
        Case(path: "/api/v1/jobs/candles", status: 200, contains: ["\"rate\":0.10", "\"next_fire\":\"2026-05-04T10:00:12Z\""]),
        Case(path: "/api/v1/jobs/candels", status: 404, code: "not_found", contains: ["did you mean 'candles'?"]),
        Case(path: "/api/v1/jobs/%2e%2e%2fetc", status: 404, code: "not_found", contains: ["'../etc'"]),
        Case(path: "/api/v1/jobs/%zz", status: 400, code: "invalid"),
        Case(path: "/api/v1/jobs/candles/next?count=2&from=2026-05-04T00:00:00Z", status: 200, contains: ["2026-05-04T00:01:00Z", "2026-05-04T00:02:00Z"]),
        Case(path: "/api/v1/jobs/candles/next?count=0", status: 400, code: "invalid", contains: ["from 1 to 1000"]),
        Case(path: "/api/v1/jobs/candles/next?from=yesterday", status: 400, code: "invalid", contains: ["RFC 3339"]),
        Case(path: "/api/v1/jobs/candles/explain?at=2026-05-04T10:00:00Z", status: 200, contains: ["\"verdict\":\"skipped\""]),
        Case(path: "/api/v1/jobs/candles/explain", status: 400, code: "invalid", contains: ["'at' is missing"]),
        Case(path: "/api/v1/timer", status: 200, contains: ["\"in_ms\":4000", "\"now\":\"2026-05-04T10:00:00Z\""]),
        Case(path: "/api/v1/timer?entry=roll", status: 200, contains: ["\"entry\":\"roll\"", "\"in_ms\":12000", "\"what\":\"fire\""], without: ["margin-check"]),
        Case(path: "/api/v1/timer?entry=roll,check&job=margin-check", status: 200, contains: ["\"job\":\"margin-check\""], without: ["candles"]),
        Case(path: "/api/v1/timer?label=nobody", status: 200, contains: ["\"fires\":[]"]),
        Case(path: "/api/v1/breakers", status: 200, contains: ["\"job\":\"deposits-credit\""]),
        Case(path: "/api/v1/runs", status: 200, contains: ["\"next_before\":null", "0.1000000000000000055511151231257827"]),
        Case(path: "/api/v1/runs?limit=2", status: 200, contains: ["\"next_before\":40"]),
        Case(path: "/api/v1/runs?before=40&job=deposits-credit", status: 200, contains: ["\"id\":39"]),
        Case(path: "/api/v1/runs?state=discarded,available", status: 200, contains: ["\"id\":39", "\"id\":38"]),
        Case(path: "/api/v1/runs?state=succeded", status: 400, code: "invalid", contains: ["did you mean 'succeeded'?"]),
        Case(path: "/api/v1/runs?outcome=timeout", status: 400, code: "invalid"),
        Case(path: "/api/v1/runs?lmit=2", status: 400, code: "invalid", contains: ["did you mean 'limit'?"]),
        Case(path: "/api/v1/runs?limit=2&limit=3", status: 400, code: "invalid", contains: ["twice"]),
        Case(path: "/api/v1/runs?limit=99999999999999999999", status: 400, code: "invalid"),
        Case(path: "/api/v1/runs?job=nope", status: 404, code: "not_found"),
        Case(path: "/api/v1/runs/39", status: 200, contains: ["\"outcome\":\"timed_out\"", "\"duration_us\":30000000", "\"count\":55"]),
        Case(path: "/api/v1/runs/77", status: 404, code: "not_found", contains: ["there is no run 77"]),
        Case(path: "/api/v1/runs/-1", status: 400, code: "invalid"),
        Case(path: "/api/v1/runs/nine", status: 400, code: "invalid", contains: ["'nine' is not the number of a run"]),
        Case(path: "/api/v1/runs/41/log", status: 200, contains: ["\"ended\":true", "\"lines\":[]"]),
        Case(path: "/api/v1/runs/41/log?from=9223372036854775807", status: 200, contains: ["\"next\":9223372036854775807"]),
        Case(path: "/api/v1/runs/41/log?from=-1", status: 400, code: "invalid"),
        Case(path: "/api/v1/ranges?job=deposits-credit", status: 200, contains: ["\"reason\":\"breaker\"", "\"state\":\"skipped\""]),
        Case(path: "/api/v1/ranges?limit=1", status: 200, contains: ["\"next_before\":null"]),
        Case(path: "/api/v1/ranges?before=1777888740000000-1", status: 200, contains: ["\"ranges\":[]"]),
        Case(path: "/api/v1/ranges?before=-1-1", status: 200),
        Case(path: "/api/v1/ranges?before=12", status: 400, code: "invalid", contains: ["what next_before"]),
        Case(path: "/api/v1/ranges?before=1--1", status: 400, code: "invalid"),
        Case(path: "/api/v1/ranges?before=%2B1-1", status: 400, code: "invalid"),
        Case(path: "/api/v1/ranges?before=9999999999999999999-1", status: 400, code: "invalid"),
        Case(path: "/api/v1/asks?before=1", status: 200, contains: ["\"asks\":[]", "\"next_before\":null"]),
        Case(path: "/api/v1/asks?before=0", status: 400, code: "invalid"),
        Case(path: "/api/v1/asks", status: 200, contains: ["\"asks\":["]),
        Case(path: "/api/v1/reloads?before=1", status: 200, contains: ["\"reloads\":[]", "\"next_before\":null"]),
        Case(path: "/api/v1/dead", status: 200, contains: ["\"id\":39"]),
        Case(path: "/api/v1/plugins", status: 200, contains: ["\"entries\":[\"roll\"]"]),
        Case(path: "/api/v1/plugins/market/versions", status: 200, contains: ["\"plugin\":\"market\"", "\"versions\":["]),
        Case(path: "/api/v1/plugins/markt/versions", status: 404, code: "not_found", contains: ["did you mean 'market'?"]),
        Case(path: "/api/v1/hosts", status: 200, contains: ["\"name\":\"prod-1\"", "\"running\":1"]),
        Case(path: "/api/v1/workers", status: 200, contains: ["\"resident_bytes\":8000000"]),
        Case(path: "/api/v1/audit?job=mint", status: 200, contains: ["\"action\":\"disable\"", "\"via\":\"cli\""]),
        Case(path: "/api/v1/reloads", status: 200, contains: ["\"change\":\"refused\"", "\"clean\":false"]),
        Case(path: "/api/v1/counters", status: 200, contains: ["\"succeeded\":41", "\"waiting\":3", "\"oldest_waiting\":\"2026-05-04T09:58:20Z\""]),
        Case(path: "/api/v1/nothing", status: 404, code: "not_found", contains: ["GET /api/v1 lists"]),
        Case(path: "/healthz", status: 200, contains: ["\"grade\":\"healthy\""]),
        Case(path: "/api/v1/alerts", status: 200, contains: ["\"receivers\":[]"]),
        Case(method: "POST", path: "/api/v1/alerts/test", body: #"{"reason":"try"}"#, status: 200, contains: ["\"receivers\":[]"]),
        Case(path: "/api/v1/caller", status: 200, contains: ["\"may_act\":true"]),
        Case(path: "/page", status: 404, code: "not_found"),
        Case(method: "DELETE", path: "/api/v1/jobs/candles", status: 405, code: "method_not_allowed", contains: ["allowed: GET, HEAD"]),
        Case(method: "GET", path: "/api/v1/reload", status: 405, code: "method_not_allowed", contains: ["allowed: POST"]),
        Case(method: "TRACE", path: "/api/v1/jobs/candles", status: 405, code: "method_not_allowed", contains: ["allowed: GET"]),
        Case(method: "QUERY", path: "/api/v1/runs/39/retry", status: 405, code: "method_not_allowed", contains: ["allowed: POST"]),
        Case(method: "POST", path: "/api/v1/reload", status: 200, contains: ["\"duration_ms\":120"]),
        Case(method: "POST", path: "/api/v1/plan", body: "{}", status: 200, contains: ["\"generation\":5"]),
        Case(method: "POST", path: "/api/v1/pause", body: #"{"reason":"maintenance"}"#, status: 200, contains: ["\"done\":true"]),
        Case(method: "POST", path: "/api/v1/resume", status: 200, contains: ["\"done\":true"]),
        Case(method: "POST", path: "/api/v1/stop", body: #"{"reason":"new kernel"}"#, status: 200, contains: ["\"done\":true"]),
        Case(method: "POST", path: "/api/v1/hosts/prod-1/drain", status: 200, contains: ["\"done\":true"]),
        Case(method: "POST", path: "/api/v1/hosts/prod-1/undrain", status: 200, contains: ["\"done\":true"]),
        Case(method: "POST", path: "/api/v1/jobs/candles/enable", body: #"{"as_configured":true}"#, status: 200, contains: ["\"done\":true"]),
        Case(method: "POST", path: "/api/v1/jobs/candles/disable", status: 200, contains: ["\"done\":true"]),
        Case(method: "POST", path: "/api/v1/jobs/candles/pause", status: 200, contains: ["\"done\":true"]),
        Case(method: "POST", path: "/api/v1/jobs/candles/resume", status: 200, contains: ["\"done\":true"]),
        Case(method: "POST", path: "/api/v1/jobs/candles/trigger", body: #"{"payload":{"n":1.10}}"#, status: 200, contains: ["\"id\":43", "\"inserted\":true"]),
        Case(method: "POST", path: "/api/v1/jobs/candles/trigger", body: #"{"paylod":{}}"#, status: 400, code: "invalid", contains: [#"unknown field \"paylod\""#, #"did you mean \"payload\"?"#]),
        Case(method: "POST", path: "/api/v1/jobs/candles/trigger", body: "{", status: 400, code: "invalid", contains: ["not valid JSON at byte 2"]),
        Case(method: "POST", path: "/api/v1/jobs/candles/trigger", body: "[1]", status: 400, code: "invalid", contains: ["expected an object"]),
        Case(method: "POST", path: "/api/v1/jobs/mint/enqueue", body: #"{"payload":{},"key":"taken","delay_ms":100}"#, status: 200, contains: ["\"inserted\":false"]),
        Case(method: "POST", path: "/api/v1/jobs/mint/enqueue", body: #"{"delay_ms":"1s"}"#, status: 400, code: "invalid", contains: ["delay_ms: expected a whole number"]),
        Case(method: "POST", path: "/api/v1/jobs/mint/enqueue", body: #"{"delay_ms":-1}"#, status: 400, code: "invalid"),
        Case(method: "POST", path: "/api/v1/jobs/mint/enqueue", body: #"{"at":"2027-01-01","delay_ms":1}"#, status: 400, code: "invalid", contains: ["at: expected an instant"]),
        Case(method: "POST", path: "/api/v1/jobs/mint/enqueue", body: #"{"at":"2027-01-01T00:00:00Z","delay_ms":1}"#, status: 400, code: "invalid", contains: ["together"]),
        Case(method: "POST", path: "/api/v1/jobs/mint/enqueue", body: #"{"priority":1e3}"#, status: 400, code: "invalid"),
        Case(method: "POST", path: "/api/v1/jobs/mint/enqueue", body: #"{"key":""}"#, status: 400, code: "invalid", contains: ["1 to 512"]),
        Case(method: "POST", path: "/api/v1/jobs/candles/breaker", body: #"{"action":"open","until":"2027-01-01T00:00:00Z"}"#, status: 200),
        Case(method: "POST", path: "/api/v1/jobs/candles/breaker", body: #"{"action":"opne"}"#, status: 400, code: "invalid", contains: [#"\"open\", \"close\", \"disable\", \"reset\""#]),
        Case(method: "POST", path: "/api/v1/jobs/candles/breaker", body: "{}", status: 400, code: "invalid", contains: [#"the field \"action\" is missing"#]),
        Case(method: "POST", path: "/api/v1/jobs/candles/breaker", body: #"{"action":"close","until":"2027-01-01T00:00:00Z"}"#, status: 400, code: "invalid"),
        Case(method: "POST", path: "/api/v1/jobs/candles/backfill", body: #"{"from":"2026-05-02T00:00:00Z","to":"2026-05-01T00:00:00Z"}"#, status: 400, code: "invalid", contains: ["'from' is not before 'to'"]),
        Case(method: "POST", path: "/api/v1/jobs/candles/backfill", body: #"{"from":"2026-05-01T00:00:00Z","to":"2026-05-02T00:00:00Z","dry_run":true}"#, status: 200, contains: ["\"total\":14", "\"dry_run\":true"]),
        Case(method: "POST", path: "/api/v1/runs/41/retry", status: 200, contains: ["\"id\":43"]),
        Case(method: "POST", path: "/api/v1/runs/41/cancel", body: "  \n", status: 200, contains: ["\"done\":true"]),
        Case(method: "POST", path: "/api/v1/dead/39/discard", status: 200),
        Case(method: "POST", path: "/api/v1/dead/41/discard", status: 409, code: "conflict", contains: ["run 41 of candles is no dead letter: it is succeeded"]),
        Case(method: "POST", path: "/api/v1/dead/39/retry", status: 200, contains: ["\"id\":43", "\"inserted\":true"]),
        Case(method: "POST", path: "/api/v1/plugins/market/rollback", body: #"{"reason":"wrong candles"}"#, status: 200, contains: ["\"generation\":5"]),
        Case(method: "POST", path: "/api/v1/asks/6/approve", status: 200, contains: ["\"state\":\"approved\"", "\"decided_by\":\"bob\"", "\"id\":45"]),
        Case(method: "POST", path: "/api/v1/asks/6/refuse", status: 200, contains: ["\"state\":\"refused\"", "\"run\":null"]),
        Case(method: "POST", path: "/api/v1/asks/six/approve", status: 400, code: "invalid", contains: ["'six' is not the number of a request"]),
        Case(method: "POST", path: "/api/v1/dead/77/retry", status: 404, code: "not_found"),
    ]

    @Test func everyRequestHasItsAnswer() async throws {
        try await withServer { _, socket, _ in
            for request in Self.cases {
                let (status, json) = try await ask(socket, request.method, request.path, request.body)
                #expect(status == request.status, "\(request.testDescription): \(json.canonicalText)")
                for text in request.contains { #expect(json.canonicalText.contains(text), "\(request.testDescription): \(json.canonicalText)") }
                for text in request.without { #expect(!json.canonicalText.contains(text), "\(request.testDescription): \(json.canonicalText)") }
                guard let code = request.code else { continue }
                #expect(json["code"] == .string(code), "\(request.testDescription): \(json.canonicalText)")
                #expect(json["status"] == .integer(Int64(request.status)))
                #expect(json["type"] == .string("about:blank"))
                #expect(json["title"]?.stringValue?.isEmpty == false)
            }
        }
    }

    @Test("Every list that is longer than a page is read page by page, each entry once, and says where it ends")
    func lists() async throws {
        let now = sampleNow
        try await withServer({ host in
            host.fakeStore.edit { contents in
                contents.ranges = (1...5 as ClosedRange<Int64>).map { LedgerRange(job: "mint", reason: .paused, first: now - .seconds($0 * 60), last: now - .seconds($0 * 60), count: $0) }
                contents.reloads = (1...5 as ClosedRange<Int64>).map { number in
                    var reload = ReloadRow(generation: 6 - number, at: now - .seconds(number), accepted: true, report: "{}")
                    reload.id = 60 - number
                    return reload
                }
                contents.asks = (1...5 as ClosedRange<Int64>).map { number in
                    var ask = Ask(job: "mint", action: "trigger", command: "{}", by: "alice", reason: "", at: now - .seconds(number))
                    ask.id = 70 - number
                    return ask
                }
                contents.audit = (1...5 as ClosedRange<Int64>).map { number in
                    var entry = AuditRow(at: now, actor: .system, action: "pause", job: "mint", detail: "\(number)")
                    entry.id = 80 - number
                    return entry
                }
                contents.runs = (1...5 as ClosedRange<Int64>).map { Samples.record(90 - $0, job: "mint", state: .discarded) }
            }
        }) { _, socket, _ in
            for (path, list) in [("ranges", "ranges"), ("reloads", "reloads"), ("asks", "asks"), ("audit", "audit"), ("runs", "runs"), ("dead", "runs")] {
                let whole = try await ask(socket, "GET", "/api/v1/\(path)?limit=6").json
                #expect(whole[list]?.arrayValue?.count == 5 && whole["next_before"] == .null, "\(path): \(whole)")
                var (seen, before, pages) = ([JSON](), "", 0)
                while pages < 4 {
                    let page = try await ask(socket, "GET", "/api/v1/\(path)?limit=2\(before)").json
                    seen += try #require(page[list]?.arrayValue)
                    pages += 1
                    guard let next = page["next_before"], next != .null else { break }
                    before = "&before=" + (next.stringValue ?? next.canonicalText)
                }
                #expect(seen == whole[list]?.arrayValue && pages == 3, "\(path): \(seen)")
            }
            let shown = await speak(["ask", "list", "-n", "2", "--before", "68", "--no-color", "--socket", socket]).out
            #expect(shown.contains("request 67:") && shown.contains("request 66:") && shown.contains("older ones: --before 66"), "\(shown)")
        }
    }

    @Test func commandsArriveWithTheirActorAndExactPayload() async throws {
        try await withServer { host, socket, _ in
            _ = try await ask(
                socket, "POST", "/api/v1/jobs/candles/trigger",
                #"{"payload": {"id": 18446744073709551616, "amount": 0.1000000000000000055511151231257827}, "reason": "try\nit"}"#)
            let (command, actor) = try #require(host.commands.first)
            guard case .trigger("candles", let payload?) = command else {
                Issue.record("\(command)")
                return
            }
            #expect(String(decoding: payload, as: UTF8.self) == #"{"amount":0.1000000000000000055511151231257827,"id":18446744073709551616}"#)
            #expect(actor.via == "cli")
            #expect(actor.reason == "try it")
            // The kernel's word for who is at the other end: ourselves.
            #expect(actor.name == userName(geteuid()))
        }
    }

    @Test func everyActingPathMeansItsCommand() async throws {
        let wanted: [(String, String, String)] = [
            ("/reload", "", "reload(allowsEmpty: false)"), ("/reload", #"{"allow_empty":true}"#, "reload(allowsEmpty: true)"),
            ("/plan", "", "plan"), ("/stop", "", "stop"),
            ("/pause", "", "setPaused(job: nil, true)"), ("/resume", "", "setPaused(job: nil, false)"),
            ("/jobs/mint/pause", "", #"setPaused(job: Optional("mint"), true)"#),
            ("/jobs/mint/resume", "", #"setPaused(job: Optional("mint"), false)"#),
            ("/jobs/mint/enable", "", #"setEnabled(job: "mint", Optional(true))"#),
            ("/jobs/mint/enable", #"{"as_configured":true}"#, #"setEnabled(job: "mint", nil)"#),
            ("/jobs/mint/disable", "", #"setEnabled(job: "mint", Optional(false))"#),
        ]
        try await withServer { host, socket, _ in
            for (path, body, _) in wanted {
                let answer = try await ask(socket, "POST", "/api/v1" + path, body)
                #expect(answer.status == 200, "\(path)")
            }
            for ((path, _, meaning), done) in zip(wanted, host.commands) { #expect("\(done.command)" == meaning, "\(path)") }
        }
    }

    @Test func refusalsKeepTheirKind() async throws {
        let kinds: [(CommandError.Kind, Int, String)] = [
            (.notFound, 404, "not_found"), (.invalid, 400, "invalid"), (.conflict, 409, "conflict"), (.unavailable, 503, "unavailable"),
        ]
        try await withServer { host, socket, _ in
            for (kind, status, code) in kinds {
                host.fail(with: CommandError(kind, "no", hint: "so it is"))
                let answer = try await ask(socket, "POST", "/api/v1/reload")
                #expect(answer.status == status)
                #expect(answer.json["code"] == .string(code))
                #expect(answer.json["detail"] == "no")
                #expect(answer.json["hint"] == "so it is")
            }
            host.fakeStore.edit { $0.fault = StoreError(.unavailable, "database is locked") }
            let answer = try await ask(socket, "GET", "/api/v1/runs")
            #expect(answer.status == 503)
            #expect(answer.json["detail"] == "the store does not answer: database is locked")
        }
    }

    @Test func aBodyMayHaveOneMebibyte() async throws {
        try await withServer { _, socket, _ in
            let frame = #"{"payload":""}"#
            let fits = #"{"payload":"\#(String(repeating: "x", count: APIRoutes.bodyLimit - frame.utf8.count))"}"#
            #expect(try await ask(socket, "POST", "/api/v1/jobs/candles/trigger", fits).status == 200)
            let long = try await ask(socket, "POST", "/api/v1/jobs/candles/trigger", fits + " ")
            #expect(long.status == 413)
            #expect(long.json["code"] == "too_large")
            #expect(try await ask(socket, "GET", "/api/v1/host").status == 200)
        }
    }

    @Test("/healthz is 503 with its reasons where something is critical, and 200 where it is a warning or nothing")
    func healthSaysWhy() async throws {
        try await withServer { host, socket, _ in
            func grade(_ status: Int, _ grade: String, _ reasons: [String]) async throws {
                let health = try await ask(socket, "GET", "/healthz")
                #expect(health.status == status && health.json["grade"]?.stringValue == grade, "\(health)")
                for reason in reasons { #expect(health.json.canonicalText.contains(reason), "\(health.json)") }
            }
            host.edit { $0.jobs[0].health.reasons = [.init(grade: .warning, rule: "duration", text: "it took longer than 5s")] }
            try await grade(200, "warning", ["it took longer than 5s", "\"rule\":\"duration\"", "\"jobs\":[{"])
            host.edit { $0.jobs[0].health.reasons.append(.init(grade: .critical, rule: "success_age", text: "no success for 2h")) }
            try await grade(503, "critical", ["no success for 2h", "it took longer than 5s", "\"problems\":[]"])
            host.edit { $0.jobs[0].health.reasons = [] }
            try await grade(200, "healthy", ["\"jobs\":[]"])
            host.edit { $0.hostProblems = [HostProblem(kind: .store, subject: "", text: "the store does not answer")] }
            try await grade(503, "critical", ["the store does not answer"])
            host.edit { $0.hostProblems = [HostProblem(kind: .rollback, subject: "market", text: "rolled back", grade: .warning, since: sampleNow)] }
            try await grade(200, "warning", ["\"kind\":\"rollback\"", "\"since\":\"2026-05-04T10:00:00Z\"", "\"problems\":[]"])
        }
    }

    @Test func readyOnlyWhileServing() async throws {
        try await withServer { host, socket, _ in
            let client = APIClient.patient(socket)
            let alive = try await client.exchange(.GET, "/livez", body: [])
            #expect(alive.status == 200)
            for (phase, status) in [("starting", 503), ("running", 200), ("reloading", 200), ("draining", 503)] {
                host.edit { $0.phase = phase }
                let ready = try await client.exchange(.GET, "/readyz", body: [])
                #expect(ready.status == status && String(decoding: ready.body, as: UTF8.self) == (status == 200 ? "ok" : phase) + "\n", "\(phase): \(ready)")
            }
        }
    }

    @Test func logsComeInPagesOfWholeLines() async throws {
        try await withServer { host, socket, _ in
            for number in 1...3 {
                host.runLogs.append(
                    run: RunID(41), job: "candles",
                    LogLine(at: sampleNow, level: .info, stream: .log, text: "line \(number)", fields: Bytes(#"{"n":0.10}"#.utf8)))
            }
            host.runLogs.close(run: RunID(41))
            host.close()
            var from: Int64 = 0
            var texts: [String] = []
            var pages = 0
            while true {
                let page = try await ask(socket, "GET", "/api/v1/runs/41/log?from=\(from)&limit=120").json
                let lines = try #require(page["lines"]?.arrayValue)
                texts += lines.compactMap { $0["text"]?.stringValue }
                for line in lines { #expect(line["fields"] == .object(["n": .number("0.10")])) }
                for line in lines { #expect(line["t"] == "2026-05-04T10:00:00Z") }
                from = try #require(page["next"]?.int64Value)
                pages += 1
                if page["ended"] == .bool(true) { break }
                try #require(pages < 10)
            }
            #expect(texts == ["line 1", "line 2", "line 3"])
            #expect(pages > 1)
        }
    }
}
