import JobKit
import OutsideTestKit

@testable import Deposits

/// A node behind JSON-RPC on loopback: methods as a test writes them down, for chains of which
/// no small implementation can be had. Answers batches, as documented in JSON-RPC 2.0.
final class ScriptedNode: Sendable {
    /// What a method says instead of a result.
    struct Fault: Error {
        var code: Int
    }
    typealias Methods = @Sendable (_ method: String, _ params: [JSON]) throws -> JSON

    private let server: LoopbackServer
    var url: String { server.url }
    /// Headers of the newest request.
    var headers: [String: String] { server.requests.last?.headers ?? [:] }

    init(_ methods: @escaping Methods) throws {
        server = try LoopbackServer { request in
            guard let body = try? JSON(parsing: request.body) else { return .respond(400) }
            guard case .array(let calls) = body else { return .json(Self.answer(body, methods).text) }
            return .json(JSON.array(calls.map { Self.answer($0, methods) }).text)
        }
    }

    deinit { server.close() }

    private static func answer(_ call: JSON, _ methods: Methods) -> JSON {
        let call = call.objectValue ?? JSONObject()
        var reply = JSONObject([("jsonrpc", "2.0"), ("id", call["id"] ?? .null)])
        do {
            let params = try call.member("params").array("params")
            reply["result"] = try methods(try call.member("method").string("method"), params)
        } catch {
            let code = (error as? Fault)?.code ?? -32603
            reply["error"] = .object(JSONObject([("code", .number(String(code))), ("message", .string("\(error)"))]))
        }
        return .object(reply)
    }
}

extension JSON {
    static func int(_ value: Int64) -> JSON { .number(String(value)) }
    static func make(_ members: [(String, JSON)]) -> JSON { .object(JSONObject(members)) }
}
