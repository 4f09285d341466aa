import Hummingbird
import JobConfig
import JobCore
import JobJSON
import JobStore
import NIOCore

extension APIRoutes {
    /// A route whose body is `Body`; `reason` in it and the peer make the actor of the audit.
    private func post<Body: Decodable & Sendable>(
        _ path: String, _ summary: String, _ type: Body.Type, reason: @escaping @Sendable (Body) -> String?,
        _ command: @escaping @Sendable (APIContext, Body) async throws -> HostCommand
    ) -> Route {
        Route(method: .post, path: path, summary: summary) { request, context in
            _ = try APIQuery(request.uri.query, allowed: [])
            let body = try await decodeBody(type, request)
            let command = try await command(context, body)
            let actor = actor(request, context, cleaned(reason(body)))
            do {
                let result = try await control.perform(command, by: actor)
                await shelf.forget()
                return try await answer(result, to: command)
            } catch {
                await shelf.forget()
                throw error
            }
        }
    }

    private func post(
        _ path: String, _ summary: String, _ command: @escaping @Sendable (APIContext) async throws -> HostCommand
    ) -> Route {
        post(path, summary, API.ReasonBody.self, reason: \.reason) { context, _ in try await command(context) }
    }

    private func decodeBody<Body: Decodable>(_ type: Body.Type, _ request: Request) async throws -> Body {
        let buffer: ByteBuffer
        do {
            buffer = try await request.body.collect(upTo: Self.bodyLimit)
        } catch let error as NIOTooManyBytesError {
            throw error
        } catch {
            throw API.Problem.invalid("the body ended before it was whole: \(error)", hint: "its length is to be what Content-Length says")
        }
        let bytes = Array(buffer.readableBytesView)
        let isBlank = bytes.allSatisfy { $0 == 0x20 || $0 == 0x0A || $0 == 0x0D || $0 == 0x09 }
        return try APIJSON.decode(type, from: isBlank ? .object([:]) : JSON(parsing: bytes))
    }

    /// One line of at most 500 characters.
    private func cleaned(_ reason: String?) -> String {
        String((reason ?? "").map { $0.isNewline ? " " : $0 }.prefix(500))
    }

    private func answer(_ result: CommandResult, to command: HostCommand) async throws -> Response {
        switch (result, command) {
        case (.done, _): return try JobHost.answer(API.Done())
        case (.run(let record, let inserted), _):
            var run = API.Run(record)
            run.waitsFor = await control.waiting(for: record)
            return try JobHost.answer(API.Accepted(run: run, inserted: inserted))
        case (.report(let report), _): return try JobHost.answer(API.Report(report))
        case (.explanation(let explanation), _): return try JobHost.answer(API.Explained(explanation))
        case (.fires(let fires), _):
            return try JobHost.answer(API.Fires(job: nil, schedule: "", timezone: "UTC", coming: fires, note: ""))
        case (.answered(let ask, let run), _):
            return try JobHost.answer(API.AskAnswered(ask: API.Ask(ask, now: await shelf.snapshot().now), run: run.map(API.Run.init)))
        case (.backfill(let fires, let total), .backfill(let job, let from, let to, let dryRun)):
            return try JobHost.answer(API.Backfilled(job: job, from: from, to: to, dryRun: dryRun, total: total, fires: fires))
        case (.backfill, _): throw unexpected
        }
    }

    /// A view speaks; the host puts it on record.
    private var testAlerts: Route {
        Route(method: .post, path: "/alerts/test", summary: "send a message to everybody who is told of alerts") { request, context in
            _ = try APIQuery(request.uri.query, allowed: [])
            let body = try await decodeBody(API.ReasonBody.self, request)
            let actor = actor(request, context, cleaned(body.reason))
            _ = try await control.perform(.testAlerts, by: actor)
            return try JobHost.answer(await alerts.test(by: actor.name))
        }
    }

    private func actor(_ request: Request, _ context: APIContext, _ reason: String) -> Actor {
        // Anybody may call itself by the command line's name; who comes over the socket may as well be it.
        let isCLI = context.caller?.isOnSocket == true && request.headers[.userAgent]?.hasPrefix(APIClientName.userAgent) == true
        let via = isCLI ? "cli" : "http"
        return Actor(name: context.caller?.name ?? "unknown", via: via, reason: reason, person: context.caller?.person)
    }

    var actingOnHost: [Route] {
        [
            testAlerts,
            post("/reload", "apply the config as it is on disk now", API.ReloadBody.self, reason: \.reason) { _, body in
                .reload(allowsEmpty: body.allowEmpty ?? false)
            },
            post("/plan", "what a reload would do") { _ in .plan },
            post("/pause", "start nothing new on the whole host") { _ in .setPaused(job: nil, true) },
            post("/resume", "end the pause of the whole host") { _ in .setPaused(job: nil, false) },
            post("/plugins/{plugin}/rollback", "an earlier library serves", API.RollbackBody.self, reason: \.reason) { context, body in
                .rollBack(plugin: try pluginName(context), to: body.hash)
            },
            post("/stop", "drain and exit") { _ in .stop },
        ]
    }

    var actingOnJobs: [Route] {
        [
            post("/jobs/{job}/trigger", "run it now", API.TriggerBody.self, reason: \.reason) { context, body in
                .trigger(job: try jobName(context), payload: body.payload?.canonicalBytes)
            },
            post("/jobs/{job}/enqueue", "put a run into its queue", API.EnqueueBody.self, reason: \.reason) { context, body in
                .enqueue(try enqueueCommand(try jobName(context), body))
            },
            post("/jobs/{job}/enable", "switch it on", API.EnableBody.self, reason: \.reason) { context, body in
                .setEnabled(job: try jobName(context), body.asConfigured == true ? nil : true)
            },
            post("/jobs/{job}/disable", "switch it off") { context in .setEnabled(job: try jobName(context), false) },
            post("/jobs/{job}/pause", "start nothing new of it") { context in .setPaused(job: try jobName(context), true) },
            post("/jobs/{job}/resume", "end its pause") { context in .setPaused(job: try jobName(context), false) },
            post("/jobs/{job}/breaker", "open, close, disable or reset its breaker", API.BreakerBody.self, reason: \.reason) {
                context, body in .breaker(job: try jobName(context), try breakerAction(body))
            },
            post("/jobs/{job}/backfill", "runs of past fire times", API.BackfillBody.self, reason: \.reason) {
                context, body in
                guard body.from < body.to else {
                    throw API.Problem.invalid(
                        "'from' is not before 'to': \(body.from.rfc3339) … \(body.to.rfc3339)", hint: "'to' is not included")
                }
                return .backfill(job: try jobName(context), from: body.from, to: body.to, dryRun: body.dryRun ?? false)
            },
        ]
    }

    private func enqueueCommand(_ job: String, _ body: API.EnqueueBody) throws -> EnqueueCommand {
        if body.at != nil, body.delayMs != nil {
            throw API.Problem.invalid("'at' and 'delay_ms' together", hint: "give one of them")
        }
        if let delay = body.delayMs, delay < 0 { throw API.Problem.invalid("'delay_ms' is negative: \(delay)") }
        if body.expires != nil, body.expiresMs != nil {
            throw API.Problem.invalid("'expires' and 'expires_ms' together", hint: "give one of them")
        }
        if let expires = body.expiresMs, expires <= 0 { throw API.Problem.invalid("'expires_ms' is not positive: \(expires)") }
        if let key = body.key, key.isEmpty || key.utf8.count > 512 {
            throw API.Problem.invalid("'key' has \(key.utf8.count) bytes", hint: "1 to 512")
        }
        return EnqueueCommand(
            job: job, payload: body.payload?.canonicalBytes ?? Array("{}".utf8), key: body.key, at: body.at,
            delay: body.delayMs.map { .milliseconds($0) }, expires: body.expires,
            expiresAfter: body.expiresMs.map { .milliseconds($0) }, priority: body.priority)
    }

    private func breakerAction(_ body: API.BreakerBody) throws -> BreakerAction {
        if body.until != nil, body.action != .open {
            throw API.Problem.invalid("'until' belongs to the action \"open\"", hint: "leave it out")
        }
        return switch body.action {
        case .open: .open(until: body.until)
        case .close: .close
        case .disable: .disable
        case .reset: .reset
        }
    }

    var actingOnRuns: [Route] {
        [
            post("/runs/{run}/cancel", "end it, running or waiting") { context in .cancel(run: try runID(context)) },
            post("/runs/{run}/retry", "a new run with its payload and key") { context in .retry(run: try runID(context)) },
            post("/dead/{run}/retry", "a new run of a dead letter") { context in
                .retry(run: try await deadLetter(try runID(context)))
            },
            post("/dead/{run}/discard", "take it from the dead letters") { context in
                .discardDead(run: try await deadLetter(try runID(context)))
            },
        ]
    }

    var actingOnHosts: [Route] {
        [
            post("/hosts/{host}/drain", "take it out: it starts nothing new") { context in .drain(host: try hostName(context), true) },
            post("/hosts/{host}/undrain", "let it serve again") { context in .drain(host: try hostName(context), false) },
        ]
    }

    private func hostName(_ context: APIContext) throws -> String {
        guard let name = context.parameters.get("host").flatMap({ percentDecoded($0) }), !name.isEmpty else {
            throw API.Problem.invalid("the host's name is not valid in the path", hint: "GET /api/v1/hosts lists them")
        }
        return name
    }

    var actingOnAsks: [Route] {
        [
            post("/asks/{ask}/approve", "agree, as a second person; it is done at once") { context in .answer(ask: try askID(context), .approve) },
            post("/asks/{ask}/refuse", "refuse it, or withdraw your own") { context in .answer(ask: try askID(context), .refuse) },
        ]
    }

    private func askID(_ context: APIContext) throws -> Int64 {
        let text = context.parameters.get("ask") ?? ""
        guard let id = Int64(text), id > 0 else {
            throw API.Problem.invalid("'\(text.prefix(60))' is not the number of a request", hint: "GET /api/v1/asks lists them")
        }
        return id
    }

    private func deadLetter(_ id: RunID) async throws -> RunID {
        let run = try await record(id)
        guard run.state == .discarded else {
            throw CommandError(
                .conflict, "run \(id) of \(run.job) is no dead letter: it is \(run.state.rawValue)",
                hint: "jobhost dead list shows them")
        }
        return id
    }
}
