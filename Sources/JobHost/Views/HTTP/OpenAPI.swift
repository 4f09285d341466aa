import JobCore
import JobJSON

/// `GET /api/v1/openapi.json`: the API for programs, made from its routes and types.
enum OpenAPI {
    /// What each route takes and answers; a test compares it with the routes.
    static let bodies: [String: any (Decodable & Sendable).Type] = [
        "POST /reload": API.ReloadBody.self,
        "POST /jobs/{job}/trigger": API.TriggerBody.self, "POST /jobs/{job}/enqueue": API.EnqueueBody.self,
        "POST /jobs/{job}/enable": API.EnableBody.self, "POST /jobs/{job}/breaker": API.BreakerBody.self,
        "POST /jobs/{job}/backfill": API.BackfillBody.self, "POST /plugins/{plugin}/rollback": API.RollbackBody.self,
    ]
    static let answers: [String: any (Decodable & Sendable).Type] = [
        "GET /status": API.Status.self, "GET /overview": API.Overview.self, "GET /host": API.Host.self, "GET /caller": API.Caller.self,
        "GET /hosts": API.Hosts.self, "GET /alerts": API.Alerts.self, "GET /asks": API.Asks.self, "POST /asks/{ask}/approve": API.AskAnswered.self,
        "POST /asks/{ask}/refuse": API.AskAnswered.self, "GET /plugins": API.Plugins.self, "GET /workers": API.Workers.self, "GET /audit": API.Audit.self,
        "GET /reloads": API.Reloads.self, "GET /counters": API.Counters.self, "GET /timer": API.Timetable.self, "GET /breakers": API.Breakers.self, "GET /jobs": API.Jobs.self, "GET /jobs/{job}": API.Job.self,
        "GET /jobs/{job}/next": API.Fires.self, "GET /jobs/{job}/explain": API.Explained.self, "GET /runs": API.Runs.self,
        "GET /dead": API.Runs.self, "GET /runs/{run}": API.RunDetail.self, "GET /runs/{run}/log": API.LogPage.self,
        "GET /plugins/{plugin}/versions": API.PluginVersions.self, "POST /plugins/{plugin}/rollback": API.Report.self,
        "GET /timeline": API.Timeline.self, "GET /ranges": API.Ranges.self, "POST /reload": API.Report.self, "POST /plan": API.Report.self,
        "POST /alerts/test": API.AlertTest.self, "POST /jobs/{job}/trigger": API.Accepted.self, "POST /jobs/{job}/enqueue": API.Accepted.self,
        "POST /jobs/{job}/backfill": API.Backfilled.self, "POST /runs/{run}/retry": API.Accepted.self,
        "POST /dead/{run}/retry": API.Accepted.self,
    ]

    static func document(_ routes: [APIRoutes.Route], version: String) -> JSON {
        var paths: [(String, JSON)] = []
        var names: [String: any Decodable.Type] = ["Problem": API.Problem.self, "Done": API.Done.self]
        for (path, routes) in Dictionary(grouping: routes, by: \.path).sorted(by: { $0.key < $1.key }) {
            let operations = routes.sorted { $0.method.rawValue < $1.method.rawValue }.map { route in
                (route.method.rawValue.lowercased(), operation(route, &names))
            }
            paths.append((APIRoutes.prefix + path, .object(JSONObject(operations))))
        }
        let schemas = names.sorted { $0.key < $1.key }.map { ($0.key, SchemaProbe.schema(of: $0.value, isBody: $0.key.hasSuffix("Body"))) }
        return .object([
            "openapi": "3.1.0",
            "info": .object([
                "title": "jobhost", "version": .string(version),
                "description": "Jobs of plugins: what they do, and what operators do with them. Errors are problem details (RFC 9457). HEAD is answered wherever GET is, without the body.",
            ]),
            "paths": .object(JSONObject(paths)),
            "components": .object([
                "schemas": .object(JSONObject(schemas)),
                "securitySchemes": .object(["token": .object(["type": "http", "scheme": "bearer"])]),
            ]),
            // Reading may need none; over the Unix socket nothing does.
            "security": .array([.object(["token": .array([])]), .object([:])]),
        ])
    }

    private static func operation(_ route: APIRoutes.Route, _ names: inout [String: any Decodable.Type]) -> JSON {
        let key = "\(route.method.rawValue) \(route.path)"
        let isStream = route.path == "/events"
        var operation: [(String, JSON)] = [
            ("summary", .string(route.summary)), ("operationId", .string(operationID(route))),
            ("parameters", .array(pathParameters(route.path) + route.query.map { queryParameter($0, of: route.path) })),
        ]
        if route.method == .post {
            let body = bodies[key] ?? API.ReasonBody.self
            operation.append(("requestBody", .object(["content": content("application/json", body, &names)])))
        }
        let answer = answers[key] ?? API.Done.self
        let good: JSON = isStream
            ? .object(["text/event-stream": .object(["schema": .object(["type": "string"])])])
            : content("application/json", answer, &names)
        operation.append(
            ("responses", .object([
                "200": .object(["description": "done", "content": good]),
                "default": .object(["description": "not done: why, and what helps", "content": content("application/problem+json", API.Problem.self, &names)]),
            ])))
        return .object(JSONObject(operation))
    }

    /// "get_jobs_job_next"
    private static func operationID(_ route: APIRoutes.Route) -> String {
        let words = route.path.split(whereSeparator: { "/{}".contains($0) })
        return ([route.method.rawValue.lowercased()] + words.map(String.init)).joined(separator: "_")
    }

    private static func content(_ media: String, _ type: any Decodable.Type, _ names: inout [String: any Decodable.Type]) -> JSON {
        let name = String(describing: type)
        names[name] = type
        return .object([media: .object(["schema": .object(["$ref": .string("#/components/schemas/\(name)")])])])
    }

    private static func pathParameters(_ path: String) -> [JSON] {
        path.split(separator: "/").filter { $0.hasPrefix("{") }.map { part in
            let name = String(part.dropFirst().dropLast())
            let schema: JSON = name == "run" || name == "ask"
                ? .object(["type": "integer", "minimum": .integer(1)]) : .object(["type": "string", "minLength": .integer(1)])
            return .object(["name": .string(name), "in": "path", "required": .bool(true), "schema": schema])
        }
    }

    private static func queryParameter(_ name: String, of path: String) -> JSON {
        func words<Word: RawRepresentable & CaseIterable>(_ type: Word.Type) -> JSON where Word.RawValue == String {
            .object(["type": "array", "items": .object(["type": "string", "enum": .array(Word.allCases.map { .string($0.rawValue) })])])
        }
        var schema: JSON =
            switch name {
            case "limit" where path.hasSuffix("/log"): .object(["type": "integer", "minimum": .integer(1), "maximum": .integer(Int64(LogPages.limit))])
            case "limit", "count": .object(["type": "integer", "minimum": .integer(1), "maximum": .integer(1_000)])
            case "first": .object(["type": "integer", "minimum": .integer(1), "maximum": .integer(10_000)])
            case "recent": .object(["type": "integer", "minimum": .integer(0), "maximum": .integer(20)])
            case "step_ms": .object(["type": "integer", "minimum": .integer(1), "maximum": .integer(86_400_000)])
            case "before": .object(["type": "integer", "minimum": .integer(1)])
            case "from" where path.hasSuffix("/log"): .object(["type": "integer", "minimum": .integer(0)])
            case "from", "to", "at": .object(["type": "string", "format": "date-time"])
            case "state": words(RunState.self)
            case "outcome": words(Outcome.self)
            case "kind": words(API.EventKind.self)
            default: .object(["type": "string"])
            }
        var parameter: [(String, JSON)] = [("name", .string(name)), ("in", "query")]
        if name == "at" { parameter.append(("required", .bool(true))) }
        if case .object(let members) = schema, members["type"] == "array" {
            parameter += [("style", "form"), ("explode", .bool(false))]
            schema = .object(members)
        }
        parameter.append(("schema", schema))
        return .object(JSONObject(parameter))
    }
}
