import ExchangeKit
import JobKit

/// What a run of `snapshot` is to do: its payload.
struct SnapshotOrder: Codable, Hashable, Sendable {
    enum Action: String, CaseIterable, Codable, Sendable {
        /// Takes a snapshot.
        case save
        /// Goes on from one.
        case resume
        /// Begins the simulation anew.
        case reset
    }
    var action = Action.save
    /// Of the snapshot to resume from; nil: the newest that can be read.
    var number: Int64?

    init(_ action: Action = .save, number: Int64? = nil) {
        self.action = action
        self.number = number
    }

    enum CodingKeys: CodingKey, CaseIterable { case action, number }

    init(from decoder: any Decoder) throws {
        let keys = try decoder.container(keyedBy: CodingKeys.self)
        action = try keys.decodeIfPresent(Action.self, forKey: .action) ?? .save
        number = try keys.decodeIfPresent(Int64.self, forKey: .number)
    }

    /// A run by its schedule has no payload.
    init(_ payload: Payload) throws {
        if payload.isEmpty {
            self.init()
            return
        }
        // A word that is mistyped must not become "save".
        let json = try payload.decode(JSON.self)
        let known = CodingKeys.allCases.map(\.stringValue)
        if let unknown = json.objectValue?.keys.first(where: { !known.contains($0) }) {
            throw JobFailure.permanent("payload: there is no '\(unknown)'; there are \(known.joined(separator: ", "))")
        }
        let order = try payload.decode(SnapshotOrder.self)
        if order.number != nil, order.action != .resume {
            throw JobFailure.permanent("payload: number is of {\"action\": \"resume\"} only")
        }
        self = order
    }
}

/// Keeps a simulation in a file or in the database, resumes and resets it.
public final class SnapshotEntry: ExchangeEntry {
    public static let statements = StatementSet.arena
    public static let info = EntryInfo(
        id: "snapshot", description: "Takes a snapshot of a simulation; by payload resumes or resets it.",
        idempotent: true, cancellable: false, defaultSchedule: "every 15m", payloadSchema: JSONSchema.text(of: SnapshotOrder.self))

    public enum Store: String, CaseIterable, Codable, Sendable {
        case database, file
    }

    public struct Settings: ExchangeSettings {
        public var database = ExchangeLocation.defaultDatabase
        public var lockTimeout = ExchangeLocation.defaultLockTimeout
        public var sql: [String: String] = [:]
        public var simulation = "main"
        public var store = Store.database
        public var folder = "var/snapshots"
        public var namespace = "arena"
        /// "": the simulation's name.
        public var id = ""
        public var keep = 8

        public init() {}
        public static var fields: [SettingsField] {
            ExchangeLocation.fields + [
                SettingsField("simulation", "Which one: the name that its tick has."),
                SettingsField("store", "Where snapshots go: database (the exchange's own) or file."),
                SettingsField("folder", "With store = \"file\": files are <folder>/<namespace>/<id>.<number>.json."),
                SettingsField("namespace", "Tells installations apart that share a folder or a database."),
                SettingsField("id", "Under which the simulation is kept; empty: its name."),
                SettingsField("keep", "So many snapshots; older ones are taken away.", range: 2 ... 1_000),
            ]
        }

        func shelf(_ exchange: Exchange) -> any SnapshotShelf {
            let id = id.isEmpty ? simulation : id
            return switch store {
            case .database: TableShelf(exchange: exchange, namespace: namespace, id: id)
            case .file: FileShelf(folder: folder, namespace: namespace, id: id)
            }
        }
    }

    public static func validate(_ settings: Settings) throws {
        try settings.location.validate(.arena)
        guard !settings.simulation.isEmpty else { throw JobFailure.badSettings("simulation: the name is empty") }
        let id = settings.id.isEmpty ? ("simulation (it is the id)", settings.simulation) : ("id", settings.id)
        for (key, word) in [("namespace", settings.namespace), id] where !WindowPlan.isName(word) {
            throw JobFailure.badSettings(
                "\(key): \"\(word.prefix(60))\" is no name: up to 40 letters, digits, '-', '_' and '.', not '.' first")
        }
        if settings.store == .file, settings.folder.isEmpty { throw JobFailure.badSettings("folder: store = \"file\" needs one") }
    }

    private let settings: Settings

    public init(settings: Settings) throws {
        try Self.validate(settings)
        self.settings = settings
    }

    public func doctor(_ check: DoctorContext) throws {
        try check.exchange(settings.location, statements: .arena) { exchange in
            guard try exchange.purpose() == .simulation else {
                return check.error("purpose", "this is a live exchange: snapshots are of simulations only")
            }
            let shelf = settings.shelf(exchange)
            if settings.store == .file, let fault = FileShelf.fault(settings.folder) { check.error("folder", fault) }
            let (newest, refused) = try shelf.newest()
            for sentence in refused { check.warning("damaged", sentence) }
            guard let newest else { return check.ok("snapshots", "there is none in \(shelf.place)") }
            let text = "\(try shelf.numbers().count) in \(shelf.place), the newest that can be read is \(newest.number), "
                + "taken \(check.age(of: newest.taken)) ago at \(utcText(newest.market.clock / 1_000 * 1_000)) of the market's time"
            check.ok("snapshots", text)
        }
    }

    public func run(_ context: RunContext) throws -> RunOutcome {
        let order = try SnapshotOrder(context.payload)
        if order.action == .resume {
            // The database may be what was lost.
            let (exchange, created) = try Exchange.openSimulation(
                settings.location, statements: .arena, at: ExchangeClock.system.now())
            exchange.close()
            if created { context.log.info("created the simulated exchange \(exchange.place)") }
        }
        return try settings.onExchange(.arena) { exchange, time in
            try exchange.checkSimulation()
            var work = SnapshotRun(exchange, settings, ArenaDriver(context, now: time.now))
            let end = Result { try work.run(order) }
            context.tell(work.report)
            try end.get()
            context.items(work.report.items)
            if work.report.number > 0 {
                context.metrics.gauge(
                    "arena_snapshot_number", Double(work.report.number), labels: ["simulation": settings.simulation])
            }
            guard let summary = work.report.summary else { return .nothingToDo(work.report.idle) }
            return .succeeded("\(summary) (\(time.milliseconds)ms)")
        }
    }
}
