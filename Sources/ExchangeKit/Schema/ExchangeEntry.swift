import JobKit
import SQL

/// An entry that works on the exchange's database: `jobhost schema` knows what it needs there.
public protocol ExchangeEntry: SchemaEntry where Settings: ExchangeSettings {
    static var statements: StatementSet { get }
}

extension ExchangeEntry {
    public static func schema(_ request: SchemaRequest, settings: Settings, _ answer: DoctorContext) throws {
        try SchemaDesk(settings.location, statements).answer(request, answer)
    }
}

/// What one answers to `jobhost schema`.
struct SchemaDesk {
    private let location: ExchangeLocation
    private let statements: StatementSet

    init(_ location: ExchangeLocation, _ statements: StatementSet) throws {
        self.location = location
        self.statements = try location.replacing(statements)
    }

    func answer(_ request: SchemaRequest, _ answer: DoctorContext) throws {
        switch request.action {
        case .print:
            let dialect = try dialect(request)
            let plan = try SchemaPlan(statements, dialect, simulation: request.simulation)
            for object in plan.objects { answer.ok(object.title, object.sql) }
            answer.ok("row exchange_info", Exchange.infoRow(request.simulation ? .simulation : .live, at: answer.now))
        case .grants:
            let plan = try SchemaPlan(statements, try dialect(request), simulation: request.simulation)
            guard plan.dialect == .postgresql else {
                return answer.warning("rights", "SQLite has none: whoever can write the file can do everything")
            }
            let role = request.role ?? "jobhost_" + statements.name.lowercased()
            for (table, sql) in plan.grants(to: role) { answer.ok("rights on \(table) of \(role)", sql) }
        case .check: try onDatabase(create: false) { try check($0, answer) }
        case .apply: try onDatabase(create: true) { try apply($0, request, answer) }
        }
    }

    private func dialect(_ request: SchemaRequest) throws -> SQLDialect {
        guard let name = request.dialect else { return try location.dialect() }
        guard let dialect = SQLDialect(rawValue: name) else {
            throw JobFailure.badSettings("there is no dialect \"\(name)\"; there are sqlite and postgresql")
        }
        return dialect
    }

    private func onDatabase(create: Bool, _ body: (Exchange) throws -> Void) throws {
        let place = try location.place()
        do {
            let exchange = Exchange(
                connection: try Exchange.connect(location, create: create), place: place, statements: statements)
            defer { exchange.close() }
            try body(exchange)
        } catch {
            throw Exchange.failure(error, place: place)
        }
    }

    // MARK: check

    private func check(_ exchange: Exchange, _ answer: DoctorContext) throws {
        let simulation = try Exchange.isMade(exchange.connection) && exchange.purpose() == .simulation
        let plan = try SchemaPlan(statements, exchange.connection.dialect, simulation: simulation)
        let faults = try SchemaCheck(plan: plan, connection: exchange.connection).faults()
        for fault in faults { answer.tell(fault.level, fault.subject, fault.text) }
        let wrong = try Exchange.isMade(exchange.connection)
            ? exchange.statementFaults(all: !faults.contains { $0.level == .error }) : []
        for fault in wrong { answer.error("statements", fault) }
        guard !faults.contains(where: { $0.level == .error }), wrong.isEmpty else { return }
        try exchange.checkSchema()
        let replaced = statements.replaced.isEmpty ? "" : ", \(counted(statements.replaced.count, "statement")) of your own fit"
        answer.ok("schema", "\(exchange.place) has all \(counted(plan.needs.tables.count, "table")) with their columns\(replaced)")
    }

    // MARK: apply

    /// Makes what is missing, all or nothing. What is there is left as it is: a table of that name
    /// with other columns is a matter of replaced statements, and refused.
    private func apply(_ exchange: Exchange, _ request: SchemaRequest, _ answer: DoctorContext) throws {
        let connection = exchange.connection
        try exchange.makeSchema()
        try connection.transaction(.rowLocks) {
            try exchange.lockOutOthers("schema")
            let purpose: Exchange.Purpose = request.simulation ? .simulation : .live
            let isMade = try Exchange.isMade(connection)
            if isMade, try exchange.purpose() != purpose, request.simulation {
                throw JobFailure.permanent("\(exchange.place) was made as a live database, that is never changed")
            }
            let simulation = isMade ? try exchange.purpose() == .simulation : request.simulation
            let plan = try SchemaPlan(statements, connection.dialect, simulation: simulation)
            let check = SchemaCheck(plan: plan, connection: connection)
            if let fault = try check.faults().first(where: { $0.level == .error && !$0.isMissing && !$0.subject.hasPrefix("rights") }) {
                throw JobFailure.permanent("nothing was made: \(fault.subject): \(fault.text)")
            }
            var made: [String] = []
            var fresh: Set<String> = []
            for object in plan.objects {
                guard try isMissing(object, connection, fresh) else { continue }
                try connection.execute(object.sql)
                if object.kind == .table { fresh.insert(object.name) }
                made.append(object.title)
            }
            if !isMade { try connection.execute(Exchange.infoRow(purpose, at: answer.now)) }
            try exchange.checkSchema()
            for title in made { answer.ok(title, "made") }
            let opened = try openAccounts(exchange, at: answer.now)
            if opened > 0 {
                answer.ok("wallets", "\(counted(opened, "wallet")) that held money before the ledger began: opening entries made")
            }
            if made.isEmpty, opened == 0 { answer.ok("schema", "\(exchange.place) has all that is needed") }
        }
    }

    /// Of wallets that were there before the ledger.
    private func openAccounts(_ exchange: Exchange, at now: Int64) throws -> Int {
        statements.shared.contains(.ledger) ? try Ledger(exchange).openAccounts(at: now) : 0
    }

    /// Indexes and triggers come with our tables; one of somebody else's table is theirs to make.
    private func isMissing(_ object: SchemaObject, _ connection: any SQLConnection, _ fresh: Set<String>) throws -> Bool {
        switch object.kind {
        case .table: try TableFacts.read(object.name, connection) == nil
        case .index, .trigger: fresh.contains(object.table)
        case .function: fresh.contains(triggered(by: object))
        }
    }

    private func triggered(by function: SchemaObject) -> String {
        SchemaPlan.objects(.postgresql).first { $0.kind == .trigger && $0.name == function.name }?.table ?? ""
    }
}
