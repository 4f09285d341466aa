import JobKit
import OutsideTestKit
import Testing

@testable import OutsideKit

@Suite struct JSONRPCTests {
    private func ask<Answer>(
        _ reply: LoopbackServer.Reply, _ body: (JSONRPC, CallAttempt) throws -> Answer
    ) throws -> (answer: Result<Answer, any Error>, request: LoopbackServer.Request?) {
        let server = try LoopbackServer { _ in reply }
        defer { server.close() }
        let rpc = JSONRPC(try HTTPClient(base: server.url))
        let attempt = CallAttempt("node", timeLimit: .seconds(20))
        return (Result { try body(rpc, attempt) }, server.requests.first)
    }
    private func call(_ reply: LoopbackServer.Reply) throws -> Result<JSON, any Error> {
        try ask(reply) { try $0.call(.init("eth_getBalance", ["0xabc", 5]), $1) }.answer
    }
    private func kind(_ reply: LoopbackServer.Reply) throws -> CallError.Kind? {
        guard case .failure(let error as CallError) = try call(reply) else { return nil }
        return error.kind
    }

    @Test func `A call is posted as JSON-RPC 2.0 and its result comes back with exact numbers`() throws {
        let (answer, request) = try ask(.json(#"{"jsonrpc":"2.0","id":1,"result":{"v":0.10000000000000000001}}"#)) {
            try $0.call(.init("eth_getBalance", ["0xabc", 5]), $1)
        }
        #expect(try answer.get().text == #"{"v":0.10000000000000000001}"#)
        #expect(request?.text == #"{"jsonrpc":"2.0","id":1,"method":"eth_getBalance","params":["0xabc",5]}"#)
        #expect(request?.headers["content-type"] == "application/json")
        #expect(try call(.json(#"{"jsonrpc":"2.0","id":1,"result":null}"#)).get() == .null)
    }

    @Test func `Faults are told apart: of the request, of the node, of too many requests`() throws {
        func fault(_ code: Int, status: Int = 200) -> LoopbackServer.Reply {
            .json(#"{"jsonrpc":"2.0","id":1,"error":{"code":\#(code),"message":"why"}}"#, status: status)
        }
        #expect(try kind(fault(-32602)) == .business)
        #expect(try kind(fault(3)) == .business)
        #expect(try kind(fault(-32603)) == .unavailable)
        #expect(try kind(fault(-32000)) == .unavailable)
        #expect(try kind(fault(-32005)) == .throttled(until: nil))
        // As Bitcoin Core does: the fault is what counts, not its status.
        #expect(try kind(fault(-5, status: 500)) == .business)
        guard case .failure(let error) = try call(fault(-5)) else { Issue.record("no error"); return }
        #expect("\(error)".hasSuffix("eth_getBalance: why (-5)"))
    }

    @Test func `What is not an answer to the question is no answer`() throws {
        for reply in [
            LoopbackServer.Reply.json("<html>", status: 502), .json("<html>"), .json("null"), .json("[]"), .json("{}"),
            .json(#"{"jsonrpc":"2.0","id":2,"result":1}"#), .json(#"{"jsonrpc":"2.0","id":1}"#), .respond(500, "oops"),
        ] {
            #expect(try kind(reply) == .unavailable)
        }
        #expect(try kind(.respond(429)) == .throttled(until: nil))
        #expect(try kind(.respond(401)) == .denied)
    }

    @Test func `A batch is one request; answers come in any order, faults in their place`() throws {
        let body = #"[{"jsonrpc":"2.0","id":2,"error":{"code":-1,"message":"no"}},{"jsonrpc":"2.0","id":1,"result":"0x1"}]"#
        let (answer, request) = try ask(.json(body)) { try $0.batch([.init("a"), .init("b")], $1) }
        let results = try answer.get()
        #expect(try results[0].get() == "0x1")
        #expect(throws: JSONRPC.Fault(method: "b", code: -1, message: "no", data: nil)) { try results[1].get() }
        #expect(request?.text.hasPrefix(#"[{"jsonrpc":"2.0","id":1,"method":"a","params":[]},"#) == true)
        for body in [#"{"jsonrpc":"2.0","id":null,"error":{"code":-1,"message":"no batches"}}"#, "[]"] {
            let (answer, _) = try ask(.json(body)) { try $0.batch([.init("a")], $1) }
            guard case .failure(let error as CallError) = answer else { Issue.record("no error"); continue }
            #expect(error.kind == .unavailable)
        }
    }
}
