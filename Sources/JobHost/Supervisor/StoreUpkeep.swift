import Glibc
import JobConfig
import JobCore
import JobStore

extension StoreOperations {
    /// The real ones.
    static func live(_ environment: [String: String]) -> StoreOperations {
        StoreOperations(
            move: { try await move($0, environment) }, check: { try await check($0, environment) },
            prune: { try await prune($0, environment, goOn: $1) }, export: { try await export($0, $1, environment, write: $2) })
    }

    private static func load(_ file: String, _ environment: [String: String]) throws -> HostConfig {
        try ConfigLoader.load(file: file, environment: environment, zones: SystemZones(environment: environment))
    }

    private static func place(of store: StoreSettings) -> StorePlace {
        store.isPostgreSQL
            ? .postgres(url: store.url, schema: store.schema, prepared: store.prepared) : .file(String(store.url.dropFirst("sqlite:".count)))
    }

    private static func place(_ source: StoreSource, _ environment: [String: String]) throws -> StorePlace {
        switch source {
        case .config(let file): return place(of: try load(file, environment).store)
        case .url(let url, let schema):
            var store = StoreSettings(url: url)
            store.schema = schema
            if store.isPostgreSQL { return place(of: store) }
            guard url.hasPrefix("sqlite:"), url.utf8.count > "sqlite:".utf8.count else {
                throw CommandError(.invalid, "--store is neither \"sqlite:\" and a path nor a URL of PostgreSQL", hint: "as in sqlite:var/jobhost.db")
            }
            let path = String(url.dropFirst("sqlite:".count))
            return .file(path.hasPrefix("/") ? path : Machine.system.currentFolder + "/" + path)
        }
    }

    private static func check(_ source: StoreSource, _ environment: [String: String]) async throws -> API.StoreChecked {
        let place = try place(source, environment)
        var holder: Int32?
        if case .file(let path) = place { holder = StateLock.holder(storeFile: path) }
        do {
            let report = try await StoreCheck.run(place, isServed: holder != nil, now: SystemClock().now().wall)
            return API.StoreChecked(place: place.shown, hostPid: holder, report)
        } catch let error as StoreError {
            throw CommandError(error)
        }
    }

    /// How long the hosts have the store for themselves after each batch, in milliseconds.
    private static let pause: Int32 = 20

    private static func prune(
        _ request: StorePruneRequest, _ environment: [String: String], goOn: @escaping @Sendable () -> Bool
    ) async throws -> API.StorePruned {
        let config = try load(request.config, environment)
        let rules = request.olderThan.map { StorePrune.Rules.olderThan($0) }
            ?? .byJob(config.jobs.mapValues { RetentionRule(age: $0.retention.age, runs: $0.retention.runs) })
        if request.olderThan == nil, let job = request.job, config.jobs[job] == nil { throw CommandError.unknownJob(job, among: config.jobs.keys) }
        let place = place(of: config.store)
        let asked = StorePrune.Request(rules: rules, job: request.job, host: config.host.name)
        let now = SystemClock().now().wall
        do {
            if request.isDryRun {
                return API.StorePruned(place: place.shown, dryRun: true, try await StorePrune.survey(place, asked, now: now))
            }
            let logs = try RunLogs(stateDir: config.host.stateDir)
            defer { logs.shutdown() }
            let actor = Actor(name: userName(getuid()), via: "cli")
            let report = try await StorePrune.run(place, asked, by: actor, now: now) { runs in
                for (job, run) in runs { logs.remove(job: job, run: run) }
                poll(nil, 0, pause)
                return goOn()
            }
            return API.StorePruned(place: place.shown, dryRun: false, report)
        } catch let error as StoreError {
            throw CommandError(error)
        } catch let error as HostFault {
            throw CommandError(.unavailable, "\(error)")
        }
    }

    private static func export(
        _ source: StoreSource, _ request: StoreExport.Request, _ environment: [String: String],
        write: @escaping @Sendable ([UInt8]) throws -> Void
    ) async throws -> [API.StoreTable] {
        let place = try place(source, environment)
        do {
            return try await StoreExport.run(place, request, write: write).map { API.StoreTable(table: $0.table.rawValue, rows: $0.rows) }
        } catch let error as StoreError {
            throw CommandError(error)
        }
    }
}

extension CommandError {
    /// What a store says to somebody who asked it directly.
    init(_ error: StoreError) {
        let kind: Kind = switch error.kind {
        case .notFound: .notFound
        case .unavailable: .unavailable
        case .incompatible, .held, .broken: .conflict
        }
        self.init(kind, error.message)
    }
}
