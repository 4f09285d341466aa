import Foundation
import FoundationNetworking
import Glibc
import JobCore
import JobKit

/// HTTP to one base URL: one URLSession for the worker's life, connections kept. Answers are
/// bounded in size and time, certificates verified, redirects followed within the same origin
/// only; no cookies, no cache. Thread-safe.
///
/// Messages name the host, never path, query or headers: any of them may carry a credential.
public final class HTTPClient: Sendable {
    /// `https://api.binance.com`, for messages.
    public let origin: String
    /// For texts of the peer that go into messages.
    public let redactor: Redactor
    private let base: String
    private let headers: [(name: String, value: String)]
    private let largest: Int
    private let session: URLSession
    private let exchanges: Exchanges
    private let clock: any TimeSource

    /// Of an answer's body, unless told otherwise.
    public static let defaultLargest = 4 << 20

    /// - Parameters:
    ///   - base: "https://host[:port][/path]"; user and password, query and fragment are refused.
    ///   - key: the setting it comes from, for messages.
    ///   - headers: sent with every request.
    ///   - secrets: what `redactor` takes out, beside the values of `headers`.
    ///   - largest: bytes of an answer's body, decoded.
    public init(
        base: String, key: String = "url", headers: [(name: String, value: String)] = [], secrets: [Secret] = [],
        largest: Int = HTTPClient.defaultLargest, connections: Int = 10
    ) throws {
        origin = try Self.origin(of: base, key: key)
        self.base = base.hasSuffix("/") ? String(base.dropLast()) : base
        self.headers = headers
        self.largest = largest
        redactor = Redactor(secrets + headers.filter { Self.isSecret($0.name) }.map { Secret($0.value) })
        clock = SystemTime()
        // A write to a connection that the peer has closed is an error, not the end of the worker.
        signal(SIGPIPE, SIG_IGN)
        let configuration = URLSessionConfiguration.ephemeral
        configuration.httpCookieStorage = nil
        configuration.httpShouldSetCookies = false
        configuration.httpCookieAcceptPolicy = .never
        configuration.urlCache = nil
        configuration.urlCredentialStorage = nil
        configuration.requestCachePolicy = .reloadIgnoringLocalCacheData
        configuration.httpMaximumConnectionsPerHost = max(1, connections)
        exchanges = Exchanges()
        session = URLSession(configuration: configuration, delegate: exchanges, delegateQueue: exchanges.queue)
    }

    deinit { session.invalidateAndCancel() }

    private static func isSecret(_ name: String) -> Bool {
        let name = name.lowercased()
        return ["authorization", "cookie", "key", "token", "secret"].contains { name.contains($0) }
    }

    /// Checks a base URL without reaching out.
    @discardableResult
    public static func origin(of base: String, key: String) throws -> String {
        // Not a word of it in the message: it may hold a credential.
        guard let parts = URLComponents(string: base), let scheme = parts.scheme, let host = parts.host, !host.isEmpty,
            ["http", "https"].contains(scheme)
        else { throw JobFailure.badSettings("\(key): this is no address; write \"https://\" and a host") }
        if parts.user != nil || parts.password != nil {
            throw JobFailure.badSettings(
                "\(key): user and password do not belong into the address, which messages and records show")
        }
        if parts.query != nil || parts.fragment != nil {
            throw JobFailure.badSettings("\(key): the address has a query or fragment; write it up to its path")
        }
        return "\(scheme)://\(host)" + (parts.port.map { ":\($0)" } ?? "")
    }

    /// Plain HTTP would show credentials to the network; only this machine is trusted with it.
    public static func isProtected(_ base: String) -> Bool {
        guard let parts = URLComponents(string: base) else { return false }
        return parts.scheme == "https" || ["127.0.0.1", "localhost", "::1", "[::1]"].contains(parts.host ?? "")
    }

    /// Any answer, whatever its status, is a response; see `HTTPResponse.error`.
    /// - Throws: `CallError.unavailable` without one; `CancellationNotice`.
    public func send(_ request: HTTPRequest, _ attempt: CallAttempt) throws -> HTTPResponse {
        let what = "\(attempt.what) at \(origin)"
        guard let url = URL(string: base + request.path, encodingInvalidCharacters: false) else {
            throw CallError(.business, "\(what): the path is not percent-encoded")
        }
        var prepared = URLRequest(url: url)
        prepared.httpMethod = request.method
        // Ours is the limit below; this one only ends what we have already left.
        prepared.timeoutInterval = Double(attempt.timeLimit.milliseconds) / 1_000 + 5
        for header in headers + request.headers { prepared.setValue(header.value, forHTTPHeaderField: header.name) }
        if !request.body.isEmpty { prepared.httpBody = Data(request.body) }

        let task = session.dataTask(with: prepared)
        let exchange = Exchange(largest: largest, stop: attempt.stop)
        exchanges.begin(task, exchange)
        let end: Exchange.End?
        do {
            end = try attempt.stop.wait(upTo: attempt.timeLimit) { exchange.end }
        } catch {
            exchanges.abandon(task)
            throw error
        }
        let unknown = !request.isRepeatable
        switch end {
        case nil:
            exchanges.abandon(task)
            throw CallError(.unavailable, "\(what): no answer within \(text(attempt.timeLimit))", resultUnknown: unknown)
        case .failed(let reason, let code, let mayHaveArrived):
            throw CallError(.unavailable, "\(what): \(reason)", code: code, resultUnknown: unknown && mayHaveArrived)
        case .answered(let status, let headers, let body):
            return HTTPResponse(status: status, headers: headers, body: body, what: what, receivedAt: clock.now().wall)
        }
    }

    private func text(_ duration: Duration) -> String { Span(milliseconds: max(1, duration.milliseconds)).description }
}
