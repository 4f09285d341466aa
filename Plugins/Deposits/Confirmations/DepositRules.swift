import ExchangeKit

/// What the chain says of one deposit, understood.
enum DepositFact: Hashable, Sendable {
    /// - isSettled: deep enough to be believed. - isFinal: there is no way back behind it.
    /// - fault: why this is no deposit, though it is in a block.
    case included(block: Int64, hash: String, isSettled: Bool, isFinal: Bool, fault: DepositFault?)
    /// Known, in no block.
    case waiting
    /// Not known.
    case absent
    /// The node cannot say: it has not reached that block, or lags behind what it said before.
    case unknowable
}

/// Why something in a block is no deposit. Permanent: the chain will not say anything else of it.
enum DepositFault: Hashable, Sendable {
    case failed(String)
    /// The amount does not fit.
    case amountUnsupported(String)

    var reason: String {
        switch self {
        case .failed(let reason), .amountUnsupported(let reason): reason
        }
    }
    var status: DepositStatus {
        switch self {
        case .failed: .failed
        case .amountUnsupported: .amountUnsupported
        }
    }
}

/// What has to be told when a deposit changes.
enum DepositAction: Hashable, Sendable {
    /// It may be credited.
    case confirmed
    /// A reorganisation put it into another block.
    case moved(from: Int64, to: Int64)
    /// A reorganisation took it out of its block, before it was credited.
    case gone(from: Int64)
    case dropped
    case failed
    /// A reorganisation took it away after it was credited.
    case reversalRequired
    /// … and brought it back.
    case returned
}

/// How a deposit goes on: a fact in, the new row and what to tell out.
///
///     PENDING ⇄ CONFIRMING ⇄ CONFIRMED ── credit ──► CREDITED ⇄ REVERSAL_REQUIRED
///        │          │            └─ guard ─► HELD (followed like CONFIRMED)
///        ▼          ▼
///     DROPPED    FAILED, AMOUNT_UNSUPPORTED
struct DepositRules: Hashable, Sendable {
    /// Confirmations after which a credited deposit is no longer looked at.
    var watch: Int64
    /// Milliseconds that the chain may not know a transaction before it is given up.
    var dropAfter: Int64

    /// - Parameter head: the chain's newest block.
    func next(_ old: Deposit, _ fact: DepositFact, head: Int64, now: Int64) -> (row: Deposit, actions: [DepositAction]) {
        switch fact {
        case .unknowable:
            return (old, [])
        case .included(let block, let hash, let isSettled, let isFinal, let fault):
            var row = old
            let isMoved = old.blockHash != nil && old.blockHash != hash
            row.block = block
            row.blockHash = hash
            row.confirmations = max(1, head - block + 1)
            row.missing = nil
            row.verified = true
            var actions: [DepositAction] = []
            if isMoved { actions.append(.moved(from: old.block ?? block, to: block)) }
            if let fault {
                include(&row, fault, isSettled: isSettled, &actions)
            } else {
                include(&row, isSettled: isSettled, isFinal: isFinal, isMoved: isMoved, &actions)
            }
            return (row, actions)
        case .waiting, .absent:
            return missing(old, isKnown: fact == .waiting, now: now)
        }
    }

    private func include(
        _ row: inout Deposit, isSettled: Bool, isFinal: Bool, isMoved: Bool, _ actions: inout [DepositAction]
    ) {
        switch row.status {
        case .pending, .confirming, .confirmed:
            let wasConfirmed = row.status == .confirmed
            // A head that went back takes no confirmation away while the block is there.
            row.status = isSettled || wasConfirmed && !isMoved ? .confirmed : .confirming
            row.reason = ""
            if row.status == .confirmed, !wasConfirmed || isMoved { actions.append(.confirmed) }
        case .held:
            if isMoved, !isSettled {
                row.status = .confirming
                row.reason = ""
            }
        case .reversalRequired:
            row.status = .credited
            row.reason = ""
            actions.append(.returned)
        case .credited:
            if isFinal || row.confirmations >= watch { row.watched = false }
        case .failed, .amountUnsupported, .dropped:
            break
        }
    }

    private func include(
        _ row: inout Deposit, _ fault: DepositFault, isSettled: Bool, _ actions: inout [DepositAction]
    ) {
        switch row.status {
        case .pending, .confirming, .confirmed, .held:
            // Until then a reorganisation may execute it again, with another result.
            row.status = isSettled ? fault.status : .confirming
            row.reason = fault.reason
            row.verified = false
            if isSettled {
                row.watched = false
                actions.append(.failed)
            }
        case .credited:
            row.status = .reversalRequired
            row.reason = fault.reason
            row.verified = false
            actions.append(.reversalRequired)
        case .reversalRequired:
            row.verified = false
        case .failed, .amountUnsupported, .dropped:
            break
        }
    }

    private func missing(_ old: Deposit, isKnown: Bool, now: Int64) -> (row: Deposit, actions: [DepositAction]) {
        var row = old
        row.block = nil
        row.blockHash = nil
        row.confirmations = 0
        row.verified = false
        row.missing = isKnown ? nil : old.missing ?? now
        switch old.status {
        case .pending, .confirming, .confirmed, .held:
            row.status = .pending
            if old.blockHash != nil {
                row.reason = "a reorganisation took it out of block \(old.block ?? 0)"
                return (row, [.gone(from: old.block ?? 0)])
            }
            if let since = row.missing, now - since >= dropAfter {
                row.status = .dropped
                row.watched = false
                row.reason = "the chain has not known it for \(hours(now - since))"
                return (row, [.dropped])
            }
            return (row, [])
        case .credited:
            row.status = .reversalRequired
            row.reason = "credited, and then a reorganisation took it out of block \(old.block ?? 0)"
            return (row, [.reversalRequired])
        case .reversalRequired:
            return (row, [])
        case .failed, .amountUnsupported, .dropped:
            return (old, [])
        }
    }

    private func hours(_ milliseconds: Int64) -> String { "\(milliseconds / 3_600_000) h" }
}

extension Deposit {
    /// Why what a block holds is not this deposit; nil: it is.
    ///
    /// - Parameters:
    ///   - decimals: of the coin or token; nil: a token that is not on the list.
    ///   - canonical: the chain's one form of an address.
    func fault(
        in inclusion: Inclusion, asset: (currency: String, decimals: Int)?, canonical: (String) -> String
    ) -> DepositFault? {
        guard inclusion.succeeded else { return .failed("the transaction failed on the chain") }
        guard let transfer = inclusion.transfers[ordinal] else {
            return .failed("the transaction has no transfer \(ordinal) that could be a deposit")
        }
        guard canonical(transfer.token) == canonical(token) else {
            return .failed("the chain moves \(Self.named(transfer.token)), not \(Self.named(token))")
        }
        guard let asset else { return .failed("the token \(token) is not on the list of tokens") }
        guard asset.currency == currency else {
            return .failed("\(Self.named(token)) is \(asset.currency), the wallet is in \(currency)")
        }
        if !address.isEmpty, canonical(transfer.address) != canonical(address) {
            return .failed("the chain pays \(transfer.address), not \(address)")
        }
        if transfer.units.isZero { return .failed("the chain moves nothing") }
        do {
            let moved = try transfer.units.amount(decimals: asset.decimals)
            return moved == amount ? nil : .failed("the chain moves \(moved) \(currency), not \(amount)")
        } catch {
            return .amountUnsupported("\(transfer.units) units with \(asset.decimals) decimals: \(error)")
        }
    }

    private static func named(_ token: String) -> String { token.isEmpty ? "the native coin" : "the token \(token)" }
}
