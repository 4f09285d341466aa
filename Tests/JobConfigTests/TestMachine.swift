import JobConfig
import JobCore
import NearestName
import Testing

/// Files in memory, below /etc/host.
func machine(_ files: [String: String], folders: [String] = []) -> Machine {
    var all = files.mapValues { Array($0.utf8) }
    for library in ["libA.so", "libCandles.so"] { all["/etc/host/plugins/" + library] = [] }
    let known = all
    var parents = Set(folders)
    for path in known.keys {
        var rest = Substring(path)
        while let slash = rest.lastIndex(of: "/") {
            rest = rest[..<slash]
            parents.insert(rest.isEmpty ? "/" : String(rest))
        }
    }
    let allFolders = parents
    return Machine(
        readFile: { (path, limit) throws(Machine.Fault) in
            guard let bytes = known[path] else { throw Machine.Fault(reason: "no such file or directory") }
            guard bytes.count <= limit else { throw Machine.Fault(reason: "longer than \(limit) bytes") }
            return bytes
        },
        listFolder: { folder in
            let tidy = folder.hasSuffix("/") ? String(folder.dropLast()) : folder
            guard allFolders.contains(tidy) else { return nil }
            return known.keys.filter { $0.hasPrefix(tidy + "/") }.map { String($0.dropFirst(tidy.count + 1)) }.filter { !$0.contains("/") }
        },
        kind: { path in known[path] != nil ? .file : allFolders.contains(path) ? .folder : nil },
        hostName: "testhost", programFolder: "/usr/bin", currentFolder: "/etc/host")
}

/// Zones of the tests: UTC under several names, and nothing else.
struct FewZones: ZoneSource {
    func zone(named name: String) throws(ZoneError) -> Zone {
        if ["UTC", "Europe/Berlin", "America/New_York"].contains(name) { return .utc }
        throw .unknown(name: name, nearest: nearestName(name, among: ["UTC", "Europe/Berlin", "America/New_York"]))
    }
}

func load(
    _ text: String, files: [String: String] = [:], folders: [String] = [], environment: [String: String] = [:]
) throws(ConfigErrors) -> HostConfig {
    var all = files
    all["/etc/host/jobs.toml"] = text
    return try ConfigLoader.load(file: "jobs.toml", environment: environment, zones: FewZones(), machine: machine(all, folders: folders))
}

/// What the loader says about a config, one line for each finding; empty: nothing.
func findings(
    _ text: String, files: [String: String] = [:], folders: [String] = [], environment: [String: String] = [:]
) -> [String] {
    do {
        _ = try load(text, files: files, folders: folders, environment: environment)
        return []
    } catch {
        return error.errors.map(\.description)
    }
}

/// A config with one plugin and one job that has these lines too.
func job(_ lines: String) -> String {
    "[plugins.a]\nlibrary = \"libA.so\"\n[jobs.j]\nplugin = \"a\"\nentry = \"e\"\n" + lines + "\n"
}

func loadJob(_ lines: String, environment: [String: String] = [:]) throws -> JobConfig {
    try #require(try load(job(lines), environment: environment).jobs["j"])
}

/// SplitMix64 (Steele, Lea, Flood 2014): the same sequence for the same seed everywhere.
struct SeededNumbers: RandomNumberGenerator {
    var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
