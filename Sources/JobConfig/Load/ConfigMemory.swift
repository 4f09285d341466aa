import JobCore
import Synchronization

/// A config together with all that was read for it. As long as files, folders, environment and
/// time zones give the same answers, a load would give the same config: then it is not parsed
/// again. A reload after a changed library is the usual case, and parsing a thousand jobs is
/// most of what it would do.
public struct ConfigMemory: Sendable {
    fileprivate enum Look: Sendable {
        case read(String, limit: Int, [UInt8]?)
        case list(String, [String]?)
        case kind(String, Machine.Kind?)
        case zone(Zone, named: String)
    }
    fileprivate var file: String
    fileprivate var folder: String
    fileprivate var environment: [String: String]
    fileprivate var looks: [Look]
    public fileprivate(set) var config: HostConfig

    /// Asks everything that was asked for it once more.
    func holds(file: String, environment: [String: String], zones: some ZoneSource, machine: Machine) -> Bool {
        self.file == file && folder == machine.currentFolder && self.environment == environment
            && looks.allSatisfy { look in
                switch look {
                case .read(let path, let limit, let bytes): (try? machine.readFile(path, limit)) == bytes
                case .list(let path, let names): (try? machine.listFolder(path))?.sorted() == names
                case .kind(let path, let kind): machine.kind(path) == kind
                case .zone(let zone, let name): (try? zones.zone(named: name)) == zone
                }
            }
    }
}

extension ConfigLoader {
    /// As `load`, from memory where that holds. `memory` is what the next call is to be given.
    public static func load(
        file: String, environment: [String: String], zones: some ZoneSource, machine: Machine = .system,
        memory: inout ConfigMemory?
    ) throws(ConfigErrors) -> HostConfig {
        if let memory, memory.holds(file: file, environment: environment, zones: zones, machine: machine) { return memory.config }
        memory = nil
        let recorder = Recorder()
        let config = try load(
            file: file, environment: environment, zones: RecordedZones(zones: zones, recorder: recorder),
            machine: recorder.watching(machine))
        memory = ConfigMemory(
            file: file, folder: machine.currentFolder, environment: environment, looks: recorder.looks, config: config)
        return config
    }
}

/// Writes down what a load asks, and answers the same question once only.
private final class Recorder: Sendable {
    private struct Notes {
        var looks: [ConfigMemory.Look] = []
        var kinds: Set<String> = []
        var zones: [String: Zone] = [:]
    }
    private let notes = Mutex(Notes())

    var looks: [ConfigMemory.Look] { notes.withLock { $0.looks } }

    func watching(_ machine: Machine) -> Machine {
        var watched = machine
        watched.readFile = { (path, limit) throws(Machine.Fault) in
            do throws(Machine.Fault) {
                let bytes = try machine.readFile(path, limit)
                self.note(.read(path, limit: limit, bytes))
                return bytes
            } catch {
                self.note(.read(path, limit: limit, nil))
                throw error
            }
        }
        watched.listFolder = { (path) throws(Machine.Fault) in
            // A fault lets no load succeed, so that nothing is remembered of it.
            let names = try machine.listFolder(path)
            self.note(.list(path, names?.sorted()))
            return names
        }
        watched.kind = { path in
            let kind = machine.kind(path)
            self.notes.withLock { if $0.kinds.insert(path).inserted { $0.looks.append(.kind(path, kind)) } }
            return kind
        }
        return watched
    }

    func zone(named name: String, of zones: some ZoneSource) throws(ZoneError) -> Zone {
        if let known = notes.withLock({ $0.zones[name] }) { return known }
        let zone = try zones.zone(named: name)
        notes.withLock { notes in
            notes.zones[name] = zone
            notes.looks.append(.zone(zone, named: name))
        }
        return zone
    }

    private func note(_ look: ConfigMemory.Look) { notes.withLock { $0.looks.append(look) } }
}

private struct RecordedZones<Source: ZoneSource>: ZoneSource {
    let zones: Source
    let recorder: Recorder
    func zone(named name: String) throws(ZoneError) -> Zone { try recorder.zone(named: name, of: zones) }
}
