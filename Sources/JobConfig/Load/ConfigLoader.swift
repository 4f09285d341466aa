import JobCore

/// Config files → `HostConfig`. `jobhost check`, start and reload all call this.
public enum ConfigLoader {
    /// Longest file, and longest sum of all files, in bytes.
    public static let mostFileBytes = 4 << 20
    public static let mostBytes = 64 << 20
    /// Most drop-in files.
    public static let mostFiles = 4_096

    /// Reads the main file, its drop-ins, and what they refer to.
    ///
    /// `file` may be relative to the current folder; messages name it as it is given. A
    /// syntax error is thrown alone; else all errors at once, in the order of the files.
    public static func load(
        file: String, environment: [String: String], zones: some ZoneSource, machine: Machine = .system
    ) throws(ConfigErrors) -> HostConfig {
        let run = LoadRun(file: file, environment: environment, zones: zones, machine: machine)
        return try run.load()
    }

    /// The folder of the host's state by a config in which anything else may be wrong, whatever it is: a host that runs is
    /// to be found while its config is being edited. nil: the file cannot be read.
    public static func stateDir(
        file: String, environment: [String: String], zones: some ZoneSource, machine: Machine = .system
    ) -> String? {
        LoadRun(file: file, environment: environment, zones: zones, machine: machine).stateDir()
    }
}

/// One load. A class, since all its parts add to the same findings.
final class LoadRun {
    let machine: Machine
    let zones: any ZoneSource
    let faults = Faults()
    /// Absolute.
    let file: String
    let folder: String
    private let shownFile: String
    private var interpolator: Interpolator
    private var bytesLeft = ConfigLoader.mostBytes
    /// Thousands of jobs share a few rules: each is read and kept once.
    private var crons: [String: ScheduleSpec] = [:]
    private var limits: [JobConfig.Limits: Shared<JobConfig.Limits>] = [:]
    private(set) var files: [String] = []
    private var fileOrder: [String] = []

    init(file: String, environment: [String: String], zones: any ZoneSource, machine: Machine) {
        self.machine = machine
        self.zones = zones
        shownFile = file
        self.file = Paths.absolute(file, in: machine.currentFolder)
        folder = Paths.folder(of: self.file)
        interpolator = Interpolator(environment: environment, folder: folder, machine: machine, faults: faults)
    }

    func load() throws(ConfigErrors) -> HostConfig {
        let main: ConfigTable
        do {
            main = try read(file, shownAs: shownFile, blame: nil)
        } catch {
            throw ConfigErrors([error])
        }
        let host = HostReader(main: interpolator.resolve(main), run: self)
        let dropIns = try readDropIns(host.include())
        let merged = merge(host.main, dropIns)
        let config = read(merged, host)
        try faults.throwIfAny(fileOrder: fileOrder)
        return config
    }

    func stateDir() -> String? {
        guard let bytes = try? machine.readFile(file, ConfigLoader.mostFileBytes) else { return nil }
        let main = (try? parseTOML(bytes, file: shownFile)) ?? Self.lineOfStateDir(in: bytes)
        return HostReader(main: interpolator.resolve(main), run: self).host().stateDir
    }

    /// Of text that is no TOML as a whole: only [host] has this key.
    private static func lineOfStateDir(in text: [UInt8]) -> ConfigTable {
        let name = HostKeys.stateDir.name
        let ends = [UInt8(ascii: "\n"), UInt8(ascii: "\r")]
        for line in text.split(whereSeparator: ends.contains) {
            let key = line.drop { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }
            for (spelling, section) in [(name, "[host]\n"), ("host.\(name)", "")] where key.starts(with: spelling.utf8) {
                guard let table = try? parseTOML(Array(section.utf8) + key, file: ""), case .table(let host)? = table["host"]?.content,
                    host[name] != nil
                else { continue }
                return table
            }
        }
        return ConfigTable()
    }

    /// One file's tree, as it stands in the file. `blame`: where it is named.
    func read(_ path: String, shownAs shown: String, blame: SourcePosition?) throws(ConfigError) -> ConfigTable {
        let bytes: [UInt8]
        do {
            bytes = try machine.readFile(path, ConfigLoader.mostFileBytes)
        } catch {
            throw ConfigError(position: blame, message: "cannot read \(printable(shown)): \(error.reason)", isOfHost: error.isOfHost)
        }
        guard bytes.count <= bytesLeft else {
            throw ConfigError(position: blame, message: "the config's files together are longer than \(ConfigLoader.mostBytes) bytes")
        }
        bytesLeft -= bytes.count
        files.append(path)
        fileOrder.append(shown)
        return try parseTOML(bytes, file: shown)
    }

    /// A further file (a calendar's), with the environment put in; findings go to `faults`.
    func readPart(_ path: String, blame: SourcePosition) -> ConfigTable? {
        do {
            let table = try read(Paths.absolute(path, in: folder), shownAs: shownPath(path), blame: blame)
            return interpolator.resolve(table)
        } catch {
            faults.add(error)
            return nil
        }
    }

    /// A path of the config as messages show it: relative to where the main file is shown.
    private func shownPath(_ path: String) -> String {
        guard !path.hasPrefix("/"), shownFile.contains("/") else { return path }
        let shownFolder = Paths.folder(of: shownFile)
        return shownFolder == "/" ? "/" + path : shownFolder + "/" + path
    }

    // MARK: drop-ins

    private func readDropIns(_ patterns: [(text: String, position: SourcePosition)]) throws(ConfigErrors) -> [ConfigTable] {
        var tables: [ConfigTable] = []
        var syntax: [ConfigError] = []
        var seen: Set<String> = [file]
        for pattern in patterns {
            for path in expand(pattern.text, at: pattern.position) {
                guard seen.insert(Paths.absolute(path, in: folder)).inserted else { continue }
                guard seen.count <= ConfigLoader.mostFiles else {
                    faults.add(pattern.position, "more than \(ConfigLoader.mostFiles) drop-in files")
                    return tables
                }
                do {
                    let absolute = Paths.absolute(path, in: folder)
                    let table = try read(absolute, shownAs: shownPath(path), blame: pattern.position)
                    tables.append(interpolator.resolve(table))
                } catch {
                    syntax.append(error)
                }
            }
        }
        if !syntax.isEmpty { throw ConfigErrors(syntax) }
        return tables
    }

    /// Paths that an `include` names, as it would name them one by one.
    private func expand(_ pattern: String, at position: SourcePosition) -> [String] {
        let name = Paths.name(of: pattern)
        guard Paths.hasWildcard(pattern) else { return [pattern] }
        let prefix = String(pattern.dropLast(name.count))
        guard !Paths.hasWildcard(prefix) else {
            faults.add(position, "'include' takes '*' and '?' only in the last part of a path, found \"\(pattern)\"")
            return []
        }
        // An empty or missing folder is fine: drop-ins come and go. What is there and cannot be read is not: it
        // would take its jobs away.
        let absolute = Paths.absolute(prefix, in: folder)
        do {
            guard let names = try machine.listFolder(absolute) else {
                if machine.kind(absolute) != nil { faults.add(position, "cannot read the folder \(absolute)") }
                return []
            }
            return names.filter { Paths.name($0, fits: name) }.sorted().map { prefix + $0 }
        } catch {
            faults.add(position, "cannot read the folder \(absolute): \(error.reason)", isOfHost: error.isOfHost)
            return []
        }
    }

    func cron(_ text: String, timeZone: String) throws(CronError) -> ScheduleSpec {
        let key = text + "\n" + timeZone
        if let known = crons[key] { return known }
        let spec = ScheduleSpec.cron(try CronExpression(text), timeZone: timeZone)
        crons[key] = spec
        return spec
    }

    /// The same for all who have equal ones.
    func shared(_ limits: JobConfig.Limits) -> Shared<JobConfig.Limits> {
        if let known = self.limits[limits] { return known }
        let new = Shared(limits)
        self.limits[limits] = new
        return new
    }

    // MARK: sections

    /// The tables that may be spread over files, by section: name → entry.
    private func merge(_ main: ConfigTable, _ dropIns: [ConfigTable]) -> [String: ConfigTable] {
        var merged: [String: ConfigTable] = [:]
        for (index, table) in ([main] + dropIns).enumerated() {
            let allowed = index == 0 ? ConfigKeys.sections : ConfigKeys.dropInSections
            for (section, entry) in table.sorted {
                guard allowed.contains(section) else {
                    refuseSection(section, entry, allowed: allowed, isDropIn: index > 0)
                    continue
                }
                guard case .table(let names) = entry.value.content else {
                    faults.add(entry.keyPosition, "'\(section)' must be a table, found \(entry.value.found)", hint: "write [\(section)]")
                    continue
                }
                guard ConfigKeys.dropInSections.contains(section) else {
                    merged[section] = names
                    continue
                }
                add(names, to: section, &merged)
            }
        }
        return merged
    }

    private func refuseSection(_ name: String, _ entry: ConfigTable.Entry, allowed: [String], isDropIn: Bool) {
        if isDropIn, ConfigKeys.sections.contains(name) {
            faults.add(entry.keyPosition, "[\(name)] stands in the main file only", hint: "allowed here: " + allowed.joined(separator: ", "))
        } else {
            let what = if case .table = entry.value.content { "section [\(shownName(name))]" } else { "key '\(shownName(name))' outside of any section" }
            faults.add(entry.keyPosition, "unknown \(what)", hint: nameHint(name, among: allowed))
        }
    }

    private func add(_ names: ConfigTable, to section: String, _ merged: inout [String: ConfigTable]) {
        for (name, entry) in names.sorted {
            let title = "[\(section).\(shownName(name))]"
            if let first = merged[section]?.entries[name] {
                faults.add(entry.keyPosition, "\(title) is there twice, first at \(first.keyPosition)")
            } else if !isName(name) {
                faults.add(entry.keyPosition, "'\(shownName(name))' is no name", hint: "allowed: up to 64 letters, digits, '-', '_' and '.', the first a letter or digit")
            } else if case .table = entry.value.content {
                guard merged[section, default: ConfigTable()].entries.count < ConfigKeys.mostNames else {
                    faults.add(entry.keyPosition, "more than \(ConfigKeys.mostNames) names in [\(section)]")
                    return
                }
                merged[section, default: ConfigTable()].entries[name] = entry
            } else {
                faults.add(entry.keyPosition, "\(title) must be a table, found \(entry.value.found)")
            }
        }
    }

    /// The named tables of a section, in the order of the source.
    static func tables(_ section: ConfigTable?) -> [(name: String, place: SourcePosition, table: ConfigTable)] {
        (section ?? ConfigTable()).sorted.compactMap { name, entry in
            guard case .table(let table) = entry.value.content else { return nil }
            return (name, entry.keyPosition, table)
        }
    }

    private func read(_ merged: [String: ConfigTable], _ reader: HostReader) -> HostConfig {
        let host = reader.host()
        let store = reader.store(merged["store"], stateDir: host.stateDir)
        var config = HostConfig(file: file, host: host, store: store, http: HTTPReader(merged["http"], run: self).http())
        config.alerts = AlertReader(merged["alerts"], run: self).alerts()
        for (name, _, table) in LoadRun.tables(merged["calendars"]) {
            config.calendars[name] = CalendarReader(run: self).calendar(name, table)
        }
        let pluginReader = PluginReader(run: self, folders: host.pluginDirs)
        for (name, place, table) in LoadRun.tables(merged["plugins"]) {
            config.plugins[name] = pluginReader.plugin(name, table, place: place)
        }
        let names = JobReader.Names(
            plugins: Set((merged["plugins"] ?? ConfigTable()).entries.keys),
            calendars: Set((merged["calendars"] ?? ConfigTable()).entries.keys),
            jobs: Set((merged["jobs"] ?? ConfigTable()).entries.keys))
        let jobReader = JobReader(run: self, defaults: merged["defaults"] ?? ConfigTable(), names: names, plugins: config.plugins)
        jobReader.checkDefaults()
        // With thousands of jobs growing costs more than reading them.
        config.jobs.reserveCapacity(names.jobs.count)
        for (name, place, table) in LoadRun.tables(merged["jobs"]) {
            config.jobs[name] = jobReader.job(name, table, place: place)
        }
        checkCircles(config.jobs)
        reader.checkOnly(jobs: config.jobs, names: names.jobs)
        config.files = files
        config.secrets = interpolator.secrets
        return config
    }

    /// A job waits for at most one other, so a circle is found by walking on.
    private func checkCircles(_ jobs: [String: JobConfig]) {
        func next(_ name: String) -> String? {
            if case .after(let other)? = jobs[name]?.schedule { other } else { nil }
        }
        var done: Set<String> = []
        for name in jobs.keys.sorted() where !done.contains(name) {
            var path: [String] = []
            var here: String? = name
            while let job = here, done.insert(job).inserted {
                path.append(job)
                here = next(job)
            }
            guard let end = here, let start = path.firstIndex(of: end) else { continue }
            let circle = path[start...] + [end]
            let shown = circle.count <= 12 ? circle.joined(separator: " → ") : circle.prefix(11).joined(separator: " → ") + " → …"
            faults.add(jobs[end]?.place(of: "after"), "jobs wait for each other in a circle: \(shown)")
        }
    }
}
