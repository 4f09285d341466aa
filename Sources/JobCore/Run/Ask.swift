/// What one person asked for and a second one has to agree to: `approval = 2`. Pure.
///
/// A person is what the host can tell apart: a user of the machine, a name in the file of tokens.
public struct Ask: Hashable, Sendable {
    public enum State: String, Codable, CaseIterable, Sendable {
        case waiting, approved
        /// By another person.
        case refused
        /// By the one who asked.
        case withdrawn
        /// Nobody decided in time.
        case expired
    }
    public enum Answer: Hashable, Sendable { case approve, refuse }
    /// Why an answer does not count.
    public enum Obstacle: Error, Hashable, Sendable {
        /// Whoever asks is no second person.
        case isOwn
        /// It has been decided, or is too old.
        case hasEnded(State)
    }

    /// An answer counts for so long.
    public static let lifetime = Duration.seconds(3_600)

    /// 0: it has not been kept yet.
    public var id: Int64
    public var job: String
    /// What is asked for, for people: "trigger".
    public var action: String
    /// What is done when it is approved; in a form of whoever does it.
    public var command: String
    public var askedBy: String
    public var reason: String
    public var askedAt: Instant
    /// As decided; whether it has expired is a question of the time.
    private var decision: State?
    public private(set) var decidedBy: String
    public private(set) var decidedAt: Instant?

    public init(job: String, action: String, command: String, by person: String, reason: String, at now: Instant) {
        self.init(id: 0, job: job, action: action, command: command, askedBy: person, reason: reason, askedAt: now)
    }

    /// As it was kept.
    public init(
        id: Int64, job: String, action: String, command: String, askedBy: String, reason: String, askedAt: Instant,
        decision: State? = nil, decidedBy: String = "", decidedAt: Instant? = nil
    ) {
        self.id = id
        self.job = job
        self.action = action
        self.command = command
        self.askedBy = askedBy
        self.reason = reason
        self.askedAt = askedAt
        self.decision = decision
        self.decidedBy = decidedBy
        self.decidedAt = decidedAt
    }

    public var expiresAt: Instant { askedAt + Self.lifetime }

    public func state(now: Instant) -> State { decision ?? (now < expiresAt ? .waiting : .expired) }

    /// The ask as it is after a person's answer. To refuse is open to everybody, also to whoever
    /// asked; to approve is another person's.
    public func answered(_ answer: Answer, by person: String, at now: Instant) throws(Obstacle) -> Ask {
        let state = state(now: now)
        guard state == .waiting else { throw .hasEnded(state) }
        if answer == .approve, person == askedBy { throw .isOwn }
        var ask = self
        ask.decision = answer == .approve ? .approved : person == askedBy ? .withdrawn : .refused
        ask.decidedBy = person
        ask.decidedAt = now
        return ask
    }
}
