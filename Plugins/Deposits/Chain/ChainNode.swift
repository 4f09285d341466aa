import ExchangeKit
import JobKit
import OutsideKit

/// A chain's node and the way to ask it: one HTTP client and one peer for the worker's life.
final class ChainNode {
    /// Of the chain, for messages.
    let chain: String
    let peer: Peer
    private let rpc: JSONRPC
    private let adapter: ChainAdapter
    /// Questions in one request.
    private let batch: Int

    /// An answer that is JSON-RPC and still no answer.
    struct Nonsense: Error {
        var text: String
        init(_ text: String) { self.text = text }
    }

    typealias Answer = Result<JSON, JSONRPC.Fault>

    init(_ plan: ChainPlan) throws {
        chain = plan.name
        adapter = plan.adapter
        batch = plan.batch
        let http = try HTTPClient(
            base: plan.url, key: "chains.\(plan.name).url", headers: try plan.headers(), largest: 32 << 20, connections: 2)
        rpc = JSONRPC(http)
        peer = Peer("chain " + plan.name, plan.calls.policy)
    }

    /// Asks everything, in as few requests as `batch` allows, and understands the answers.
    ///
    /// - Parameters:
    ///   - what: for messages.
    ///   - understand: the answers, in the order of the calls. What it throws as `Nonsense` is
    ///     asked again, like no answer at all.
    /// - Throws: `JobFailure`.
    func ask<Result>(
        _ what: String, _ calls: [JSONRPC.Call], _ understand: ([Answer]) throws -> Result
    ) throws -> Result {
        var answers: [Answer] = []
        for start in stride(from: 0, to: calls.count, by: batch) where start + batch < calls.count {
            answers += try attempt(what, Array(calls[start ..< start + batch])) { $0 }
        }
        return try attempt(what, Array(calls[answers.count...])) { try understand(answers + $0) }
    }

    /// As `ask`; a fault of the node is an error.
    func askAll<Result>(_ what: String, _ calls: [JSONRPC.Call], _ understand: ([JSON]) throws -> Result) throws -> Result {
        try ask(what, calls) { answers in try understand(try answers.map { try $0.get() }) }
    }

    private func attempt<Result>(
        _ what: String, _ calls: [JSONRPC.Call], _ understand: ([Answer]) throws -> Result
    ) throws -> Result {
        do {
            return try peer.call(what) { attempt in
                do {
                    return try understand(try rpc.batch(calls, attempt))
                } catch let nonsense as Nonsense {
                    throw CallError(.unavailable, "\(what): the answer is not understood: \(nonsense.text)")
                } catch let fault as JSONRPC.Fault {
                    let kind = adapter.isTransient(fault.code) ? .unavailable : JSONRPC.kind(fault)
                    throw CallError(kind, "\(what): \(fault)", code: fault.code)
                }
            }
        } catch let error as CallError {
            var failure = error.jobFailure
            failure.text = "chain \(chain): \(failure.text)"
            throw failure
        }
    }
}

/// The chains of an entry, made once: connections, breakers and rates live as long as the worker.
final class ChainSet {
    let plans: [ChainPlan]
    private let nodes: [String: ChainNode]
    let outside: Outside

    /// - Throws: `JobFailure.badSettings`.
    init(_ chains: [String: ChainSettings]) throws {
        plans = try ChainPlan.all(chains)
        var nodes: [String: ChainNode] = [:]
        for plan in plans where plan.adapter != .paper { nodes[plan.name] = try ChainNode(plan) }
        self.nodes = nodes
        outside = Outside(nodes.sorted { $0.key < $1.key }.map(\.value.peer))
    }

    /// - Parameter mayRecord: the run may write down what it learns of the chain itself.
    func open(_ plan: ChainPlan, _ exchange: Exchange, mayRecord: Bool) throws -> any Chain {
        let genesis = GenesisRecord(plan: plan, exchange: exchange, mayRecord: mayRecord)
        guard let node = nodes[plan.name] else { return PaperChain(genesis: genesis) }
        return switch plan.adapter {
        case .paper: PaperChain(genesis: genesis)
        case .ethereum: EthereumChain(plan, node, genesis)
        case .bitcoin: BitcoinChain(plan, node, genesis)
        case .solana: SolanaChain(plan, node, genesis)
        }
    }
}
