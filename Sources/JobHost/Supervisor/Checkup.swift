import Glibc
import JobConfig
import JobCore
import JobStore

/// `jobhost doctor`: gathers what `Doctor` judges, on this machine and from a job's plugin.
enum Checkup {
    static func findings(_ request: DoctorRequest, _ environment: [String: String]) async throws -> [Doctor.Finding] {
        let file = request.config
        let config: HostConfig
        do {
            config = try ConfigLoader.load(
                file: file, environment: environment, zones: SystemZones(environment: environment))
        } catch {
            return error.errors.map { Doctor.Finding("config", .fail, $0.description) }
        }
        if let job = request.job, config.jobs[job] == nil { throw CommandError.unknownJob(job, among: config.jobs.keys) }
        let zones = SystemZones(environment: environment)
        let facts = await DoctorFacts.gather(
            stateDir: config.host.stateDir, workerPath: HostParts.workerBinary(), version: Supervisor.version,
            maxWorkers: config.host.maxWorkers, config: await HostOperations.check(file, environment), now: SystemClock().now().wall,
            collaborators: DoctorCollaborators(
                workerVersion: { try versionOf($0) },
                readStore: { try readStore(config, job: request.job) }, storeFile: storeFile(config),
                readZone: { _ = try zones.zone(named: $0) }))
        let findings = Doctor.findings(facts)
        guard let job = request.job, let plugin = config.jobs[job]?.plugin else { return findings }
        return await Doctor.findings(findings, about: job, of: plugin) + examine(job, request, config, environment)
    }

    private static func storeFile(_ config: HostConfig) -> String? {
        config.store.url.hasPrefix("sqlite:") ? String(config.store.url.dropFirst("sqlite:".count)) : nil
    }

    /// Never opened as the host does, which would bring it to a newer format.
    /// - Parameter job: only what concerns this one; nil: all.
    private static func readStore(_ config: HostConfig, job: String?) throws -> DoctorFacts.Store {
        guard let file = storeFile(config) else { return .skipped("it is on a server") }
        let now = SystemClock().now().wall
        let read = try StoreInspection.read(path: file, now: now)
        var history = DoctorFacts.History(format: format(read.format))
        history.jobs = read.jobs
        for (name, row) in read.breakers.sorted(by: { $0.key < $1.key }) where job == nil || name == job {
            guard let policy = config.jobs[name]?.breaker, let breaker = Breaker(encoded: row.data, policy: policy) else { continue }
            switch breaker.mode {
            case .open(let until): history.breakers.append(.init(job: name, until: until, reason: breaker.reason))
            case .forcedOpen(let until): history.breakers.append(.init(job: name, until: until, reason: breaker.reason))
            case .closed, .halfOpen, .disabled: break
            }
        }
        let depths = read.depths.filter { job == nil || $0.key == job }
        history.dead = depths.mapValues(\.dead).filter { $0.value > 0 }
        history.oldestWaiting = depths.compactMapValues(\.oldestWaiting)
        history.missingCopies = read.accepted.filter { library in
            config.plugins[library.plugin] != nil && (job == nil || config.jobs[job ?? ""]?.plugin == library.plugin)
                && access(library.path, R_OK) != 0
        }.map(\.plugin)
        return .read(history)
    }

    private static func format(_ format: StoreInspection.Format) -> DoctorFacts.History.Format {
        switch format {
        case .absent: .absent
        case .foreign: .foreign
        case .current(let version): .current(version)
        case .older(let version, let known): .older(version, known: known)
        case .newer(let version, let known): .newer(version, known: known)
        }
    }

    /// What the job's plugin says itself; nothing when the job is refused, which has been said.
    private static func examine(
        _ job: String, _ request: DoctorRequest, _ config: HostConfig, _ environment: [String: String]
    ) async -> [Doctor.Finding] {
        do {
            let scratch = try ScratchFolder()
            defer { scratch.remove() }
            let parts = try HostParts(
                config: config, clock: SystemClock(), environment: environment, stateDir: scratch.path,
                adjust: { (config) throws(ConfigErrors) in try Foreground.only(job, in: config) })
            let outcome = await parts.builder.build(
                file: request.config, environment: environment, previous: nil, accepted: [])
            var findings: [Doctor.Finding] = []
            if case .ready(let generation, _) = outcome, let resolved = generation.jobs[job],
                let pool = generation.pools.first(where: { $0.key == resolved.pool })
            {
                let question = DoctorQuestion(
                    job: job, entry: resolved.config.entry, settings: resolved.settings, timeout: request.timeout)
                findings = Doctor.examination(await parts.handle.examine(pool, question), of: job)
            }
            await parts.stop()
            return findings
        } catch {
            return [Doctor.Finding(job, .fail, "its plugin could not be asked: \(error)")]
        }
    }

    /// What `jobhost-worker --version` prints.
    private static func versionOf(_ path: String) throws -> String {
        let quoted = "'" + path.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
        guard let pipe = popen("\(quoted) --version 2>&1", "r") else {
            throw CommandError(.unavailable, String(cString: strerror(errno)))
        }
        var buffer = [CChar](repeating: 0, count: 512)
        let count = fread(&buffer, 1, buffer.count - 1, pipe)
        let status = pclose(pipe)
        let text = String(decoding: buffer[..<count].map(UInt8.init(bitPattern:)), as: UTF8.self)
        let line = String(text.prefix { !$0.isNewline })
        guard status == 0, !line.isEmpty else { throw CommandError(.unavailable, line.isEmpty ? "it printed nothing" : line) }
        return line.split(separator: " ").last.map(String.init) ?? line
    }
}
