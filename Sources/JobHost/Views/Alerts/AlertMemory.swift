import JobCore
import JobJSON

/// What outlives a life of the host: of what people were told that it is wrong, and messages that nobody has taken yet.
struct AlertMemory: Codable, Equatable {
    struct Receiver: Codable, Equatable {
        /// A message, and how often it was tried.
        struct Waiting: Codable, Equatable {
            var message: String
            var attempts: Int
        }
        var name: String
        /// Of what it is reached by, which may be a key.
        var digest: String
        var waiting: [Waiting]
        var lost: Int
    }

    static let newest = 1
    /// Of all messages together; the oldest are left out first.
    static let mostBytes = 2 << 20

    var version = Self.newest
    var told: [AlertBook.Told] = []
    /// Each once, however many receivers wait for it.
    var messages: [String: String] = [:]
    /// What waits, in order.
    var receivers: [Receiver] = []

    /// Whoever is not short of a message needs no line.
    init(told: [AlertBook.Told] = [], boxes: [(name: String, digest: String, outbox: Outbox)] = []) {
        self.told = told
        var room = Self.mostBytes
        // The newest of each first.
        for back in 1...Outbox.mostMessages {
            for box in boxes where box.outbox.messages.count >= back {
                let message = box.outbox.messages[box.outbox.messages.count - back]
                guard messages[message.id] == nil, message.body.count <= room else { continue }
                room -= message.body.count
                messages[message.id] = String(decoding: message.body, as: UTF8.self)
            }
        }
        receivers = boxes.filter { !$0.outbox.messages.isEmpty }.map { name, digest, outbox in
            let waiting = outbox.messages.filter { messages[$0.id] != nil }
            return Receiver(
                name: name, digest: digest, waiting: waiting.map { .init(message: $0.id, attempts: $0.attempts) },
                lost: outbox.lost + outbox.messages.count - waiting.count)
        }
    }

    func outbox(of receiver: Receiver) -> Outbox {
        Outbox(
            messages: receiver.waiting.suffix(Outbox.mostMessages).compactMap { waiting in
                messages[waiting.message].map { Outbox.Message(id: waiting.message, body: Array($0.utf8), attempts: max(0, waiting.attempts)) }
            }, lost: receiver.lost)
    }
}

/// `<state_dir>/alerts.json`. For the owner only: messages may say what nobody else is to read.
struct AlertFile: Sendable {
    private let file: StateFile
    private static let longest = 16 << 20

    init(stateDir: String) { file = StateFile(folder: stateDir, name: "alerts.json", longest: Self.longest, mode: 0o600) }

    /// One that cannot be understood is put aside, and a sentence says so: the host must start.
    func read() -> (memory: AlertMemory, problem: String?) {
        do {
            guard let bytes = try file.read() else { return (AlertMemory(), nil) }
            let json = try JSON(parsing: bytes, limits: .init(bytes: Self.longest))
            let version = json["version"]
            guard version == .number("\(AlertMemory.newest)") else {
                throw HostFault("read it", code: 0, detail: "it is of version \(version ?? .null), this host knows \(AlertMemory.newest)")
            }
            return (try json.decode(AlertMemory.self), nil)
        } catch {
            return (AlertMemory(), "what alerts were told before, \(file.path), cannot be read and is put aside as \(file.setAside()): \(error)")
        }
    }

    func write(_ memory: AlertMemory) throws { try file.write(try JSON(encoding: memory).canonicalBytes) }
}
