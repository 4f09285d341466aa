/// Where a mint is.
///
///     requested ─► sent ─┬─► minted
///         ▲              ├─► failed
///         └── not there ─┴─► unknown ─► (the minter is asked) ─► minted | failed | requested
enum MintStatus: String, CaseIterable, Sendable {
    /// The minter has not heard of it.
    case requested
    /// On its way, or accepted and not done.
    case sent
    case minted
    /// The minter has refused it.
    case failed
    /// It was sent, and whether it arrived is not known.
    case unknown

    var isFinal: Bool { self == .minted || self == .failed }
}

/// What was heard of a mint.
enum MintEvent: Hashable, Sendable {
    case minted(reference: String)
    /// Accepted, not done.
    case pending
    /// For good.
    case refused(reason: String)
    /// The minter was asked and has never heard of it.
    case notKnown
    /// The request has certainly not arrived.
    case notSent(reason: String)
    /// It may have arrived.
    case noAnswer(reason: String)
}

/// What is to be done next.
enum MintStep: Hashable, Sendable {
    case send
    case ask
    case done
    /// For a human: sending again could mint twice, or is no use.
    case giveUp(reason: String)
}

/// One mint, from the sale that caused it to its end.
struct MintMachine: Hashable, Sendable {
    private(set) var status: MintStatus
    /// How often it was sent.
    private(set) var sends: Int64
    private(set) var reference: String?
    private(set) var reason: String

    init(status: MintStatus = .requested, sends: Int64 = 0, reference: String? = nil, reason: String = "") {
        self.status = status
        self.sends = sends
        self.reference = reference
        self.reason = reason
    }

    /// - Parameter looksUp: the minter can be asked what became of a key.
    func nextStep(looksUp: Bool, maxSends: Int64) -> MintStep {
        switch status {
        case .requested: sends < maxSends ? .send : .giveUp(reason: "it was sent \(sends) times and never arrived")
        case .sent, .unknown:
            looksUp
                ? .ask
                : .giveUp(reason: "whether it arrived is not known and the minter cannot be asked: it is never sent again")
        case .minted, .failed: .done
        }
    }

    /// On record before anything leaves: after a crash the minter is asked first.
    mutating func beginSending() {
        guard status == .requested else { return }
        status = .sent
        sends += 1
    }

    /// - Returns: whether that changed anything. The end is the end, whatever is heard later.
    mutating func hear(_ event: MintEvent) -> Bool {
        guard !status.isFinal else { return false }
        let before = self
        switch event {
        case .minted(let reference):
            status = .minted
            self.reference = reference
            reason = ""
        case .refused(let reason):
            status = .failed
            self.reason = reason
        case .pending:
            status = .sent
            reason = ""
        case .notKnown, .notSent:
            guard status != .requested else { return false }
            status = .requested
            if case .notSent(let reason) = event { self.reason = reason }
        case .noAnswer(let reason):
            guard status != .requested else { return false }
            status = .unknown
            self.reason = reason
        }
        return self != before
    }
}
