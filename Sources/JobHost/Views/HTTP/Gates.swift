import Glibc
import Hummingbird
import JobConfig
import JobCore
import Synchronization

/// The socket is its owner's: its mode says so, and the kernel's word for who is at the other
/// end is asked besides.
struct SocketGate: RouterMiddleware {
    typealias Context = APIContext
    func handle(
        _ request: Request, context: APIContext, next: (Request, APIContext) async throws -> Response
    ) async throws -> Response {
        let uid = await context.peer.uid
        guard uid == geteuid() || uid == 0 else {
            throw API.Problem(
                .forbidden, code: "refused", "the socket is for the host's own user and for root",
                hint: uid.map { "you are \(userName($0))" })
        }
        var context = context
        var caller = Caller(name: uid.map(userName) ?? "unknown", mayAct: true)
        caller.isOnSocket = true
        context.caller = caller
        return try await next(request, context)
    }
}

/// Who may do what over TCP, as of the last reload. Shared by all connections.
final class AccessBook: Sendable {
    private struct State {
        var access: HTTPAccess
        var failures = FailureLimit()
    }
    private let state: Mutex<State>
    private let clock: any TimeSource

    init(_ access: HTTPAccess, clock: any TimeSource) {
        state = Mutex(State(access: access))
        self.clock = clock
    }

    func replace(_ access: HTTPAccess) { state.withLock { $0.access = access } }

    func mayRead(_ origin: String) -> Bool { state.withLock { $0.access.mayRead(origin) } }

    func judge(_ request: Credentials) -> HTTPAccess.Answer {
        let answer = state.withLock { $0.access }.judge(request)
        // A right token passes at any time: behind a proxy all come from one address, where a forgotten tab with an
        // old token would lock everybody out. A guesser learns no more from that: see `FailureLimit`.
        guard case .refused(_, isFailure: true) = answer else { return answer }
        let now = clock.now().monotonic
        return state.withLock { state in
            if state.failures.isBarred(request.address, now: now) { return .refused(.tooManyGuesses) }
            state.failures.failed(request.address, now: now)
            return answer
        }
    }
}

struct TCPGate: RouterMiddleware {
    typealias Context = APIContext
    let book: AccessBook

    func handle(
        _ request: Request, context: APIContext, next: (Request, APIContext) async throws -> Response
    ) async throws -> Response {
        let origin = request.headers[.origin]
        let credentials = Credentials(
            method: request.method, path: request.uri.path, authority: request.head.authority ?? "", origin: origin,
            authorization: request.headers[.authorization], address: context.peer.address)
        var response: Response
        switch book.judge(credentials) {
        case .passes(let caller):
            var context = context
            context.caller = caller
            response = try await next(request, context)
        case .refused(let problem, _):
            response = problemResponse(problem)
            if problem.status == 401 { response.headers[.wwwAuthenticate] = "Bearer" }
            if problem.status == 429 { response.headers[.retryAfter] = String(FailureLimit.interval.components.seconds) }
        case .preflight:
            response = Response(status: .noContent)
            response.headers[.accessControlAllowMethods] = "GET, HEAD"
            response.headers[.accessControlAllowHeaders] = "Authorization, If-None-Match, Last-Event-ID"
            response.headers[.accessControlMaxAge] = "600"
        }
        response.headers[.vary] = "Origin"
        if let origin, book.mayRead(origin) {
            response.headers[.accessControlAllowOrigin] = origin
            response.headers[.accessControlExposeHeaders] = "ETag"
        }
        return response
    }
}

private typealias FieldName = HTTPFields.Element.Name

/// What every answer carries: nothing of the host runs in or is shown inside another page, and
/// the page itself loads nothing from elsewhere.
struct StrictHeaders: RouterMiddleware {
    typealias Context = APIContext
    static let policy =
        "default-src 'none'; script-src 'self' '\(PageBundle.earlyDigest)'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; "
        + "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    private static let fields: [(FieldName, String)] = [
        (.contentSecurityPolicy, policy), (.xContentTypeOptions, "nosniff"),
    ] + [
        ("X-Frame-Options", "DENY"), ("Referrer-Policy", "no-referrer"), ("Cross-Origin-Opener-Policy", "same-origin"),
        ("Cross-Origin-Resource-Policy", "same-origin"), ("Permissions-Policy", "camera=(), geolocation=(), microphone=()"),
    ].compactMap { name, value in FieldName(name).map { ($0, value) } }

    func handle(
        _ request: Request, context: APIContext, next: (Request, APIContext) async throws -> Response
    ) async throws -> Response {
        var response = try await next(request, context)
        for (name, value) in Self.fields { response.headers[name] = value }
        return response
    }
}

extension API.Problem {
    fileprivate static var tooManyGuesses: Self {
        Self(
            .tooManyRequests, code: "too_many", "too many wrong tokens came from your address",
            hint: "one more may be tried every \(durationText(FailureLimit.interval))")
    }
}
