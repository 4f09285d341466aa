import ExchangeKit
import Foundation
import JobKit
import OutsideKit
import Testing

@testable import Deposits

/// A real EVM chain behind JSON-RPC on loopback (`evm/node.py`), and a hand on it. It ends with
/// its test.
final class EVMNode {
    let url: String
    private let process: Process
    private let input = Pipe()
    private let http: HTTPClient

    static let chainID: Int64 = 131_277_322_940_537

    /// - Throws: when the environment cannot be installed, with what was said about it: the tests
    ///   against a real chain do not pass silently without one.
    init() throws {
        let folder = URL(filePath: #filePath).resolvingSymlinksInPath().deletingLastPathComponent()
        let root = folder.deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let python = try Self.output(of: root.appending(path: "scripts/evm").path)
        process = Process()
        process.executableURL = URL(filePath: python)
        process.arguments = [folder.appending(path: "evm/node.py").path]
        let output = Pipe()
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        let port = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
        guard let number = UInt16(port.trimmingCharacters(in: .whitespacesAndNewlines)) else {
            throw JobFailure.permanent("the EVM node did not start: '\(port)'")
        }
        url = "http://127.0.0.1:\(number)"
        http = try HTTPClient(base: url)
    }

    deinit {
        try? input.fileHandleForWriting.close()
        process.waitUntilExit()
    }

    private static func output(of script: String) throws -> String {
        let process = Process()
        process.executableURL = URL(filePath: script)
        let (output, errors) = (Pipe(), Pipe())
        process.standardOutput = output
        process.standardError = errors
        try process.run()
        let said = errors.fileHandleForReading.readDataToEndOfFile()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            throw JobFailure.permanent(
                "the EVM chain of the tests cannot be installed (scripts/evm needs python3 with venv, and PyPI): "
                    + String(decoding: said, as: UTF8.self))
        }
        return text.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    // MARK: The hand

    @discardableResult
    func control(_ order: String, _ more: [(String, JSON)] = []) throws -> JSONObject {
        let body = JSON.object(JSONObject([("do", .string(order))] + more)).bytes
        let response = try http.send(
            HTTPRequest("POST", "/control", body: body, isRepeatable: false), CallAttempt(order, timeLimit: .seconds(300)))
        guard response.isSuccess, let answer = try response.json().objectValue else {
            throw JobFailure.permanent("\(order): \(String(decoding: response.body, as: UTF8.self))")
        }
        return answer
    }

    @discardableResult
    func mine(_ blocks: Int = 1) throws -> Int64 {
        try control("mine", [("blocks", .number(String(blocks)))]).member("head").integer("head")
    }

    /// The address of a new contract that says what it is told to say.
    func deploy() throws -> String { try control("deploy").member("address").string("address") }
    func snapshot() throws -> JSON { try control("snapshot").member("snapshot") }
    func revert(to snapshot: JSON) throws { try control("revert", [("snapshot", snapshot)]) }

    /// A payment in the native coin that waits for a block; its hash.
    @discardableResult
    func pay(_ wei: String, to address: String, from account: Int = 0, nonce: Int) throws -> String {
        try control("send", [
            ("to", .string(address.lowercased())), ("value", .string(wei)), ("from", .number(String(account))),
            ("nonce", .number(String(nonce))),
        ]).member("hash").string("hash")
    }

    enum Way: Int {
        case erc20, erc721, fails
    }

    /// Transfers in one transaction that waits for a block; its hash. Amounts are hexadecimal.
    @discardableResult
    func transfer(
        _ transfers: [(to: String, amount: String)], token: String, _ way: Way = .erc20, from account: Int = 0, nonce: Int
    ) throws -> String {
        func word(_ hex: String) -> String { String(repeating: "0", count: 64 - hex.count) + hex }
        let words = [String(way.rawValue)] + transfers.flatMap { [String($0.to.dropFirst(2)), $0.amount] }
        return try control("send", [
            ("to", .string(token)), ("data", .string("0x" + words.map(word).joined())), ("from", .number(String(account))),
            ("nonce", .number(String(nonce))),
        ]).member("hash").string("hash")
    }

    /// - Parameters:
    ///   - faults: what the next requests get: 500, 429, garbage, null, error, hang, drop.
    ///   - wrong: what methods say for as long as it stands.
    func misbehave(_ faults: [String] = [], wrong: [(String, JSON)] = []) throws {
        try control("misbehave", [
            ("faults", .array(faults.map { .string($0) })), ("wrong", .object(JSONObject(wrong))),
        ])
    }

    /// All that it was asked since it began, in order: "eth_getBlockByNumber 0x1 false".
    func questions() throws -> [String] {
        try control("questions").member("asked").array("asked").map { try $0.string("question") }
    }

    /// As the chain's own question.
    func ask(_ method: String, _ params: [JSON]) throws -> JSON {
        try JSONRPC(http).call(JSONRPC.Call(method, params), CallAttempt(method, timeLimit: .seconds(300)))
    }
}
