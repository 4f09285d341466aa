import JobConfig
import JobCore
import Logging
import NIOCore
import NIOPosix
import Synchronization

/// Tells people: looks at the host every few seconds, and sends what the book says to every
/// receiver. Off the host's loop; commands are spawned by it.
actor Alerts {
    /// Runs a program with a text on its standard input; nil: it ended well, else what is wrong.
    typealias Run = @Sendable (_ command: [String], _ input: [UInt8]) async -> String?

    private static let period = TimeAmount.seconds(2)

    private struct Receiver {
        enum Way {
            case webhook(Webhook)
            case command([String])

            /// The same for who is reached in the same way; it tells nobody how.
            var digest: String {
                switch self {
                case .webhook(let webhook): SHA256.hex(of: Array(webhook.url.whole.utf8))
                case .command(let command): SHA256.hex(of: Array(command.joined(separator: "\0").utf8))
                }
            }
        }
        /// Of this one, for as long as it stays: whoever is taken out and named again is another.
        var id: Int
        var name: String
        var digest: String
        var way: Way
        var outbox = Outbox()
    }

    private let shelf: SnapshotShelf
    private let run: Run
    private let clock: any TimeSource
    private let log: Logger
    private let epoch: String
    /// nil: until they are told for the first time.
    private var settings: AlertSettings?
    private var book = AlertBook()
    private var receivers: [Receiver] = []
    private var number = 0
    private var lastReceiver = 0
    private var isLooking = false
    private var timer: RepeatedTask?
    private let file: AlertFile?
    /// What the file does not have yet.
    private var isChanged = false
    private var written = AlertMemory()
    private var fileProblem: String?
    /// Whoever waits for the last messages to be delivered.
    private var atRest: CheckedContinuation<Void, Never>?
    private nonisolated let happened = Mutex<[Alert]>([])

    /// - Parameter file: of this host's lives; nil: nothing is remembered.
    init(shelf: SnapshotShelf, clock: any TimeSource, log: Logger, file: AlertFile? = nil, run: @escaping Run) {
        self.shelf = shelf
        self.clock = clock
        self.log = log
        self.file = file
        self.run = run
        epoch = String(clock.now().wall.microseconds, radix: 36)
        guard let (memory, problem) = file?.read() else { return }
        if let problem { log.warning("\(problem)") }
        written = memory
        book.remember(memory.told, clock.now())
        // Nothing is sent before `use` has said how each is reached now.
        receivers = memory.receivers.enumerated().map { index, receiver in
            Receiver(id: -1 - index, name: receiver.name, digest: receiver.digest, way: .command([]), outbox: memory.outbox(of: receiver))
        }
    }

    func start() {
        timer = MultiThreadedEventLoopGroup.singleton.any().scheduleRepeatedTask(initialDelay: Self.period, delay: Self.period) { [weak self] _ in
            Task { await self?.look() }
        }
    }

    /// The last words of a life of the host. What nobody has taken within the limit the next one sends.
    func finish(within limit: TimeAmount) async {
        timer?.cancel()
        await look(isLast: true)
        for index in receivers.indices { receivers[index].outbox.hurry() }
        sendDue()
        if isSending {
            await withCheckedContinuation { waiting in
                atRest = waiting
                MultiThreadedEventLoopGroup.singleton.any().scheduleTask(in: limit) { [weak self] in
                    Task { await self?.rest() }
                }
            }
        }
        save()
    }

    private var isSending: Bool { receivers.contains(where: \.outbox.isSending) }

    private func rest() {
        atRest?.resume()
        atRest = nil
    }

    /// As of a reload. Messages that wait for a receiver that stays are kept.
    func use(_ settings: AlertSettings) {
        guard settings != self.settings else { return }
        self.settings = settings
        var ways: [(String, Receiver.Way)] = settings.webhooks.map { ($0.shown, .webhook(Webhook(url: $0, caFile: settings.caFile))) }
        if let program = settings.command.first { ways.append((program, .command(settings.command))) }
        var old = receivers
        receivers = []
        for (shown, way) in ways {
            // Two URLs may differ in nothing that is shown.
            let alike = receivers.count { $0.name == shown || $0.name.hasPrefix(shown + " (") }
            let name = alike == 0 ? shown : "\(shown) (\(alike + 1))"
            // Who is reached in the same way, else who has the name: of a URL whose key was changed, or a command's arguments.
            let digest = way.digest
            let before = old.firstIndex { $0.digest == digest } ?? old.firstIndex { was in
                was.name == name && !ways.contains { $0.1.digest == was.digest }
            }
            if let before {
                let was = old.remove(at: before)
                receivers.append(Receiver(id: was.id, name: name, digest: digest, way: way, outbox: was.outbox))
            } else {
                lastReceiver += 1
                receivers.append(Receiver(id: lastReceiver, name: name, digest: digest, way: way))
            }
        }
        isChanged = true
        book.settings = AlertBook.Settings(gather: settings.gather, again: settings.again)
    }

    /// From the event hub; any thread.
    nonisolated func hear(_ events: [HostEvent]) {
        let alerts = events.compactMap(Alert.init(of:))
        guard !alerts.isEmpty else { return }
        happened.withLock { waiting in
            // The book counts them anyway; more than so many at once say no more.
            waiting += alerts.prefix(max(0, 10_000 - waiting.count))
        }
    }

    func look() async {
        guard !isLooking else { return }
        isLooking = true
        defer { isLooking = false }
        await look(isLast: false)
        save()
    }

    private func look(isLast: Bool) async {
        let host = await shelf.snapshot()
        guard host.phase != "starting", let settings else { return }
        let happened = self.happened.withLock { waiting in
            defer { waiting = [] }
            return waiting
        }
        func isWanted(_ alert: Alert) -> Bool { settings.level == .warning || alert.severity == .critical }
        let lines = book.look(Alert.conditions(host).filter(isWanted), happened.filter(isWanted), now: clock.now(), isLast: isLast)
        if !lines.isEmpty { tell(lines, host: host.name) }
        sendDue()
    }

    private func tell(_ lines: [AlertBook.Line], host: String) {
        for line in lines {
            let level: Logger.Level = line.state == .resolved ? .notice : line.alert.severity == .critical ? .critical : .warning
            var fields: Logger.Metadata = ["alert": "\(line.alert.kind.rawValue)", "subject": "\(line.alert.subject)", "count": "\(line.count)"]
            // By which all that is about a job is found.
            if let job = line.alert.job { fields["said.job"] = "\(job)" }
            log.log(level: level, "alert \(line.state.rawValue): \(line.alert.text)", metadata: fields)
        }
        isChanged = true
        guard !receivers.isEmpty else { return }
        let message = message(lines, host: host)
        for index in receivers.indices { receivers[index].outbox.add(message) }
    }

    private func message(_ lines: [AlertBook.Line], host: String) -> Outbox.Message {
        number += 1
        let id = "\(epoch)-\(number)"
        let message = API.AlertMessage(id: id, host: host, at: clock.now().wall, lines)
        return Outbox.Message(id: id, body: (try? APIJSON.bytes(of: message)) ?? Array("{}".utf8))
    }

    private func sendDue() {
        for index in receivers.indices {
            guard let message = receivers[index].outbox.next(now: clock.now().monotonic) else { continue }
            let (id, way) = (receivers[index].id, receivers[index].way)
            Task {
                let problem = await deliver(message, way)
                ended(id, problem)
            }
        }
    }

    private func ended(_ id: Int, _ problem: String?) {
        guard let index = receivers.firstIndex(where: { $0.id == id }) else { return }
        let before = receivers[index].outbox.problem
        if receivers[index].outbox.ended(problem, now: clock.now().monotonic) {
            log.error("an alert was given up: \(problem ?? "")")
        } else if let problem, problem != before {
            log.warning("an alert was not taken, it is tried again: \(problem)")
        }
        isChanged = true
        sendDue()
        if atRest == nil { save() } else if !isSending { rest() }
    }

    /// At each change of what is to outlive this process.
    private func save() {
        guard isChanged, let file else { return }
        let memory = AlertMemory(told: book.told(clock.now()), boxes: receivers.map { ($0.name, $0.digest, $0.outbox) })
        do {
            if memory != written { try file.write(memory) }
            (written, isChanged, fileProblem) = (memory, false, nil)
        } catch {
            // It is tried again with the next look.
            if fileProblem != "\(error)" { log.error("alerts are not remembered over a restart: \(error)") }
            fileProblem = "\(error)"
        }
    }

    private func deliver(_ message: Outbox.Message, _ way: Receiver.Way) async -> String? {
        switch way {
        case .command(let command): return await run(command, message.body)
        case .webhook(let webhook):
            var headers = [("X-Jobhost-Delivery", message.id)]
            if let secret = settings?.secret {
                let time = String(clock.now().wall.microseconds / 1_000_000)
                headers.append(("X-Jobhost-Timestamp", time))
                headers.append(("X-Jobhost-Signature", "sha256=" + SHA256.hmac(key: Array(secret.secret.utf8), Array("\(time).".utf8) + message.body)))
            }
            return await webhook.post(message.body, headers: headers, run: run)
        }
    }

    // MARK: Asked

    func shown() -> API.Alerts {
        API.Alerts(alerts: book.standing.map(API.AlertLine.init), receivers: receivers.map { line(of: $0, problem: $0.outbox.problem) })
    }

    private func line(of receiver: Receiver, problem: String?) -> API.AlertReceiver {
        API.AlertReceiver(name: receiver.name, waiting: receiver.outbox.messages.count, lost: receiver.outbox.lost, problem: problem)
    }

    /// Sends one message to every receiver now, past what waits for it.
    func test(by name: String) async -> API.AlertTest {
        let host = await shelf.snapshot().name
        let alert = Alert(.test, "a test of the alerts, asked for by \(name)", hint: "nothing is to be done")
        let message = message([AlertBook.Line(alert: alert, state: .happened, since: clock.now().wall, count: 1)], host: host)
        var results: [API.AlertReceiver] = []
        for receiver in receivers {
            let problem = await deliver(message, receiver.way)
            results.append(line(of: receiver, problem: problem))
        }
        return API.AlertTest(receivers: results)
    }
}
