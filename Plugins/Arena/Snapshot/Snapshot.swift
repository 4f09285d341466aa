import ExchangeKit
import JobCore
import JobKit

/// All that a simulation needs to go on elsewhere, or after its database was lost: its clock, where
/// its prices stand, what its agents have. Of the past there is one trade in each half hour of the last
/// day, as agents look back on it.
struct Snapshot: Codable, Hashable, Sendable {
    static let format = "arena-snapshot/1"

    struct Market: Codable, Hashable, Sendable {
        var name: String
        var mode: String
        var seed: Int64
        var ticks: Int64
        var firstTick: Int64
        var epoch: Int64
        /// The market's time, milliseconds since 1970 UTC.
        var clock: Int64
        var file: String
        var fileOffset: Int64
        var fileLine: Int64
        var finished: Bool
    }
    struct Pair: Codable, Hashable, Sendable {
        var symbol: String
        var base: String
        var quote: String
        /// Oldest first; the last one is the newest there is.
        var trades: [Trade]
    }
    struct Trade: Codable, Hashable, Sendable {
        var id: Int64
        var instant: Int64
        var side: String
        var price: Amount
        var amount: Amount
    }
    struct Agent: Codable, Hashable, Sendable {
        var name: String
        var strategy: String
        var currency: String
        var capital: Amount
        var trades: Int64
        var fees: Amount
        var equity: Amount
        var joined: Int64
        /// By currency.
        var wallets: [String: Amount]
    }
    struct Window: Codable, Hashable, Sendable {
        var opens: Int64
        var clock: Int64
        var missed: Int64
        var trades: Int64
    }

    var format = Snapshot.format
    var number: Int64
    /// Real time, milliseconds since 1970 UTC.
    var taken: Int64
    /// Of the run that took it: a retry is no second one.
    var cause: String
    var market: Market
    var pairs: [Pair]
    var agents: [Agent]
    /// The newest that was traded.
    var window: Window?

    /// The same, but for who took it and when.
    func isSameState(as other: Snapshot) -> Bool {
        market == other.market && pairs == other.pairs && agents == other.agents && window == other.window
    }

    // MARK: As text

    /// One line of JSON, and one that tells whether it is whole.
    var text: String {
        get throws {
            let json = try JSON(encoding: self).canonicalText
            return json + "\nsha256 \(SHA256.hex(of: Array(json.utf8)))\n"
        }
    }

    /// - Throws: `SnapshotFault`.
    init(text: String) throws(SnapshotFault) {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.count == 3, lines[2].isEmpty, lines[1].hasPrefix("sha256 ") else {
            throw SnapshotFault("it is cut off, or no snapshot")
        }
        guard lines[1].dropFirst(7) == SHA256.hex(of: Array(lines[0].utf8)) else {
            throw SnapshotFault("its checksum does not fit, it was damaged or changed")
        }
        do {
            let json = try JSON(parsing: String(lines[0]), limits: .wide)
            guard json["format"]?.stringValue == Self.format else {
                throw SnapshotFault("its format is \(json["format"]?.text ?? "unknown"), this plugin reads \"\(Self.format)\"")
            }
            self = try json.decode(Snapshot.self)
        } catch let fault as SnapshotFault {
            throw fault
        } catch {
            throw SnapshotFault("it cannot be read: \(error)")
        }
    }

    init(number: Int64, taken: Int64, cause: String, market: Market, pairs: [Pair], agents: [Agent], window: Window?) {
        self.number = number
        self.taken = taken
        self.cause = cause
        self.market = market
        self.pairs = pairs
        self.agents = agents
        self.window = window
    }
}

/// Why a snapshot is refused; goes on a sentence that names it.
struct SnapshotFault: Error, Hashable, Sendable, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }
}
