import JobCore
import NearestName

/// `[plugins.NAME]`.
struct PluginReader {
    let run: LoadRun
    /// `plugin_dirs`, absolute.
    let folders: [String]

    func plugin(_ name: String, _ table: ConfigTable, place: SourcePosition) -> PluginConfig? {
        let title = "[plugins.\(name)]"
        let section = SectionReader(table, title: title, keys: PluginKeys.all, faults: run.faults)
        let library = section.required(PluginKeys.library, title: title)
        let position = section.value(PluginKeys.library)?.position ?? place
        var plugin = PluginConfig(name: name, library: library.flatMap { find($0, position) } ?? "", position: position)
        plugin.places = section.places
        plugin.memoryLimit = section.size(PluginKeys.memoryLimit)
        plugin.fileLimit = section.integer(PluginKeys.fileLimit).map(UInt64.init)
        plugin.environment = environment(section)
        plugin.maxWorkers = section.integer(PluginKeys.maxWorkers)
        if let value = section.integer(PluginKeys.minWorkers) { plugin.minWorkers = value }
        if let most = plugin.maxWorkers, plugin.minWorkers > most {
            run.faults.add(plugin.place(of: "min_workers"), "'min_workers' \(plugin.minWorkers) is above 'max_workers' \(most)")
        }
        if let value = section.duration(PluginKeys.idleTimeout) { plugin.idleTimeout = value }
        if let value = section.duration(PluginKeys.startTimeout) { plugin.startTimeout = value }
        if let recycle = section.section(PluginKeys.recycle, keys: RecycleKeys.all) {
            plugin.recycle = .init(
                runs: recycle.integer(RecycleKeys.runs), age: recycle.duration(RecycleKeys.age), memory: recycle.size(RecycleKeys.memory))
        }
        plugin.user = section.string(PluginKeys.user)
        if let value = section.integer(PluginKeys.keepVersions) { plugin.keepVersions = value }
        if let canary = section.section(PluginKeys.canary, keys: CanaryKeys.all) {
            if !canary.has(CanaryKeys.runs) { run.faults.add(plugin.place(of: "canary"), "'canary' lacks 'runs'", hint: "canary = { runs = 5 }") }
            plugin.canary = canary.integer(CanaryKeys.runs).map(PluginConfig.Canary.init(runs:))
        }
        plugin.sha256 = pin(section)
        plugin.allowWorldWritable = section.boolean(PluginKeys.allowWorldWritable) ?? false
        plugin.sandbox = section.section(PluginKeys.sandbox, keys: SandboxKeys.all).map(sandbox)
        plugin.settings = section.subtable(PluginKeys.settings) ?? ConfigTable()
        return plugin
    }

    private func pin(_ section: SectionReader) -> String? {
        guard let text = section.string(PluginKeys.sha256) else { return nil }
        let digits = text.lowercased()
        if digits.utf8.count == 64, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }) { return digits }
        if let value = section.value(PluginKeys.sha256) {
            run.faults.add(
                value.position, "'sha256' must be 64 hexadecimal digits, found \(value.found)", hint: "as `sha256sum` prints them")
        }
        return nil
    }

    private func sandbox(_ section: SectionReader) -> PluginConfig.Sandbox {
        var sandbox = PluginConfig.Sandbox()
        sandbox.read = paths(SandboxKeys.read, section)
        sandbox.write = paths(SandboxKeys.write, section)
        sandbox.network = section.boolean(SandboxKeys.network) ?? true
        sandbox.nice = section.integer(SandboxKeys.nice) ?? 0
        sandbox.cpuTime = section.duration(SandboxKeys.cpuTime)
        return sandbox
    }

    /// Absolute; each has to be there, since the kernel confines to files and not to names.
    private func paths(_ key: ConfigKey, _ section: SectionReader) -> [String]? {
        section.strings(key)?.map { path in
            let absolute = Paths.absolute(path.text, in: run.folder)
            if run.machine.kind(absolute) == nil {
                run.faults.add(path.position, "'\(key.name)' of the sandbox names \(absolute), which is not there", hint: "make it first")
            }
            return absolute
        }
    }

    private func environment(_ section: SectionReader) -> [String] {
        let names = section.strings(PluginKeys.env) ?? []
        for name in names where !isVariableName(name.text) {
            run.faults.add(name.position, "'env' holds names of variables, found \(ConfigValue(.string(name.text), at: name.position).found)")
        }
        return names.map(\.text)
    }

    /// The library's absolute path; nil after a finding that says where it was looked for.
    private func find(_ library: String, _ position: SourcePosition) -> String? {
        let places = library.hasPrefix("/") ? [library] : (folders + [run.folder]).map { Paths.absolute(library, in: $0) }
        if let found = places.first(where: { run.machine.kind($0) == .file }) { return found }
        if let other = places.first(where: { run.machine.kind($0) != nil }) {
            run.faults.add(position, "the library \(other) is no regular file", hint: "name the .so itself, not its folder")
            return nil
        }
        let looked = library.hasPrefix("/") ? "there is no library \(library)"
            : "there is no library \"\(shownName(library))\" in " + (folders + [run.folder]).joined(separator: ", ")
        let present = Set(places.map { Paths.folder(of: $0) }).sorted().flatMap { (try? run.machine.listFolder($0)) ?? [] }
            .filter { $0.hasSuffix(".so") }.sorted()
        // By what tells libraries apart: "Deposits" is near to "libDeposits.so".
        let byStem = Dictionary(present.map { (Self.stem($0), $0) }, uniquingKeysWith: { first, _ in first })
        let near = nearestName(Self.stem(Paths.name(of: library)), among: byStem.keys.sorted()).flatMap { byStem[$0] }
        let otherwise = library.hasPrefix("/") ? nil : "build it, or add its folder to [host] plugin_dirs"
        run.faults.add(position, looked, hint: near.map { "did you mean '\($0)'?" } ?? otherwise)
        return nil
    }

    private static func stem(_ library: String) -> String {
        var name = library[...]
        if name.hasPrefix("lib") { name = name.dropFirst(3) }
        if name.hasSuffix(".so") { name = name.dropLast(3) }
        return String(name)
    }
}
