import Hummingbird
import JobCore
import JobJSON
import JobStore

/// What is known of the connection that a request came over.
struct APIContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    let peer: Peer
    /// Who asks, as the gate found out.
    var caller: Caller?

    init(source: ApplicationRequestContextSource) {
        coreContext = .init(source: source)
        peer = Peer(channel: source.channel)
    }
}

/// The endpoints. GET reads (and HEAD, without the body), POST acts; each is one line in `table`, which is also what
/// `GET /api/v1` answers.
struct APIRoutes: Sendable {
    static let prefix = "/api/v1"
    /// Bytes; more is 413.
    static let bodyLimit = 1 << 20

    typealias Handler = @Sendable (Request, APIContext) async throws -> Response

    struct Route: Sendable {
        var method: HTTPRequest.Method
        /// Below `prefix`, with `{name}` for a parameter.
        var path: String
        /// For the index.
        var summary: String
        /// Names of query parameters.
        var query: [String] = []
        var handler: Handler
    }

    let control: any HostControl
    let hub: EventHub
    let shelf: SnapshotShelf
    let alerts: Alerts
    let replay: EventReplay
    let outboxes: Outboxes

    /// `gate` decides who may do what.
    func router(gate: some RouterMiddleware<APIContext>) -> Router<APIContext> {
        // HEAD is answered as GET is.
        let router = Router(context: APIContext.self, options: .autoGenerateHeadEndpoints)
        // Middleware counts for the routes that are added after it.
        router.add(middleware: HeadAnswers())
        router.add(middleware: StrictHeaders())
        router.add(middleware: ProblemMiddleware())
        router.add(middleware: gate)
        // Again inside the gate, so that refusals carry its headers too.
        router.add(middleware: ProblemMiddleware(table: table))
        for route in table {
            router.on(RouterPath(Self.prefix + route.path), method: route.method, use: route.handler)
        }
        addIndexAndHealth(to: router)
        PageFiles.add(to: router, of: shelf)
        return router
    }

    private var table: [Route] { reading + readingEvents + actingOnHost + actingOnHosts + actingOnJobs + actingOnRuns + actingOnAsks }

    private func addIndexAndHealth(to router: Router<APIContext>) {
        let index = JSON.object([
            "endpoints": .array(
                table.map {
                    .object([
                        "method": .string($0.method.rawValue), "path": .string(Self.prefix + $0.path),
                        "summary": .string($0.summary),
                    ])
                })
        ])
        router.on(RouterPath(Self.prefix), method: .get) { _, _ in jsonResponse(index.canonicalBytes) }
        let document = OpenAPI.document(table, version: releaseVersion).canonicalBytes
        router.on(RouterPath(Self.prefix + "/openapi.json"), method: .get) { _, _ in tagged(jsonResponse(document), document) }
        // Alive: this answer. Ready: past start-up, not draining.
        router.on("/livez", method: .get) { _, _ in textResponse(.ok, "ok\n") }
        let (shelf, hub) = (shelf, hub)
        router.on("/metrics", method: .get) { _, _ in
            let page = MetricsPage.bytes(await shelf.snapshot(), hub.metrics.figures, streams: hub.figures)
            return jsonResponse(page, type: "text/plain; version=0.0.4; charset=utf-8")
        }
        router.on("/readyz", method: .get) { _, _ in
            let snapshot = await shelf.snapshot()
            let isServing = snapshot.phase == "running" || snapshot.phase == "reloading"
            let reason = !isServing ? snapshot.phase : snapshot.isStoreAway ? "the store does not answer" : nil
            return textResponse(reason == nil ? .ok : .serviceUnavailable, (reason ?? "ok") + "\n")
        }
        router.on("/healthz", method: .get) { _, _ in
            let health = API.HostHealth(await shelf.snapshot())
            return jsonResponse(try APIJSON.bytes(of: health), status: health.grade == .critical ? .serviceUnavailable : .ok)
        }
    }
}

/// What answers HEAD has no body, refusals neither: its bytes would be taken for the next answer.
struct HeadAnswers: RouterMiddleware {
    typealias Context = APIContext
    func handle(
        _ request: Request, context: APIContext, next: (Request, APIContext) async throws -> Response
    ) async throws -> Response {
        let response = try await next(request, context)
        return request.method == .head ? response.createHeadResponse() : response
    }
}

/// Turns what handlers throw, and unknown paths, into problem details.
struct ProblemMiddleware: RouterMiddleware {
    typealias Context = APIContext
    /// What there is: a known path with another method is 405 with what is allowed, not 404.
    var table: [APIRoutes.Route] = []

    func handle(
        _ request: Request, context: APIContext, next: (Request, APIContext) async throws -> Response
    ) async throws -> Response {
        do {
            return try await next(request, context).unlessKnown(to: request)
        } catch let error as HTTPError where error.status == .notFound && error.body == nil {
            let allowed = methods(of: request.uri.path)
            guard allowed.isEmpty else { return refused(request.method, allowed: allowed) }
            return problemResponse(
                .notFound("there is no \(request.uri.path.prefix(200))", hint: "GET \(APIRoutes.prefix) lists what there is"))
        } catch {
            return problemResponse(API.Problem(describing: error))
        }
    }

    private func methods(of path: String) -> [String] {
        let parts = path.split(separator: "/")
        let known = table.filter { route in
            let pattern = (APIRoutes.prefix + route.path).split(separator: "/")
            return pattern.count == parts.count && zip(pattern, parts).allSatisfy { $0 == $1 || $0.hasPrefix("{") }
        }
        let methods = Set(known.map(\.method.rawValue))
        return methods.union(methods.contains("GET") ? ["HEAD"] : []).sorted()
    }

    private func refused(_ method: HTTPRequest.Method, allowed: [String]) -> Response {
        let names = allowed.joined(separator: ", ")
        var response = problemResponse(
            API.Problem(
                .methodNotAllowed, code: "method_not_allowed", "\(method.rawValue.prefix(60)) is not possible here",
                hint: "allowed: \(names)"))
        response.headers[.allow] = names
        return response
    }
}

func jsonResponse(_ bytes: [UInt8], status: HTTPResponse.Status = .ok, type: String = "application/json") -> Response {
    var headers = HTTPFields()
    headers[.contentType] = type
    headers[.cacheControl] = "no-store"
    return Response(status: status, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
}

func textResponse(_ status: HTTPResponse.Status, _ text: String) -> Response {
    jsonResponse(Array(text.utf8), status: status, type: "text/plain; charset=utf-8")
}

func answer(_ value: some Encodable) throws -> Response {
    let bytes = try APIJSON.bytes(of: value)
    return tagged(jsonResponse(bytes), bytes)
}

/// With a validator, which tells answers apart and promises no more.
func tagged(_ response: Response, _ bytes: [UInt8]) -> Response {
    var response = response
    response.headers[.eTag] = "W/\"\(String(bytes.fnv1a(), radix: 16))\""
    return response
}

func problemResponse(_ problem: API.Problem) -> Response {
    let bytes = (try? APIJSON.bytes(of: problem)) ?? Array("{}".utf8)
    return jsonResponse(bytes, status: .init(code: problem.status), type: "application/problem+json")
}
