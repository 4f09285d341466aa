import JobConfig
import JobCore
import JobJSON
import JobStore
import Testing

@testable import JobHost

/// The description of the API against what the API does.
struct OpenAPITests {
    private func document() async throws -> JSON {
        try await withServer { _, socket, _ in try await ask(socket, "GET", "/api/v1/openapi.json").json }
    }

    @Test func everyRouteIsDescribedAndNothingElse() async throws {
        let document = try await document()
        #expect(document["openapi"] == "3.1.0")
        let routes = try await withServer { _, socket, _ in try await Self.routes(socket) }
        for route in routes { #expect(Self.operation(route, in: document)?["responses"]?["200"] != nil, "\(route)") }
        for key in Set(OpenAPI.bodies.keys).union(OpenAPI.answers.keys) { #expect(routes.contains(key), "\(key) is no route") }
        // Each GET has an answer of its own.
        for route in routes where route.hasPrefix("GET ") && route != Self.stream { #expect(OpenAPI.answers[route] != nil, "\(route)") }
    }

    @Test("Each operation's real answer is what its schema says, field by field; none is left out")
    func realAnswersFitTheirSchemas() async throws {
        let unchecked = try await withServer({ host in
            // So that there is one of each.
            host.fakeStore.edit { $0.asks = [Samples.ask] }
            host.edit { $0.plugins[0].versions = [LibraryVersion(sha256: "1a2b", version: "2.1", acceptedAt: sampleNow, state: "serving")] }
        }) { host, socket, _ in
            let routes = try await Self.routes(socket)
            var checked: Set<String> = []
            for request in APIServerTests.cases where request.status == 200 {
                guard let key = Self.route(of: request, in: routes) else { continue }
                let answer = try await ask(socket, request.method, request.path, request.body)
                let type = OpenAPI.answers[key] ?? API.Done.self
                let schema = try JSONSchema(json: Self.checkable(SchemaProbe.schema(of: type)))
                let violations = schema.validate(answer.json)
                #expect(violations.isEmpty, "\(key): \(violations.map(\.description))")
                checked.insert(key)
            }
            return routes.subtracting(checked)
        }
        #expect(unchecked == [Self.stream])
    }

    @Test("Whatever is answered, its status and its problem's code are among those that the document names")
    func realRefusalsAreDeclared() async throws {
        let document = try await document()
        try await withServer { host, socket, _ in
            let routes = try await Self.routes(socket)
            var seen: Set<Int> = []
            func check(_ request: APIServerTests.Case) async throws {
                guard let key = Self.route(of: request, in: routes) else { return }
                let answer = try await ask(socket, request.method, request.path, request.body)
                let declared = try #require(Self.operation(key, in: document)?["responses"]?[String(answer.status)], "\(request.testDescription): \(answer.status)")
                seen.insert(answer.status)
                guard answer.status != 200 else { return }
                let name = try #require(declared["$ref"]?.stringValue?.split(separator: "/").last.map { String($0) })
                let schema = document["components"]?["responses"]?[name]?["content"]?["application/problem+json"]?["schema"]
                let rules = try #require(schema?["allOf"]?.arrayValue?.last?["properties"])
                #expect(rules["status"]?["const"] == .integer(Int64(answer.status)))
                #expect(rules["code"]?["enum"]?.arrayValue?.contains(try #require(answer.json["code"])) == true, "\(request.testDescription): \(answer.json)")
            }
            for request in APIServerTests.cases { try await check(request) }
            host.fail(with: CommandError(.conflict, "not now"))
            for request in APIServerTests.cases where request.method == "POST" { try await check(request) }
            host.fail(with: CommandError(.needsApproval, "another"))
            try await check(.init(method: "POST", path: "/api/v1/jobs/candles/trigger", status: 409))
            host.fail(with: nil)
            host.fakeStore.edit { $0.fault = StoreError(.unavailable, "gone") }
            for request in APIServerTests.cases { try await check(request) }
            host.fakeStore.edit { $0.fault = StoreError(.broken, "a word that nobody knows") }
            for request in APIServerTests.cases { try await check(request) }
            try await check(.init(method: "POST", path: "/api/v1/reload", body: String(repeating: " ", count: APIRoutes.bodyLimit + 1), status: 413))
            #expect(seen == [200, 400, 404, 409, 413, 500, 503], "\(seen.sorted())")
        }
    }

    @Test("No operation leaves it open how it may end")
    func nothingIsLeftOpen() async throws {
        let document = try await document()
        let paths = try #require(document["paths"]?.objectValue)
        for (path, item) in paths {
            for (method, operation) in try #require(item.objectValue) {
                let responses = try #require(operation["responses"])
                #expect(responses["default"] == nil, "\(method) \(path)")
                for status in ["400", "401", "403", "429", "500", "503"] { #expect(responses[status] != nil, "\(method) \(path) \(status)") }
                #expect((responses["404"] != nil) || !path.contains("{"), "\(method) \(path)")
                #expect((responses["413"] != nil) == (method == "post"), "\(method) \(path)")
            }
        }
    }

    /// What is refused as a body is refused by the schema too, and what is taken fits it.
    @Test func realBodiesFitTheirSchemas() throws {
        for request in APIServerTests.cases where request.method == "POST" && !request.body.isEmpty {
            guard let key = Self.route(of: request, in: Set(OpenAPI.bodies.keys)), let type = OpenAPI.bodies[key], let body = try? JSON(parsing: request.body)
            else { continue }
            let schema = try JSONSchema(json: Self.checkable(SchemaProbe.schema(of: type, isBody: true)))
            let violations = schema.validate(body)
            if request.status == 200 { #expect(violations.isEmpty, "\(request.testDescription): \(violations)") }
            if request.contains.contains(where: { $0.contains("unknown field") || $0.contains("is missing") }) {
                #expect(!violations.isEmpty, "\(request.testDescription)")
            }
        }
    }

    @Test func everyReferenceLeadsSomewhere() async throws {
        let document = try await document()
        let text = document.canonicalText
        let schemas = try #require(document["components"]?["schemas"])
        for match in text.matches(of: /#\/components\/schemas\/([A-Za-z]+)/) {
            #expect(schemas[String(match.output.1)] != nil, "\(match.output.1)")
        }
        for match in text.matches(of: /#\/components\/responses\/([A-Za-z]+)/) {
            #expect(document["components"]?["responses"]?[String(match.output.1)] != nil, "\(match.output.1)")
        }
    }

    @Test func anUnchangedAnswerIsNotSentAgain() async throws {
        try await withServer { _, socket, _ in
            let client = APIClient.patient(socket)
            _ = try await client.exchange(.GET, "/api/v1/plugins", body: [])
            let first = try await raw(unix: socket, "GET /api/v1/plugins HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            let tag = try #require(first.split(separator: "\r\n").first { $0.lowercased().hasPrefix("etag: ") }?.dropFirst(6))
            let again = try await raw(unix: socket, "GET /api/v1/plugins HTTP/1.1\r\nHost: x\r\nIf-None-Match: \(tag)\r\nConnection: close\r\n\r\n")
            #expect(again.hasPrefix("HTTP/1.1 304"))
            #expect(!again.contains("entries"))
        }
    }

    @Test("What a client has is told from what it has not, by RFC 9110", arguments: [
        ("TAG", true), (#""other", TAG"#, true), (#"TAG , "other""#, true), (#"W/"other",,  TAG,"#, true), ("*", true), (" * ", true),
        (#""a,b", TAG"#, true), (#""other""#, false), ("", false), ("TAG x", false), (#""open, TAG"#, false), ("*, TAG", false),
        ("w/OPAQUE", false), ("OPAQUE", true), ("W/OPAQUE", true),
    ])
    func knownAnswers(_ field: String, _ isKnown: Bool) async throws {
        try await withServer { _, socket, _ in
            func get(_ method: String, _ field: String?) async throws -> String {
                let line = field.map { "If-None-Match: \($0)\r\n" } ?? ""
                return try await raw(unix: socket, "\(method) /api/v1/plugins HTTP/1.1\r\nHost: x\r\n\(line)Connection: close\r\n\r\n")
            }
            let tag = try #require(try await get("GET", nil).split(separator: "\r\n").first { $0.lowercased().hasPrefix("etag: ") }.map { String($0.dropFirst(6)) })
            let opaque = tag.replacing("W/", with: "")
            let value = field.replacing("TAG", with: tag).replacing("OPAQUE", with: opaque)
            for method in ["GET", "HEAD"] {
                let answer = try await get(method, value)
                #expect(answer.hasPrefix(isKnown ? "HTTP/1.1 304" : "HTTP/1.1 200"), "\(method) \(value): \(answer)")
                #expect(answer.lowercased().contains("etag: \(tag.lowercased())"), "\(answer)")
                #expect(answer.contains("entries") == (!isKnown && method == "GET"), "\(answer)")
            }
        }
    }

    @Test func severalFieldsOfTagsAreOneList() async throws {
        try await withServer { _, socket, _ in
            let first = try await raw(unix: socket, "GET /style.css HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            let tag = try #require(first.split(separator: "\r\n").first { $0.lowercased().hasPrefix("etag: ") }?.dropFirst(6))
            let two = "If-None-Match: \"a\"\r\nIf-None-Match: W/\(tag)\r\n"
            let again = try await raw(unix: socket, "GET /style.css HTTP/1.1\r\nHost: x\r\n\(two)Connection: close\r\n\r\n")
            #expect(again.hasPrefix("HTTP/1.1 304") && again.contains("no-cache"), "\(again)")
            // What is refused, has no tag or acts is answered whatever a client says that it has.
            for request in ["GET /api/v1/jobs/nobody", "GET /livez", "POST /api/v1/plan", "GET /api/v1/nothing"] {
                let answer = try await raw(unix: socket, "\(request) HTTP/1.1\r\nHost: x\r\nIf-None-Match: *\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                #expect(!answer.hasPrefix("HTTP/1.1 304"), "\(request): \(answer)")
            }
        }
    }

    /// The one that has no end.
    private static let stream = "GET /events"

    /// "GET /runs/{run}" and the others.
    private static func routes(_ socket: String) async throws -> Set<String> {
        let endpoints = try #require(try await ask(socket, "GET", APIRoutes.prefix).json["endpoints"]?.arrayValue)
        return Set(try endpoints.map { endpoint in
            let (method, path) = (try #require(endpoint["method"]?.stringValue), try #require(endpoint["path"]?.stringValue))
            return "\(method) \(path.dropFirst(APIRoutes.prefix.count))"
        })
    }

    /// What the document says of a route.
    private static func operation(_ route: String, in document: JSON) -> JSON? {
        let parts = route.split(separator: " ")
        return document["paths"]?["\(APIRoutes.prefix)\(parts[1])"]?[parts[0].lowercased()]
    }

    /// "GET /runs/{run}" of "/api/v1/runs/39".
    private static func route(of request: APIServerTests.Case, in routes: Set<String>) -> String? {
        let parts = request.path.prefix { $0 != "?" }.split(separator: "/").dropFirst(2)
        return routes.first { key in
            let words = key.split(separator: " ")
            let wanted = words[1].split(separator: "/")
            return words[0] == request.method && wanted.count == parts.count && zip(wanted, parts).allSatisfy { $0.hasPrefix("{") || $0 == $1 }
        }
    }

    /// The host's own checker calls RFC 3339 "instant".
    private static func checkable(_ schema: JSON) -> JSON {
        switch schema {
        case .object(let members):
            .object(JSONObject(members.members.map { ($0.key, $0.key == "format" ? .string("instant") : checkable($0.value)) }))
        case .array(let elements): .array(elements.map(checkable))
        default: schema
        }
    }
}
