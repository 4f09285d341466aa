import JobCore

/// Messages to one receiver, in order: tried again with a growing wait, given up after a while,
/// bounded. Pure.
struct Outbox {
    static let mostMessages = 100
    static let mostAttempts = 10
    static let firstWait = Duration.seconds(2)
    static let longestWait = Duration.seconds(300)

    struct Message: Equatable {
        var id: String
        var body: [UInt8]
        var attempts = 0
    }

    private(set) var messages: [Message] = []
    private var notBefore = MonotonicInstant(microseconds: .min)
    private(set) var isSending = false
    /// Given up, or pushed out by newer ones.
    private(set) var lost: Int
    /// Of the last attempt; nil: it arrived.
    private(set) var problem: String?

    init(messages: [Message] = [], lost: Int = 0) {
        self.messages = messages
        self.lost = lost
    }

    /// The wait before the next attempt is over.
    mutating func hurry() { notBefore = MonotonicInstant(microseconds: .min) }

    mutating func add(_ message: Message) {
        if messages.count >= Self.mostMessages {
            // The first may be on its way.
            messages.remove(at: isSending ? 1 : 0)
            lost += 1
        }
        messages.append(message)
    }

    /// The message to send now; `ended` follows. nil: none is due.
    mutating func next(now: MonotonicInstant) -> Message? {
        guard !isSending, now >= notBefore, let message = messages.first else { return nil }
        isSending = true
        return message
    }

    /// true: it has been given up.
    mutating func ended(_ problem: String?, now: MonotonicInstant) -> Bool {
        isSending = false
        self.problem = problem
        guard problem != nil, !messages.isEmpty else {
            if !messages.isEmpty { messages.removeFirst() }
            notBefore = now
            return false
        }
        messages[0].attempts += 1
        let attempts = messages[0].attempts
        guard attempts < Self.mostAttempts else {
            messages.removeFirst()
            lost += 1
            notBefore = now
            return true
        }
        notBefore = now + min(Self.longestWait, Self.firstWait * (1 << min(attempts - 1, 20)))
        return false
    }
}
