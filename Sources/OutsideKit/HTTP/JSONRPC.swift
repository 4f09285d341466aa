import JobKit

/// JSON-RPC 2.0 over HTTP, as chain nodes speak it.
public struct JSONRPC: Sendable {
    /// A method and its parameters.
    public struct Call: Hashable, Sendable {
        public var method: String
        public var params: JSON
        public init(_ method: String, _ params: [JSON] = []) {
            self.method = method
            self.params = .array(params)
        }
    }
    /// What a node says instead of a result.
    public struct Fault: Error, Hashable, Sendable, CustomStringConvertible {
        public var method: String
        public var code: Int
        public var message: String
        public var data: JSON?
        public var description: String { "\(method): \(message) (\(code))" }
    }

    private let http: HTTPClient
    private let path: String
    private let classify: @Sendable (Fault) -> CallError.Kind

    /// - Parameters:
    ///   - path: behind the client's base.
    ///   - classify: what a fault means; `JSONRPC.kind` unless the node has codes of its own.
    public init(_ http: HTTPClient, path: String = "", classify: @escaping @Sendable (Fault) -> CallError.Kind = JSONRPC.kind) {
        self.http = http
        self.path = path
        self.classify = classify
    }

    /// Faults of the server's own (−32603 internal error, −32000 … −32099 by convention of the
    /// specification) are `unavailable`, but −32005 is `throttled` (EIP-1474: limit exceeded);
    /// what is wrong with the request is `business`.
    public static func kind(_ fault: Fault) -> CallError.Kind {
        switch fault.code {
        case -32005: .throttled(until: nil)
        case -32603, -32099 ... -32000: .unavailable
        default: .business
        }
    }

    /// One call. A fault is thrown as `CallError` with its code.
    public func call(_ call: Call, _ attempt: CallAttempt) throws -> JSON {
        let body = Self.request(call, id: 1)
        let response = try http.send(post(body.bytes), attempt)
        // Bitcoin Core and others answer faults with HTTP 500 and the fault as the body.
        if !response.isSuccess, (try? response.json().objectValue?["error"]) == nil, let error = response.error { throw error }
        return try error(Self.result(response.json(), id: 1, call, response, http.redactor), response).get()
    }

    /// Several calls in one request. Faults stand in the place of their call; nodes that do not
    /// answer a batch as one are `unavailable`.
    public func batch(_ calls: [Call], _ attempt: CallAttempt) throws -> [Result<JSON, Fault>] {
        guard !calls.isEmpty else { return [] }
        let body = JSON.array(calls.enumerated().map { Self.request($1, id: $0 + 1) })
        let response = try http.send(post(body.bytes), attempt).checked()
        guard case .array(let answers) = try response.json() else {
            throw CallError(.unavailable, "\(response.what): a batch was not answered as one")
        }
        // In any order (specification, 6).
        var byID: [String: JSON] = [:]
        for answer in answers { if case .number(let id)? = answer.objectValue?["id"] { byID[id] = answer } }
        return try calls.enumerated().map { index, call in
            guard let answer = byID[String(index + 1)] else {
                throw CallError(.unavailable, "\(response.what): \(call.method): the answer is missing in the batch")
            }
            return try Self.result(answer, id: index + 1, call, response, http.redactor)
        }
    }

    private func post(_ body: [UInt8]) -> HTTPRequest {
        // The methods that we call read: asking twice does no harm.
        HTTPRequest("POST", path, headers: [("Content-Type", "application/json")], body: body, isRepeatable: true)
    }

    private static func request(_ call: Call, id: Int) -> JSON {
        .object(JSONObject([
            ("jsonrpc", "2.0"), ("id", .number(String(id))), ("method", .string(call.method)), ("params", call.params),
        ]))
    }

    private func error(_ result: Result<JSON, Fault>, _ response: HTTPResponse) -> Result<JSON, CallError> {
        result.mapError { CallError(classify($0), "\(response.what): \($0)", code: $0.code) }
    }

    private static func result(
        _ answer: JSON, id: Int, _ call: Call, _ response: HTTPResponse, _ redactor: Redactor
    ) throws(CallError) -> Result<JSON, Fault> {
        guard let object = answer.objectValue else {
            throw CallError(.unavailable, "\(response.what): \(call.method): the answer is no JSON-RPC object")
        }
        if let fault = object["error"]?.objectValue {
            var code = 0
            if case .number(let text)? = fault["code"] { code = Int(text) ?? 0 }
            var message = "no reason given"
            if case .string(let text)? = fault["message"] { message = String(redactor.redact(text).prefix(300)) }
            return .failure(Fault(method: call.method, code: code, message: message, data: fault["data"]))
        }
        guard object["id"] == .number(String(id)), let result = object["result"] else {
            throw CallError(.unavailable, "\(response.what): \(call.method): an answer without result or with another id")
        }
        return .success(result)
    }
}
