import Foundation
import FoundationNetworking

/// One request and what has come back so far. Written by the session's queue, read by the
/// thread that waits.
final class Exchange: Sendable {
    enum End: Sendable {
        case answered(status: Int, headers: [String: String], body: [UInt8])
        case failed(reason: String, code: Int, mayHaveArrived: Bool)
    }
    private struct Inside: Sendable {
        var status = 0
        var headers: [String: String] = [:]
        var body: [UInt8] = []
        var fault: String?
        var isAbandoned = false
        var end: End?
    }
    private let inside = Monitor(Inside())
    private let largest: Int
    private let stop: Stop

    init(largest: Int, stop: Stop) {
        self.largest = largest
        self.stop = stop
    }

    var end: End? { inside.withLock { $0.end } }

    private var tooLarge: String { "the answer is larger than \(largest) bytes" }

    /// - Returns: whether to go on.
    func begin(_ response: HTTPURLResponse) -> Bool {
        var headers: [String: String] = [:]
        for (name, value) in response.allHeaderFields {
            if let name = name as? String, let value = value as? String { headers[name.lowercased()] = value }
        }
        return inside.withLock { inside in
            inside.status = response.statusCode
            inside.headers = headers
            guard response.expectedContentLength <= Int64(largest) else {
                inside.fault = tooLarge
                return false
            }
            return true
        }
    }

    func receive(_ data: Data) -> Bool {
        inside.withLock { inside in
            guard inside.fault == nil else { return false }
            guard inside.body.count + data.count <= largest else {
                inside.fault = tooLarge
                inside.body = []
                return false
            }
            inside.body += data
            return true
        }
    }

    /// Does what follows from a redirect, unless nobody waits for the answer any more.
    /// - Parameter fault: why it is not followed; nil: it is.
    func redirect(_ fault: String?, _ proceed: () -> Void) {
        inside.withLock { inside in
            if inside.isAbandoned { return }
            inside.fault = fault
            proceed()
        }
    }

    /// Nobody waits for the answer any more.
    func abandon() { inside.withLock { $0.isAbandoned = true } }

    func complete(_ error: (any Error)?) {
        inside.withLock { inside in
            guard inside.end == nil else { return }
            if let fault = inside.fault {
                inside.end = .failed(reason: fault, code: 0, mayHaveArrived: true)
            } else if let error {
                let code = (error as? URLError)?.code ?? .unknown
                inside.end = .failed(
                    reason: Self.reason(code), code: code.rawValue, mayHaveArrived: !Self.neverSent.contains(code))
            } else {
                inside.end = .answered(status: inside.status, headers: inside.headers, body: inside.body)
            }
        }
        stop.ring()
    }

    /// The connection was not made.
    private static let neverSent: Set<URLError.Code> = [
        .cannotFindHost, .cannotConnectToHost, .dnsLookupFailed, .secureConnectionFailed, .serverCertificateUntrusted,
        .serverCertificateHasBadDate, .serverCertificateHasUnknownRoot, .serverCertificateNotYetValid, .notConnectedToInternet,
    ]

    /// In our words: the system's own contain the address.
    private static func reason(_ code: URLError.Code) -> String {
        switch code {
        case .cannotFindHost, .dnsLookupFailed: "its name is not known"
        case .cannotConnectToHost, .notConnectedToInternet: "no connection"
        case .networkConnectionLost: "the connection broke"
        case .timedOut: "no answer in time"
        case .badServerResponse, .cannotParseResponse, .cannotDecodeRawData, .cannotDecodeContentData: "the answer is not HTTP"
        case .secureConnectionFailed: "no secure connection"
        case .serverCertificateUntrusted, .serverCertificateHasUnknownRoot, .serverCertificateHasBadDate,
            .serverCertificateNotYetValid: "its certificate is not to be trusted"
        case .cancelled: "broken off"
        default: "no answer (error \(code.rawValue))"
        }
    }
}

/// Executes what it is given at once. A session hands each piece of an answer to its delegate's
/// queue and reads on: with a queue that lags behind, a large answer would be in memory before
/// the delegate could refuse it.
private final class Inline: OperationQueue, @unchecked Sendable {
    override func addOperation(_ block: @escaping @Sendable () -> Void) { block() }
}

/// The session's delegate: hands each event to the exchange it belongs to. Called on the
/// session's own queue, so nothing here may wait for the session.
final class Exchanges: NSObject, URLSessionDataDelegate {
    let queue: OperationQueue = Inline()
    private let running = Monitor<[Int: Exchange]>([:])

    func begin(_ task: URLSessionTask, _ exchange: Exchange) {
        running.withLock { $0[task.taskIdentifier] = exchange }
        task.resume()
    }

    /// FoundationNetworking ends the process when a redirect is answered after its task was
    /// cancelled: first nobody answers any more, then it is cancelled.
    func abandon(_ task: URLSessionTask) {
        exchange(task)?.abandon()
        // Cancelling waits for the session's queue, which we may be on.
        DispatchQueue.global().async { task.cancel() }
    }

    private func exchange(_ task: URLSessionTask) -> Exchange? { running.withLock { $0[task.taskIdentifier] } }

    func urlSession(
        _ session: URLSession, dataTask: URLSessionDataTask, didReceive response: URLResponse,
        completionHandler: @escaping @Sendable (URLSession.ResponseDisposition) -> Void
    ) {
        completionHandler(.allow)
        // FoundationNetworking does not listen to .cancel here.
        guard let response = response as? HTTPURLResponse, exchange(dataTask)?.begin(response) == true else {
            return abandon(dataTask)
        }
    }

    func urlSession(_ session: URLSession, dataTask: URLSessionDataTask, didReceive data: Data) {
        if exchange(dataTask)?.receive(data) != true { abandon(dataTask) }
    }

    func urlSession(
        _ session: URLSession, task: URLSessionTask, willPerformHTTPRedirection response: HTTPURLResponse,
        newRequest request: URLRequest, completionHandler: @escaping @Sendable (URLRequest?) -> Void
    ) {
        let (from, to) = (task.originalRequest?.url, request.url)
        let isOurs = from?.scheme == to?.scheme && from?.host == to?.host && from?.port == to?.port
        exchange(task)?.redirect(isOurs ? nil : "it redirects to another host, which is not followed") {
            completionHandler(isOurs ? request : nil)
        }
    }

    func urlSession(
        _ session: URLSession, task: URLSessionTask, didReceive challenge: URLAuthenticationChallenge,
        completionHandler: @escaping @Sendable (URLSession.AuthChallengeDisposition, URLCredential?) -> Void
    ) {
        // The 401 itself is the answer, and it is complete: credentials are sent by headers or
        // not at all. (Default handling without a credential would never end.)
        exchange(task)?.complete(nil)
        abandon(task)
    }

    func urlSession(_ session: URLSession, task: URLSessionTask, didCompleteWithError error: (any Error)?) {
        running.withLock { $0.removeValue(forKey: task.taskIdentifier) }?.complete(error)
    }
}
