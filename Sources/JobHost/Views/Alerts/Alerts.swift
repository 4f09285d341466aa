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
        }
        var name: String
        var way: Way
        var outbox = Outbox()
    }

    private let shelf: SnapshotShelf
    private let run: Run
    private let clock: any TimeSource
    private let log: Logger
    private let epoch: String
    private var settings = AlertSettings()
    private var book = AlertBook()
    private var receivers: [Receiver] = []
    private var number = 0
    private var isLooking = false
    private var timer: RepeatedTask?
    private nonisolated let happened = Mutex<[Alert]>([])

    init(shelf: SnapshotShelf, clock: any TimeSource, log: Logger, run: @escaping Run) {
        self.shelf = shelf
        self.clock = clock
        self.log = log
        self.run = run
        epoch = String(clock.now().wall.microseconds, radix: 36)
    }

    func start() {
        timer = MultiThreadedEventLoopGroup.singleton.any().scheduleRepeatedTask(initialDelay: Self.period, delay: Self.period) { [weak self] _ in
            Task { await self?.look() }
        }
    }

    func stop() { timer?.cancel() }

    /// As of a reload. Messages that wait for a receiver that stays are kept.
    func use(_ settings: AlertSettings) {
        guard settings != self.settings else { return }
        self.settings = settings
        var ways: [(String, Receiver.Way)] = settings.webhooks.map { ($0.shown, .webhook(Webhook(url: $0, caFile: settings.caFile))) }
        if let program = settings.command.first { ways.append((program, .command(settings.command))) }
        let old = Dictionary(receivers.map { ($0.name, $0.outbox) }, uniquingKeysWith: { first, _ in first })
        receivers = []
        for (shown, way) in ways {
            // Two URLs may differ in nothing that is shown.
            let alike = receivers.count { $0.name == shown || $0.name.hasPrefix(shown + " (") }
            let name = alike == 0 ? shown : "\(shown) (\(alike + 1))"
            receivers.append(Receiver(name: name, way: way, outbox: old[name] ?? Outbox()))
        }
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
        let host = await shelf.snapshot()
        guard host.phase != "starting", host.phase != "draining" else { return }
        let happened = self.happened.withLock { waiting in
            defer { waiting = [] }
            return waiting
        }
        func isWanted(_ alert: Alert) -> Bool { settings.level == .warning || alert.severity == .critical }
        let lines = book.look(Alert.conditions(host).filter(isWanted), happened.filter(isWanted), now: clock.now())
        if !lines.isEmpty { tell(lines, host: host.name) }
        sendDue()
    }

    private func tell(_ lines: [AlertBook.Line], host: String) {
        for line in lines {
            let level: Logger.Level = line.state == .resolved ? .notice : line.alert.severity == .critical ? .critical : .warning
            log.log(
                level: level, "alert \(line.state.rawValue): \(line.alert.text)",
                metadata: ["alert": "\(line.alert.kind.rawValue)", "subject": "\(line.alert.subject)", "count": "\(line.count)"])
        }
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
            let (name, way) = (receivers[index].name, receivers[index].way)
            Task {
                let problem = await deliver(message, way)
                ended(name, problem)
            }
        }
    }

    private func ended(_ name: String, _ problem: String?) {
        guard let index = receivers.firstIndex(where: { $0.name == name }) else { return }
        let before = receivers[index].outbox.problem
        if receivers[index].outbox.ended(problem, now: clock.now().monotonic) {
            log.error("an alert was given up: \(problem ?? "")")
        } else if let problem, problem != before {
            log.warning("an alert was not taken, it is tried again: \(problem)")
        }
        sendDue()
    }

    private func deliver(_ message: Outbox.Message, _ way: Receiver.Way) async -> String? {
        switch way {
        case .command(let command): return await run(command, message.body)
        case .webhook(let webhook):
            var headers = [("X-Jobhost-Delivery", message.id)]
            if let secret = settings.secret {
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
