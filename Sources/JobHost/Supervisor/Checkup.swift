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
                openStore: {
                    let store = try await Boot.openStore(config)
                    let counters = try await store.counters()
                    await store.close()
                    return "opens; \(counted(counters.count, "job")) with a history"
                },
                readZone: { _ = try zones.zone(named: $0) }))
        let findings = Doctor.findings(facts)
        guard let job = request.job, let plugin = config.jobs[job]?.plugin else { return findings }
        return await Doctor.findings(findings, about: job, of: plugin) + examine(job, request, config, environment)
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
