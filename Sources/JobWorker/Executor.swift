import CLinux
import Glibc
import JobABI
import JobCore

/// The main thread: does what the inbox says, in order, and calls the plugin.
final class Executor {
    private struct Instance {
        let job: String
        let entryID: String
        let settings: Bytes
        /// nil: the plugin has no such entry.
        let entry: LoadedLibrary.Entry?
        var isCreated = false
        var pointer: UnsafeMutableRawPointer?
    }

    private let plugin: LoadedLibrary
    private let inbox: Inbox
    private let output: Output
    private let session: RunSession
    private let slate: Slate
    private var instances: [UInt32: Instance] = [:]
    /// Replaced by other settings under their number, and destroyed in the next run under it: so its limits hold.
    private var replaced: [UInt32: [Instance]] = [:]
    /// At the end of the run before, where nothing has been waited for or done since: reading that clock costs
    /// more than anything else that a short run does here.
    private var cpuAtEnd: Duration?

    init(plugin: LoadedLibrary, name: String, inbox: Inbox, output: Output, slate: Slate) {
        self.plugin = plugin
        self.inbox = inbox
        self.output = output
        self.slate = slate
        session = RunSession(pluginName: name, inbox: inbox, output: output)
    }

    func serve() -> Never {
        while true {
            // A result waits for what the next run says, so that a burst of short runs costs few
            // writes; it goes out as soon as there is nothing else to do.
            guard let order = inbox.nextIfThere() else {
                output.flush()
                cpuAtEnd = nil
                perform(inbox.next())
                continue
            }
            perform(order)
        }
    }

    private func perform(_ order: Inbox.Order) {
        switch order {
        case .load: quit(.protocolError)
        case .validate(let requestID, let entry, let settings):
            output.send(.validated(requestID: requestID, error: validate(entry, settings)))
        case .settings(let frame): remember(frame)
        case .run(let frame): return run(frame)
        case .diagnose(let frame): output.send(.diagnosed(diagnose(frame)))
        case .withdrawn: break
        case .giveBack(let run): output.send(.returned(run: run))
        case .shutdown: shutDown()
        }
        cpuAtEnd = nil
    }

    private func shutDown() -> Never {
        for instance in replaced.values.joined() { destroy(instance) }
        for instance in instances.values { destroy(instance) }
        clw_flush_output()
        output.flush()
        quit(.shutdown)
    }

    // MARK: instances

    private func remember(_ frame: SettingsFrame) {
        if let old = instances.removeValue(forKey: frame.instance), old.isCreated { replaced[frame.instance, default: []].append(old) }
        instances[frame.instance] = Instance(
            job: frame.job, entryID: frame.entry, settings: frame.settings, entry: plugin.entries[frame.entry])
    }

    private func destroy(_ instance: Instance) {
        guard instance.isCreated, let destroy = instance.entry?.raw.pointee.destroy else { return }
        destroy(instance.pointer)
    }

    private func unknownEntry(_ id: String) -> String {
        "plugin '\(plugin.descriptor.id)' has no entry '\(id)' (it has: \(plugin.entries.keys.sorted().joined(separator: ", ")))"
    }

    private func validate(_ entryID: String, _ settings: Bytes) -> String? {
        guard let entry = plugin.entries[entryID] else { return unknownEntry(entryID) }
        guard let validate = entry.raw.pointee.validate else { return nil }
        var reason = ""
        let code = settings.withJobStr { settings in
            collectingError(into: &reason) { validate(entry.raw, settings, $0) }
        }
        clw_flush_output()
        if code == JOB_SUCCEEDED { return nil }
        return reason.isEmpty ? "the entry refuses these settings without a reason" : reason
    }

    /// Lends the plugin a place for its reason.
    private func collectingError(into reason: inout String, _ body: (UnsafePointer<job_error>) -> Int32) -> Int32 {
        withUnsafeMutablePointer(to: &reason) { place in
            var error = job_error()
            error.struct_size = UInt32(MemoryLayout<job_error>.size)
            error.host_data = UnsafeMutableRawPointer(place)
            error.set = { error, reason in
                error?.pointee.host_data?.assumingMemoryBound(to: String.self).pointee =
                    Text.clean(reason, limit: Text.maximum)
            }
            return withUnsafePointer(to: error, body)
        }
    }

    // MARK: runs

    private func run(_ frame: RunFrame) {
        guard let instance = instances[frame.instance] else { quit(.protocolError) }
        slate.begin(frame.fence)
        output.sendInTime(.started(run: frame.run))
        let cpuBefore = cpuAtEnd ?? Clocks.cpu()
        let (startedAt, began) = (Clocks.wall(), Clocks.monotonic())
        var result = execute(frame, instance)
        result.startedAt = startedAt
        result.took = Clocks.monotonic() - began
        let cpu = Clocks.cpu()
        result.cpu = cpu - cpuBefore
        // What it takes to tell of a state is not the next run's.
        cpuAtEnd = result.stateOnSuccess == nil && result.stateAlways == nil ? cpu : nil
        inbox.runEnded()
        clw_flush_output()
        result.written = slate.written()
        let goesOn = slate.end(frame.fence)
        output.sendSoon(.result(result))
        if !goesOn { awaitKill() }
    }

    /// The kill for the attempt that has just ended is on its way, and must not meet another.
    private func awaitKill() -> Never {
        output.flush()
        while true { pause() }
    }

    private func execute(_ frame: RunFrame, _ instance: Instance) -> RunResult {
        guard let entry = instance.entry, let run = entry.raw.pointee.run else {
            return RunResult(run: frame.run, code: .badSettings, text: unknownEntry(instance.entryID))
        }
        session.begin(frame)
        if !replaced.isEmpty, let old = replaced.removeValue(forKey: frame.instance) { for instance in old { destroy(instance) } }
        if let refusal = createIfNeeded(frame, instance, entry) { return refusal }
        let pointer = instances[frame.instance]?.pointer
        let code = session.withContext(frame, job: instance.job) { run(pointer, $0) }
        return session.end(code: code)
    }

    /// nil: there is an instance now.
    private func createIfNeeded(
        _ frame: RunFrame, _ instance: Instance, _ entry: LoadedLibrary.Entry
    ) -> RunResult? {
        guard !instance.isCreated else { return nil }
        switch create(entry, instance.settings) {
        case .refused(let code, let reason): return RunResult(run: frame.run, code: code, text: reason)
        case .made(let pointer):
            instances[frame.instance]?.isCreated = true
            instances[frame.instance]?.pointer = pointer
            return nil
        }
    }

    private enum Creation {
        case made(UnsafeMutableRawPointer?)
        case refused(ResultCode, String)
    }

    private func create(_ entry: LoadedLibrary.Entry, _ settings: Bytes) -> Creation {
        var pointer: UnsafeMutableRawPointer?
        guard let create = entry.raw.pointee.create else { return .made(nil) }
        var reason = ""
        let code = settings.withJobStr { settings in
            collectingError(into: &reason) { create(entry.raw, session.host, settings, $0, &pointer) }
        }
        if code == JOB_SUCCEEDED { return .made(pointer) }
        let result: ResultCode =
            switch code {
            case JOB_BAD_SETTINGS: .badSettings
            case JOB_RETRY: .retry
            default: .failed
            }
        return .refused(result, reason.isEmpty ? "create returned \(code) without a reason" : reason)
    }

    // MARK: the doctor

    /// On an instance of its own: those of runs have been used.
    private func diagnose(_ frame: DiagnoseFrame) -> DiagnosisEnd {
        defer {
            inbox.runEnded()
            clw_flush_output()
        }
        guard let entry = plugin.entries[frame.entry] else { return .failed(unknownEntry(frame.entry)) }
        guard frame.schemaRequest.isEmpty ? entry.doctor != nil : entry.schema != nil else { return .absent }
        switch create(entry, frame.settings) {
        case .refused(_, let reason): return .failed(reason)
        case .made(let instance):
            let desk = FindingsDesk(output)
            let answer = session.diagnose(frame) { context in
                desk.withTable { ask(entry, frame.schemaRequest, instance, context, $0) }
            }
            if let destroy = entry.raw.pointee.destroy { destroy(instance) }
            if answer.code == JOB_SUCCEEDED { return .complete(dropped: desk.dropped) }
            return .failed(answer.text.isEmpty ? "\(frame.schemaRequest.isEmpty ? "doctor" : "schema") returned \(answer.code) without a reason" : answer.text)
        }
    }

    private func ask(
        _ entry: LoadedLibrary.Entry, _ schemaRequest: Bytes, _ instance: UnsafeMutableRawPointer?,
        _ context: UnsafePointer<job_context>, _ findings: UnsafePointer<job_findings>
    ) -> Int32 {
        if schemaRequest.isEmpty { return entry.doctor?(instance, context, findings) ?? JOB_FAILED }
        return schemaRequest.withJobStr { entry.schema?(instance, context, $0, findings) ?? JOB_FAILED }
    }
}

/// The process's clocks.
enum Clocks {
    /// Of all threads of this process.
    static func cpu() -> Duration { read(CLOCK_PROCESS_CPUTIME_ID) }
    /// Since boot; goes on during suspend.
    static func monotonic() -> MonotonicInstant {
        MonotonicInstant(microseconds: read(CLOCK_BOOTTIME).microseconds)
    }
    static func wall() -> Instant { .epoch + read(CLOCK_REALTIME) }
    /// Both, of one moment: not of before and after this thread had to wait for a processor.
    static func now() -> Now {
        var before = monotonic()
        for _ in 0 ..< 10 {
            let wall = wall()
            let after = monotonic()
            if after - before < .microseconds(100) { return Now(wall: wall, monotonic: after) }
            before = after
        }
        return Now(wall: wall(), monotonic: monotonic())
    }

    private static func read(_ clock: clockid_t) -> Duration {
        var time = timespec()
        clock_gettime(clock, &time)
        return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
    }
}
