import Glibc
import JobConfig
import JobCore
import JobStore

extension HostOperations {
    /// The real ones.
    public static var live: HostOperations {
        let environment = processEnvironment()
        return HostOperations(
            run: { await Boot.run(configFile: $0, environment: environment) },
            check: { await check($0, environment) },
            execute: { try await Foreground.execute($0, environment, onLine: $1) },
            doctor: { try await diagnose($0, job: $1, environment) },
            inspect: { try await inspect($0, environment) },
            zones: SystemZones(environment: environment), version: Supervisor.version)
    }

    static func processEnvironment() -> [String: String] {
        var environment: [String: String] = [:]
        var pointer = environ
        while let entry = pointer.pointee {
            let text = String(cString: entry)
            if let split = text.firstIndex(of: "=") {
                environment[String(text[..<split])] = String(text[text.index(after: split)...])
            }
            pointer += 1
        }
        return environment
    }

    // MARK: check

    /// The same build as start and reload, thrown away.
    private static func check(_ file: String, _ environment: [String: String]) async -> ReloadReport {
        let clock = SystemClock()
        do {
            let config = try ConfigLoader.load(
                file: file, environment: environment, zones: SystemZones(environment: environment))
            let scratch = try ScratchFolder()
            defer { scratch.remove() }
            let parts = try HostParts(config: config, clock: clock, environment: environment, stateDir: scratch.path)
            let report = await parts.builder.build(
                file: file, environment: environment, previous: nil, accepted: []).report
            await parts.stop()
            return report
        } catch let error as ConfigErrors {
            return ReloadReport(
                generation: 0, at: clock.now().wall, accepted: false, errors: error.errors.map(\.description))
        } catch {
            return ReloadReport(generation: 0, at: clock.now().wall, accepted: false, errors: ["\(error)"])
        }
    }

    // MARK: plugin inspect

    private static func inspect(_ file: String, _ environment: [String: String]) async throws -> API.Inspection {
        let scratch = try ScratchFolder()
        defer { scratch.remove() }
        let path = file.hasPrefix("/") ? file : Machine.system.currentFolder + "/" + file
        let host = HostSettings(name: "inspect", stateDir: scratch.path, pluginDirs: [])
        let config = HostConfig(
            file: "", host: host, store: StoreSettings(url: "sqlite:"), http: HTTPSettings())
        let parts = try HostParts(config: config, clock: SystemClock(), environment: environment)
        do {
            let copy = try parts.libraries.accept(original: path)
            let spec = PoolSpec(key: "inspect", plugin: "inspect", library: copy)
            let result = await parts.handle.probe(spec, [])
            await parts.stop()
            switch result {
            case .loaded(let descriptor, _): return API.Inspection(file: path, sha256: copy.sha256, descriptor: descriptor)
            case .refused(let reason): throw CommandError(.invalid, "\(file) is not a usable plugin: \(reason)")
            case .hostFault(let reason): throw CommandError(.unavailable, "\(file) could not be tried: \(reason)")
            }
        } catch let error as LibraryRefusal {
            await parts.stop()
            throw CommandError(.invalid, "\(file) is not a usable plugin: \(error)")
        }
    }

    // MARK: doctor

    private static func diagnose(
        _ file: String, job: String?, _ environment: [String: String]
    ) async throws -> [Doctor.Finding] {
        let config: HostConfig
        do {
            config = try ConfigLoader.load(
                file: file, environment: environment, zones: SystemZones(environment: environment))
        } catch {
            return error.errors.map { Doctor.Finding("config", .fail, $0.description) }
        }
        if let job, config.jobs[job] == nil { throw CommandError.unknownJob(job, among: config.jobs.keys) }
        let zones = SystemZones(environment: environment)
        let facts = await DoctorFacts.gather(
            stateDir: config.host.stateDir, workerPath: HostParts.workerBinary(), version: Supervisor.version,
            maxWorkers: config.host.maxWorkers, config: await check(file, environment), now: SystemClock().now().wall,
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
        guard let job, let plugin = config.jobs[job]?.plugin else { return findings }
        return Doctor.findings(findings, about: job, of: plugin)
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
