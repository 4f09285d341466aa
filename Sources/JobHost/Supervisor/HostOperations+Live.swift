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
            doctor: { try await Checkup.findings($0, environment) },
            schema: { try await SchemaSurvey.answers($0, environment) },
            store: .live(environment),
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
    static func check(_ file: String, _ environment: [String: String]) async -> ReloadReport {
        let clock = SystemClock()
        do {
            let config = try ConfigLoader.load(
                file: file, environment: environment, zones: SystemZones(environment: environment))
            let scratch = try ScratchFolder()
            defer { scratch.remove() }
            let parts = try HostParts(config: config, clock: clock, environment: environment, stateDir: scratch.path)
            var report = await parts.builder.build(
                file: file, environment: environment, previous: nil, accepted: []).report
            report.sayWhatAReloadWouldDo(config.jobs.mapValues(\.plugin))
            await parts.stop()
            let places = PlaceCheck(config.host)
            report.errors += places.errors
            report.warnings += places.warnings
            if !places.errors.isEmpty { report.accepted = false }
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
            case .refused(let reason), .late(let reason): throw CommandError(.invalid, "\(file) is not a usable plugin: \(reason)")
            case .hostFault(let reason): throw CommandError(.unavailable, "\(file) could not be tried: \(reason)")
            }
        } catch let error as LibraryRefusal {
            await parts.stop()
            throw CommandError(.invalid, "\(file) is not a usable plugin: \(error)")
        }
    }
}
