import JobCore

/// `[host]`, `[store]`.
struct HostReader {
    let main: ConfigTable
    private let run: LoadRun
    private let section: SectionReader

    init(main: ConfigTable, run: LoadRun) {
        self.main = main
        self.run = run
        let table = if case .table(let host)? = main["host"]?.content { host } else { ConfigTable() }
        section = SectionReader(table, title: "[host]", keys: HostKeys.all, faults: run.faults)
    }

    func include() -> [(text: String, position: SourcePosition)] { section.strings(HostKeys.include) ?? [] }

    func host() -> HostSettings {
        let stateDir = Paths.absolute(section.string(HostKeys.stateDir) ?? "var", in: run.folder)
        let longest = HostSettings.longestStateDir
        if stateDir.utf8.count > longest {
            run.faults.add(
                section.value(HostKeys.stateDir)?.position,
                "'state_dir' is \(stateDir), \(stateDir.utf8.count) bytes; at most \(longest) are allowed, for the control socket in it",
                hint: "a shorter one, as in state_dir = \"/var/lib/jobhost\"")
        }
        var host = HostSettings(
            name: section.string(HostKeys.name) ?? run.machine.hostName, stateDir: stateDir, pluginDirs: pluginDirs())
        if let value = section.integer(HostKeys.maxWorkers) { host.maxWorkers = value }
        if let value = section.boolean(HostKeys.schedule) { host.schedule = value }
        if let value = section.boolean(HostKeys.consume) { host.consume = value }
        if let value = section.strings(HostKeys.only) { host.only = value.map(\.text) }
        if let value = section.strings(HostKeys.labels) {
            host.labels = value.map(\.text)
            for label in value where !isName(label.text) {
                run.faults.add(label.position, "'\(shownName(label.text))' is no label", hint: labelHint)
            }
        }
        if let value = section.duration(HostKeys.grace) { host.grace = value }
        if let value = section.word(HostKeys.logLevel) { host.logLevel = value }
        if let value = section.string(HostKeys.logFile) { host.logFile = Paths.absolute(value, in: run.folder) }
        if let value = section.word(HostKeys.logFormat) { host.logFormat = value }
        switch section.limit(HostKeys.heartbeat) {
        case .duration(let value): host.heartbeat = value
        case .unlimited: host.heartbeat = nil
        case nil: break
        }
        return host
    }

    private func pluginDirs() -> [String] {
        if let folders = section.strings(HostKeys.pluginDirs) {
            for folder in folders where run.machine.kind(Paths.absolute(folder.text, in: run.folder)) != .folder {
                run.faults.add(folder.position, "the folder \(Paths.absolute(folder.text, in: run.folder)) is not there")
            }
            return folders.map { Paths.absolute($0.text, in: run.folder) }
        }
        let beside = run.folder == "/" ? "/plugins" : run.folder + "/plugins"
        return (run.machine.kind(beside) == .folder ? [beside] : []) + [run.machine.programFolder]
    }

    func store(_ table: ConfigTable?, stateDir: String) -> StoreSettings {
        let fallback = StoreSettings(url: "sqlite:\(stateDir)/jobhost.db")
        let section = SectionReader(table ?? ConfigTable(), title: "[store]", keys: StoreKeys.all, faults: run.faults)
        guard let url = section.string(StoreKeys.url), let place = section.value(StoreKeys.url)?.position else { return fallback }
        let scheme = url.prefix { $0 != ":" }
        switch scheme {
        case "sqlite" where url.count > scheme.count + 1:
            let path = String(url.dropFirst("sqlite:".count))
            guard !path.hasPrefix(":") else {
                run.faults.add(place, "the ledger must outlive the host: 'url' needs a file", hint: "as in \"sqlite:var/jobhost.db\"")
                return fallback
            }
            return StoreSettings(url: "sqlite:" + Paths.absolute(path, in: run.folder))
        case "postgresql" where StoreSettings.isPostgreSQL(url), "postgres" where StoreSettings.isPostgreSQL(url):
            return postgres(url, section)
        default:
            // Never the whole address: it may hold a password.
            run.faults.add(place, "'url' must be \"sqlite:\" and a path or a \"postgresql://\" URL, found \(ConfigValue(.string(String(scheme)), at: place).found) as its beginning", hint: "as in \"sqlite:var/jobhost.db\"")
        }
        return fallback
    }

    private func postgres(_ url: String, _ section: SectionReader) -> StoreSettings {
        var store = StoreSettings(url: url)
        if let schema = section.string(StoreKeys.schema) { store.schema = schema }
        if let prepared = section.boolean(StoreKeys.prepared) { store.prepared = prepared }
        if let notify = section.boolean(StoreKeys.notify) { store.notify = notify }
        if let lease = section.duration(StoreKeys.lease) { store.lease = lease }
        if let listen = section.string(StoreKeys.listenURL), let place = section.value(StoreKeys.listenURL)?.position {
            // Never the address itself: it may hold a password.
            if !StoreSettings.isPostgreSQL(listen) {
                run.faults.add(place, "'listen_url' must be a \"postgresql://\" URL", hint: "as in \"postgresql://jobhost@db/back\"")
            }
            store.listenURL = listen
        }
        if !isName(store.schema), let place = section.value(StoreKeys.schema)?.position {
            run.faults.add(place, "'schema' must be a plain name", hint: "as in \"jobhost\"")
        }
        return store
    }

    /// A typing error in `only` would mean a host that does nothing, silently.
    func checkOnly(jobs: [String: JobConfig], names: Set<String>) {
        let known = names.union(jobs.values.flatMap(\.labels))
        for word in section.strings(HostKeys.only) ?? [] where !known.contains(word.text) {
            run.faults.add(word.position, "'only' names \"\(shownName(word.text))\", which is neither a job nor a label of one", hint: nameHint(word.text, among: Array(known)))
        }
    }
}
