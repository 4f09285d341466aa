import ExchangeTestKit
import JobKit
import OutsideKit
import SQL
import Synchronization

@testable import ExchangeKit
@testable import MintQueue

func amount(_ text: String) throws -> Amount { try Amount(parsing: text) }

/// 2026-01-05T12:00:00Z
let noon: Int64 = 1_767_614_400_000

/// What a scripted minter does with a request.
enum MinterMood {
    case mints, refuses, losesTheAnswer, isDown, isSlow, losesTheRequest
}

/// A minter in memory that keeps its keys. `moods` are used up request by request; then it is well.
final class ScriptedMinter: Minter {
    var looksUp = true
    var moods: [MinterMood] = []
    /// Look-ups that fail before they work.
    var deafFor = 0
    private(set) var minted: [String: Int] = [:]
    private(set) var calls: [String] = []
    private var pending: Set<String> = []

    func put(_ order: MintOrder) throws -> MintEvent {
        calls.append("PUT")
        switch moods.isEmpty ? .mints : moods.removeFirst() {
        case .mints:
            minted[order.key, default: 0] += minted[order.key] == nil ? 1 : 0
            return try look(order.key, silently: true)
        case .refuses: return .refused(reason: "out of stock")
        case .losesTheAnswer:
            minted[order.key] = 1
            return .noAnswer(reason: "connection lost")
        case .losesTheRequest: return .noAnswer(reason: "connection lost")
        case .isDown: throw CallError(.unavailable, "no connection")
        case .isSlow:
            pending.insert(order.key)
            return .pending
        }
    }

    func finish() {
        for key in pending { minted[key] = 1 }
        pending = []
    }

    func look(_ key: String) throws -> MintEvent {
        calls.append("GET")
        if deafFor > 0 {
            deafFor -= 1
            throw CallError(.unavailable, "no answer to the question")
        }
        return try look(key, silently: true)
    }
    private func look(_ key: String, silently: Bool) throws -> MintEvent {
        if pending.contains(key) { return .pending }
        return minted[key] == nil ? .notKnown : .minted(reference: "m-\(key)")
    }
}

/// A queue's counter: an exchange, a minter, and runs as the host would make them.
final class Counter {
    let test: TestExchange
    let minter = ScriptedMinter()

    init(_ place: TestExchange.Place = .memory) throws { test = try TestExchange(place, statements: .mintQueue) }

    @discardableResult
    func mint(
        _ key: String = "sale-1", asset: String = "7", size: String = "1.5", at seconds: Int64 = 0, created: Int64 = 0,
        cancelled: Bool = false, _ change: (inout MintSettings) -> Void = { _ in }
    ) throws -> RunOutcome {
        try mint(on: test.exchange, key, asset: asset, size: size, at: seconds, cancelled: cancelled, change)
    }

    /// Over a connection of the run's own, as in a worker.
    @discardableResult
    func mintAlone(_ key: String = "sale-1", at seconds: Int64 = 0) throws -> RunOutcome {
        let exchange = try Exchange.open(test.location, statements: .mintQueue)
        defer { exchange.close() }
        return try mint(on: exchange, key, asset: "7", size: "1.5", at: seconds, cancelled: false) { _ in }
    }

    private func mint(
        on exchange: Exchange, _ key: String, asset: String, size: String, at seconds: Int64, cancelled: Bool,
        _ change: (inout MintSettings) -> Void
    ) throws -> RunOutcome {
        var settings = MintSettings()
        settings.mode = .live
        change(&settings)
        let order = MintOrder(key: key, asset: asset, size: try amount(size), createdAt: noon)
        var run = MintRun(exchange, minter, settings, actor: "mint", order: order, now: noon + seconds * 1_000)
        return try run.run(isCancelled: { cancelled })
    }

    /// "status sends reference"
    func record(_ key: String = "sale-1") throws -> String {
        try test.texts("SELECT status, attempts, reference FROM mint_requests WHERE cause = ?", [.text(key)]).first ?? "none"
    }
}
