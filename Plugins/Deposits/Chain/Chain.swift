import ExchangeKit
import JobKit

/// One blockchain, as a node tells it. Confined to one thread; a call takes as long as the
/// node's time limit allows.
///
/// Every call throws `JobFailure`: `.transient` when asking again may help (the node is away,
/// busy, still syncing, answers nonsense), `.permanent` when this is not the chain that was meant.
protocol Chain: AnyObject {
    /// Looks at chain id and genesis: before anything else is believed, once a run.
    func verify() throws

    /// The newest block.
    func head() throws -> ChainHead

    /// Hashes of blocks by height. A height that the chain has no block at is left out.
    func blockHashes(_ heights: Set<Int64>) throws -> [Int64: String]

    /// Where transactions are, all asked; one that is missing in the answer was not judged.
    func sightings(_ transactions: Set<String>) throws -> [String: Sighting]

    /// Transfers of the native coin and of listed tokens in blocks `range`, successful ones only,
    /// without zero amounts, to addresses that `isOurs` knows.
    ///
    /// - Throws: when the node has not all of the range: an empty answer would be a lie.
    func transfers(in range: ClosedRange<Int64>, isOurs: (String) throws -> Bool) throws -> [ChainTransfer]

    /// The one form of an address: where case says nothing, lower case.
    func canonical(address: String) -> String
    /// The one form of a transaction's hash.
    func canonical(transaction: String) -> String
}

extension Chain {
    /// The newest block whose hash the node knows, the head or a few below it (behind one address there may be several nodes).
    /// A height alone is not believed: one absurd number would confirm everything, and on record make every true one look like
    /// a node that lags behind.
    ///
    /// - Throws: `JobFailure.transient` when there is none.
    func seenHead(_ name: String) throws -> ChainHead {
        let head = try head()
        let top = max(0, head.height)
        for heights in [top ... top, max(0, top - 8) ... max(0, top - 1)] {
            guard let height = try blockHashes(Set(heights)).keys.max() else { continue }
            return ChainHead(height: height, settled: head.settled.flatMap { $0 <= height ? $0 : nil })
        }
        throw JobFailure.transient("chain \(name): the node has no block at its head \(head.height): not believed")
    }
}

struct ChainHead: Hashable, Sendable {
    var height: Int64
    /// The newest block that the chain itself calls safe or final, where it was asked for.
    var settled: Int64?
}

/// What a node says of a transaction.
enum Sighting: Hashable, Sendable {
    /// It does not know it.
    case unknown
    /// It knows it; it is in no block.
    case waiting
    case included(Inclusion)
}

struct Inclusion: Hashable, Sendable {
    var block: Int64
    var blockHash: String
    /// false: the chain executed it and undid it.
    var succeeded: Bool
    /// Everything it moves that can be a deposit, by ordinal.
    var transfers: [Int: Transfer]
    /// The chain has no way back behind this block.
    var isFinal = false
}

/// A movement inside a transaction.
struct Transfer: Hashable, Sendable {
    /// To whom.
    var address: String
    /// Contract; "": the native coin.
    var token: String
    var units: TokenUnits
}

/// A transfer with its place, as a scan finds it.
struct ChainTransfer: Hashable, Sendable {
    var transaction: String
    /// Among the transfers of the transaction; 0: the native coin.
    var ordinal: Int
    var transfer: Transfer
    var block: Int64
    var blockHash: String
}
