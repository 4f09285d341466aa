import JobABI

/// What `job_plugin_v1` returns.
public typealias PluginPointer = UnsafePointer<job_plugin>

/// The registration of a plugin, one line at file scope:
/// ```swift
/// @_cdecl("job_plugin_v1") public func jobPlugin() -> PluginPointer {
///     JobPlugin.export(id: "hello", version: "1.0.0", description: "Says hello.", [Hello.self])
/// }
/// ```
public enum JobPlugin {
    /// Makes the static descriptor. Meant to be called once per process, as the host does;
    /// the first call's entries are the ones served.
    public static func export(
        id: String, version: String, description: String, _ entries: [any JobEntry.Type]
    ) -> PluginPointer {
        let table = entries.map { UnsafePointer(descriptor(of: $0)) }
        let storage = UnsafeMutableBufferPointer<UnsafePointer<job_entry>>.allocate(capacity: table.count)
        _ = storage.initialize(from: table)
        if entryTable == nil { entryTable = storage }
        let plugin = UnsafeMutablePointer<job_plugin>.allocate(capacity: 1)
        plugin.initialize(to: job_plugin())
        plugin.pointee.struct_size = UInt32(MemoryLayout<job_plugin>.size)
        plugin.pointee.entry_count = UInt32(clamping: table.count)
        plugin.pointee.id = .permanent(id)
        plugin.pointee.version = .permanent(version)
        plugin.pointee.description = .permanent(description)
        plugin.pointee.entry = { index in
            guard let table = JobPlugin.entryTable, index < table.count else { return nil }
            return table[Int(index)]
        }
        return UnsafePointer(plugin)
    }

    static func descriptor<E: JobEntry>(of type: E.Type) -> UnsafeMutablePointer<job_entry> {
        let info = E.info
        let entry = UnsafeMutablePointer<job_entry>.allocate(capacity: 1)
        entry.initialize(to: job_entry())
        entry.pointee.struct_size = UInt32(MemoryLayout<job_entry>.size)
        entry.pointee.flags =
            (info.idempotent ? JOB_ENTRY_IDEMPOTENT : 0) | (info.cancellable ? JOB_ENTRY_CANCELLABLE : 0)
        entry.pointee.state_version = info.stateVersion
        entry.pointee.id = .permanent(info.id)
        entry.pointee.description = .permanent(info.description)
        entry.pointee.default_schedule = .permanent(info.defaultSchedule)
        entry.pointee.settings_schema = .permanent(JSONSchema.text(ofSettings: E.Settings.self))
        entry.pointee.payload_schema = .permanent(info.payloadSchema)
        entry.pointee.data = UnsafeRawPointer(Unmanaged.passRetained(Gate<E>() as EntryGate).toOpaque())
        entry.pointee.validate = { entry, settings, error in
            gate(entry)?.validate([UInt8](settings), error) ?? JOB_FAILED
        }
        entry.pointee.create = { entry, _, settings, error, instance in
            gate(entry)?.create([UInt8](settings), error, instance) ?? JOB_FAILED
        }
        entry.pointee.run = { instance, context in
            guard let instance, let context else { return JOB_FAILED }
            return Unmanaged<RunningEntry>.fromOpaque(instance).takeUnretainedValue().run(context)
        }
        entry.pointee.destroy = { instance in
            guard let instance else { return }
            Unmanaged<RunningEntry>.fromOpaque(instance).release()
        }
        entry.pointee.doctor = { instance, context, findings in
            guard let instance, let context, let findings else { return JOB_FAILED }
            return Unmanaged<RunningEntry>.fromOpaque(instance).takeUnretainedValue().doctor(context, findings)
        }
        guard type is any SchemaEntry.Type else { return entry }
        entry.pointee.schema = { instance, context, request, findings in
            guard let instance, let context, let findings else { return JOB_FAILED }
            return Unmanaged<RunningEntry>.fromOpaque(instance).takeUnretainedValue()
                .schema([UInt8](request), context, findings)
        }
        return entry
    }

    /// Written by `export`, before the host can call `job_plugin.entry`; both on its main thread.
    nonisolated(unsafe) private static var entryTable: UnsafeMutableBufferPointer<UnsafePointer<job_entry>>?
}

private func gate(_ entry: UnsafePointer<job_entry>?) -> EntryGate? {
    entry?.pointee.data.map { Unmanaged<EntryGate>.fromOpaque($0).takeUnretainedValue() }
}

/// From untyped C to the typed entry. Lives as long as the process.
private class EntryGate {
    func validate(_ settings: [UInt8], _ error: UnsafePointer<job_error>?) -> Int32 { JOB_FAILED }
    func create(
        _ settings: [UInt8], _ error: UnsafePointer<job_error>?,
        _ instance: UnsafeMutablePointer<UnsafeMutableRawPointer?>?
    ) -> Int32 { JOB_FAILED }
}

private final class Gate<E: JobEntry>: EntryGate {
    override func validate(_ settings: [UInt8], _ error: UnsafePointer<job_error>?) -> Int32 {
        do {
            try E.validate(SettingsReader<E.Settings>().read(settings))
            return JOB_SUCCEEDED
        } catch let failure {
            say(describe(failure), to: error)
            return JOB_BAD_SETTINGS
        }
    }

    override func create(
        _ settings: [UInt8], _ error: UnsafePointer<job_error>?,
        _ instance: UnsafeMutablePointer<UnsafeMutableRawPointer?>?
    ) -> Int32 {
        do {
            let box: RunningEntry
            do {
                let settings = try SettingsReader<E.Settings>().read(settings)
                box = Running(try E(settings: settings), settings)
            } catch let fault as SettingsFault {
                throw JobFailure.badSettings(fault.description)
            }
            instance?.pointee = Unmanaged.passRetained(box).toOpaque()
            return JOB_SUCCEEDED
        } catch let failure {
            say(describe(failure), to: error)
            return code(of: failure)
        }
    }

    private func say(_ reason: String, to error: UnsafePointer<job_error>?) {
        guard let error else { return }
        reason.withJobStr { error.pointee.set(error, $0) }
    }
}

private class RunningEntry {
    func run(_ context: UnsafePointer<job_context>) -> Int32 { JOB_FAILED }
    func doctor(_ context: UnsafePointer<job_context>, _ findings: UnsafePointer<job_findings>) -> Int32 { JOB_FAILED }
    func schema(
        _ request: [UInt8], _ context: UnsafePointer<job_context>, _ findings: UnsafePointer<job_findings>
    ) -> Int32 { JOB_FAILED }
}

private final class Running<E: JobEntry>: RunningEntry {
    let entry: E
    private let settings: E.Settings
    init(_ entry: E, _ settings: E.Settings) {
        self.entry = entry
        self.settings = settings
    }

    override func run(_ raw: UnsafePointer<job_context>) -> Int32 {
        do {
            return report(try entry.run(RunContext(raw, stateVersion: E.info.stateVersion)), to: raw)
        } catch let failure {
            let known = failure as? JobFailure
            describe(failure).withJobStr { raw.pointee.fail(raw, known?.code ?? 0, $0) }
            if let notBefore = known?.notBefore { raw.pointee.retry_not_before(raw, notBefore) }
            return code(of: failure)
        }
    }

    override func doctor(_ raw: UnsafePointer<job_context>, _ findings: UnsafePointer<job_findings>) -> Int32 {
        look(raw) { try entry.doctor(DoctorContext(raw, findings)) }
    }

    override func schema(
        _ request: [UInt8], _ raw: UnsafePointer<job_context>, _ findings: UnsafePointer<job_findings>
    ) -> Int32 {
        look(raw) {
            guard let type = E.self as? any SchemaEntry.Type else { return }
            try type.answer(request, settings: settings, DoctorContext(raw, findings))
        }
    }

    private func look(_ raw: UnsafePointer<job_context>, _ body: () throws -> Void) -> Int32 {
        do {
            try body()
            return JOB_SUCCEEDED
        } catch let failure {
            describe(failure).withJobStr { raw.pointee.fail(raw, (failure as? JobFailure)?.code ?? 0, $0) }
            return code(of: failure)
        }
    }

    private func report(_ outcome: RunOutcome, to raw: UnsafePointer<job_context>) -> Int32 {
        func summary(_ text: String) {
            if !text.isEmpty { text.withJobStr { raw.pointee.summary(raw, $0) } }
        }
        switch outcome {
        case .succeeded(let text):
            summary(text ?? "")
            return JOB_SUCCEEDED
        case .nothingToDo(let why):
            summary(why)
            return JOB_NOTHING_TO_DO
        case .snooze(let until, let why):
            summary(why)
            raw.pointee.snooze_until(raw, until)
            return JOB_SNOOZE
        case .cancelled(let text):
            summary(text)
            return JOB_CANCELLED
        case .failed(let text, let code):
            text.withJobStr { raw.pointee.fail(raw, code, $0) }
            return JOB_FAILED
        case .retry(let text, let notBefore, let code):
            text.withJobStr { raw.pointee.fail(raw, code, $0) }
            if let notBefore { raw.pointee.retry_not_before(raw, notBefore) }
            return JOB_RETRY
        }
    }
}

private func code(of error: any Error) -> Int32 {
    if error is CancellationNotice { return JOB_CANCELLED }
    switch (error as? JobFailure)?.kind {
    case .transient: return JOB_RETRY
    case .badSettings: return JOB_BAD_SETTINGS
    case .permanent, nil: return JOB_FAILED
    }
}
