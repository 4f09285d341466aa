import JobCore
import JobJSON
import JobStore

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
                "responses": .object(JSONObject(refusals.map { ($0.name, $0.component) })),
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
        var responses: [(String, JSON)] = [("200", .object(["description": "done", "content": good]))]
        if route.method == .get, !isStream {
            responses.append(("304", .object(["description": "what the `ETag` in `If-None-Match` is of is still the answer"])))
        }
        responses += refusals(of: route).map { (String($0.status), .object(["$ref": .string("#/components/responses/\($0.name)")])) }
        operation.append(("responses", .object(JSONObject(responses))))
        return .object(JSONObject(operation))
    }

    /// One way in which a request is not done.
    struct Refusal: Sendable {
        var status: Int
        /// Of the component that describes it.
        var name: String
        var codes: [String]
        var text: String
        /// A field that says more, and what.
        var header: (name: String, text: String)?

        fileprivate var component: JSON {
            var members: [(String, JSON)] = [
                ("description", .string(text)),
                ("content", .object(["application/problem+json": .object(["schema": .object([
                    "allOf": .array([
                        .object(["$ref": "#/components/schemas/Problem"]),
                        .object(["properties": .object([
                            "status": .object(["const": .integer(Int64(status))]),
                            "code": .object(["enum": .array(codes.map { .string($0) })]),
                        ])]),
                    ])
                ])])])),
            ]
            if let header {
                members.append(("headers", .object([header.name: .object(["description": .string(header.text), "schema": .object(["type": "string"])])])))
            }
            return .object(JSONObject(members))
        }
    }

    static let refusals = [
        Refusal(status: 400, name: "Invalid", codes: ["invalid"], text: "the request cannot be carried out as it is"),
        Refusal(
            status: 401, name: "Unauthorized", codes: ["unauthorized"], text: "no token, or one that is not known",
            header: ("WWW-Authenticate", "Bearer")),
        Refusal(status: 403, name: "Refused", codes: ["refused"], text: "not with this token, under this host name, or from this page"),
        Refusal(status: 404, name: "NotFound", codes: ["not_found"], text: "there is no such thing"),
        Refusal(status: 409, name: "Conflict", codes: ["conflict", "needs_approval"], text: "not in the present state, or a second person has to agree first"),
        Refusal(status: 413, name: "TooLarge", codes: ["too_large"], text: "the body is too long"),
        Refusal(
            status: 429, name: "TooMany", codes: ["too_many"], text: "too many wrong tokens came from this address",
            header: ("Retry-After", "in seconds")),
        Refusal(status: 500, name: "Broken", codes: ["broken"], text: "a fault of the host's"),
        Refusal(
            status: 503, name: "Unavailable", codes: ["unavailable"], text: "the store does not answer, or the host starts or stops: try again",
            header: ("Retry-After", "in seconds, where that is known")),
    ]

    /// Those that the route may answer with.
    static func refusals(of route: APIRoutes.Route) -> [Refusal] {
        let acts = route.method == .post
        // What names something in its path or query may name nothing that there is.
        let isNamed = route.path.contains("{") || route.query.contains("job") && looksUp.contains(route.path)
        return refusals.filter { refusal in
            switch refusal.status {
            case 404: isNamed
            case 409: acts || asksTheHost.contains(route.path)
            case 413: acts
            default: true
            }
        }
    }

    /// Those whose `job` in the query has to be one.
    private static let looksUp: Set = ["/runs", "/dead", "/audit"]
    /// Those that read by a question to the host, which a refused job cannot answer.
    private static let asksTheHost: Set = ["/jobs/{job}/next", "/jobs/{job}/explain"]

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
            case "before" where path == "/ranges": .object(["type": "string", "pattern": .string(RangePlace.pattern)])
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
