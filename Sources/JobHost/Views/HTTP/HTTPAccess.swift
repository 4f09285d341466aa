import Hummingbird
import JobConfig
import JobCore

/// Who asked.
struct Caller: Sendable, Hashable {
    /// For the audit: "root (uid 0)", "alice from 10.0.0.7".
    var name: String
    var mayAct: Bool
    /// More than what is public.
    var mayRead = true
    /// The same without from where: what tells two persons apart.
    var person: String
    /// Over the Unix socket, where the kernel says who it is.
    var isOnSocket = false
    /// `person` nil: as the name says.
    init(name: String, mayAct: Bool, person: String? = nil) {
        self.name = name
        self.mayAct = mayAct
        self.person = person ?? name
    }
}

/// What of a request says who asks, and from which page.
struct Credentials: Sendable {
    var method: HTTPRequest.Method
    var path: String
    /// `Host`.
    var authority: String
    /// Of the page whose script asks; nil: no page, or its own.
    var origin: String?
    var authorization: String?
    /// Address of the other end.
    var address: String
}

/// Who may do what over TCP. Nothing is written without a token, and a browser sends none by
/// itself, so that no page can act in its visitor's name.
struct HTTPAccess: Sendable {
    enum Answer: Sendable {
        case passes(Caller)
        /// `isFailure`: a token was shown, and is none. These are counted.
        case refused(API.Problem, isFailure: Bool = false)
        /// Of a preflight (CORS) by a page that may read.
        case preflight
    }

    private struct Key {
        var digest: [UInt8]
        var caller: String
        var person: String
        var mayAct: Bool
    }

    private var keys: [Key] = []
    /// Everybody on this machine may read.
    private let isReadingOpen: Bool
    private let mayAnybodyAct: Bool
    private let allowedOrigins: Set<String>

    /// `owner`: the person whose the tokens are that the config does not name.
    init(readTokens: [AccessToken], actTokens: [AccessToken], allowedOrigins: Set<String>, owner: String? = nil) {
        for (tokens, mayAct) in [(actTokens, true), (readTokens, false)] {
            keys += tokens.map { Key(digest: digest($0.secret), caller: $0.name, person: owner ?? $0.name, mayAct: mayAct) }
        }
        isReadingOpen = readTokens.isEmpty
        mayAnybodyAct = !actTokens.isEmpty
        self.allowedOrigins = allowedOrigins
    }

    func judge(_ request: Credentials) -> Answer {
        let isReading = request.method == .get || request.method == .head
        if let origin = request.origin, !isSame(origin, request.authority) {
            let isAllowed = allowedOrigins.contains(origin)
            if request.method == .options, isAllowed { return .preflight }
            guard isReading, isAllowed || isReadingOpen else { return .refused(.foreignPage(origin)) }
        }
        var caller: Caller?
        if let authorization = request.authorization {
            guard let key = key(of: authorization) else { return .refused(.unauthorized("this token is not known"), isFailure: true) }
            caller = Caller(name: "\(key.caller) from \(request.address)", mayAct: key.mayAct, person: key.person)
        }
        if isReading { return judgeReading(request, caller) }
        guard mayAnybodyAct else { return .refused(.notHere) }
        guard let caller else { return .refused(.unauthorized("acting needs a token")) }
        guard caller.mayAct else { return .refused(.readOnly) }
        return .passes(caller)
    }

    private func judgeReading(_ request: Credentials, _ caller: Caller?) -> Answer {
        if let caller { return .passes(caller) }
        if HTTPAccess.isPublic(request.path) {
            var anybody = Caller(name: request.address, mayAct: false)
            anybody.mayRead = isReadingOpen && isLocalName(request.authority)
            return .passes(anybody)
        }
        guard isReadingOpen else { return .refused(.unauthorized("reading needs a token")) }
        guard isLocalName(request.authority) else { return .refused(.foreignName(request.authority)) }
        return .passes(Caller(name: request.address, mayAct: false))
    }

    /// Whether a page of that origin may read answers.
    func mayRead(_ origin: String) -> Bool { allowedOrigins.contains(origin) }

    /// What tells nothing of the host's work: the page's own files (the document tells something of it to who may read, see
    /// `PageDocument`), and whether it lives.
    static func isPublic(_ path: String) -> Bool {
        path == "/livez" || path == "/readyz" || PageFiles.file(at: path) != nil
    }

    private func key(of authorization: String) -> Key? {
        let scheme = "bearer "
        guard authorization.lowercased().hasPrefix(scheme), authorization.utf8.count <= 512 else { return nil }
        let shown = digest(String(authorization.dropFirst(scheme.count)))
        var found: Key?
        // All of them, each whole: time tells nothing of how near a guess was.
        for key in keys where isEqual(key.digest, shown) && found == nil { found = key }
        return found
    }

    private func isEqual(_ a: [UInt8], _ b: [UInt8]) -> Bool {
        zip(a, b).reduce(UInt8(a.count == b.count ? 0 : 1)) { $0 | $1.0 ^ $1.1 } == 0
    }
}

private func digest(_ text: String) -> [UInt8] {
    var hash = SHA256()
    hash.update(Array(text.utf8))
    return hash.digest()
}

/// The page's own origin is the name under which the browser found it, whether a TLS proxy
/// stands in between or not.
private func isSame(_ origin: String, _ authority: String) -> Bool {
    !authority.isEmpty && (origin == "http://\(authority)" || origin == "https://\(authority)")
}

/// A page in a browser may make its own host name resolve to 127.0.0.1 and read what is there
/// (DNS rebinding); its requests then carry that name.
private func isLocalName(_ authority: String) -> Bool {
    if authority == "localhost" || authority == "[::1]" { return true }
    return [authority, authority + ":0"].contains { (try? ListenAddress($0))?.isLoopback == true }
}

extension API.Problem {
    fileprivate static func unauthorized(_ detail: String) -> Self {
        Self(
            .unauthorized, code: "unauthorized", detail,
            hint: "send `Authorization: Bearer` and the token; [http] read_token and act_token name the files")
    }
    fileprivate static var readOnly: Self {
        Self(.forbidden, code: "refused", "this token may read, not act", hint: "use one of [http] act_token")
    }
    fileprivate static var notHere: Self {
        Self(
            .forbidden, code: "refused", "nobody may act over TCP here",
            hint: "set [http] act_token, or use the jobhost command line")
    }
    fileprivate static func foreignPage(_ origin: String) -> Self {
        Self(
            .forbidden, code: "refused", "a page of \(origin.prefix(100)) may not do this",
            hint: "pages in [http] allowed_origins may read")
    }
    fileprivate static func foreignName(_ authority: String) -> Self {
        Self(
            .forbidden, code: "refused", "the name '\(authority.prefix(100))' is not this machine's",
            hint: "ask http://127.0.0.1 or http://localhost, or set [http] read_token")
    }
}

/// Wrong tokens, by address: a bucket that holds so many and regains one each interval. While it is empty, wrong
/// ones are told to wait: whoever knocks at random is heard of as such and spends no audit. That none is guessed is
/// not this limit's doing, but the tokens': they have 32 characters at least (`TokenFile`).
struct FailureLimit {
    static let burst = 10.0
    static let interval = Duration.seconds(6)
    /// Addresses remembered; at the limit those longest quiet are forgotten.
    static let mostAddresses = 1_024

    private var buckets: [String: (left: Double, at: MonotonicInstant)] = [:]

    func isBarred(_ address: String, now: MonotonicInstant) -> Bool { left(address, now) < 1 }

    mutating func failed(_ address: String, now: MonotonicInstant) {
        if buckets.count >= Self.mostAddresses, buckets[address] == nil {
            buckets = buckets.filter { left($0.key, now) < Self.burst }
            if buckets.count >= Self.mostAddresses, let oldest = buckets.min(by: { $0.value.at < $1.value.at }) {
                buckets[oldest.key] = nil
            }
        }
        buckets[address] = (max(0, left(address, now) - 1), now)
    }

    private func left(_ address: String, _ now: MonotonicInstant) -> Double {
        guard let bucket = buckets[address] else { return Self.burst }
        let regained = Double((now - bucket.at).microseconds) / Double(Self.interval.microseconds)
        return min(Self.burst, bucket.left + regained)
    }
}
