import JobKit

/// Values as Ethereum's JSON-RPC writes them (execution-apis: quantities are hexadecimal without
/// leading zeros, data is hexadecimal of whole bytes).
extension JSON {
    /// A quantity that is a block's number or the like.
    func quantity(_ what: String) throws -> Int64 {
        let text = try string(what)
        guard text.hasPrefix("0x"), let value = Int64(text.dropFirst(2), radix: 16), value >= 0 else {
            throw ChainNode.Nonsense("\(what) is no quantity: \(text.prefix(40))")
        }
        return value
    }

    /// A quantity of up to 256 bits.
    func units(_ what: String) throws -> TokenUnits {
        let text = try string(what)
        guard text.hasPrefix("0x"), let units = TokenUnits(hex: text) else {
            throw ChainNode.Nonsense("\(what) is no quantity: \(text.prefix(80))")
        }
        return units
    }

    /// A hash, an address, data: lower case.
    func data(_ what: String) throws -> String {
        let text = try string(what)
        guard text.hasPrefix("0x"), text.utf8.count % 2 == 0, text.dropFirst(2).allSatisfy(\.isHexDigit) else {
            throw ChainNode.Nonsense("\(what) is no hexadecimal data: \(text.prefix(80))")
        }
        return text.lowercased()
    }
}

/// An ERC-20 transfer in a log (EIP-20: `Transfer(address indexed, address indexed, uint256)`).
/// ERC-721's event has the same name and the token's id as a third indexed value; it is none.
struct TransferLog: Hashable {
    var token: String
    var recipient: String
    var units: TokenUnits
    var transaction: String
    /// A reorganisation took it back.
    var isRemoved: Bool

    /// keccak256("Transfer(address,address,uint256)")
    static let topic = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"

    /// nil: another event.
    init?(_ log: JSON) throws {
        let log = try log.object("a log")
        let topics = try log.member("topics").array("topics").map { try $0.data("a topic") }
        guard topics.count == 3, topics[0] == Self.topic else { return nil }
        let data = try log.member("data").data("data")
        guard data.utf8.count == 66, topics[2].utf8.count == 66, let units = TokenUnits(hex: data) else { return nil }
        token = try log.member("address").data("address")
        recipient = "0x" + topics[2].suffix(40)
        self.units = units
        transaction = try log.member("transactionHash").data("transactionHash")
        isRemoved = log["removed"] == .bool(true)
    }
}
