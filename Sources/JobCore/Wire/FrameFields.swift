// Which fields each frame has, in their order on the wire. Writing and reading of one frame
// stand close together: a change of either is a change of both, and of `wireVersion`.

extension HostFrame: WireFrame {
    public var wireTag: UInt8 {
        switch self {
        case .load: 1
        case .validate: 2
        case .settings: 3
        case .run: 4
        case .cancel: 5
        case .shutdown: 6
        case .diagnose: 7
        case .recall: 8
        case .lease: 9
        }
    }

    public func writeFields(to writer: inout WireWriter) throws(WireError) {
        switch self {
        case .load(let request): request.write(to: &writer)
        case .validate(let requestID, let entry, let settings):
            writer.write(requestID)
            writer.write(entry)
            writer.write(settings)
        case .settings(let frame): frame.write(to: &writer)
        case .run(let frame): try frame.write(to: &writer)
        case .diagnose(let frame): frame.write(to: &writer)
        case .cancel(let run), .recall(let run): writer.write(run)
        case .lease(let until): writer.write(until.microseconds)
        case .shutdown: break
        }
    }

    public init(tag: UInt8, from reader: inout WireReader) throws(WireError) {
        switch tag {
        case 1: self = .load(try LoadRequest(from: &reader))
        case 2:
            let requestID = try reader.readUInt32()
            let entry = try reader.readString()
            self = .validate(requestID: requestID, entry: entry, settings: try reader.readBytes())
        case 3: self = .settings(try SettingsFrame(from: &reader))
        case 4: self = .run(try RunFrame(from: &reader))
        case 5: self = .cancel(run: try reader.readRunID())
        case 6: self = .shutdown
        case 7: self = .diagnose(try DiagnoseFrame(from: &reader))
        case 8: self = .recall(run: try reader.readRunID())
        case 9: self = .lease(until: MonotonicInstant(microseconds: try reader.readInt64()))
        default: throw .unknownTag(tag)
        }
    }
}

extension WorkerFrame: WireFrame {
    public var wireTag: UInt8 {
        switch self {
        case .ready: 65
        case .refused: 66
        case .validated: 67
        case .started: 68
        case .log: 69
        case .progress: 70
        case .metric: 71
        case .enqueue: 72
        case .result: 73
        case .returned: 74
        case .finding: 75
        case .diagnosed: 76
        }
    }

    public func writeFields(to writer: inout WireWriter) throws(WireError) {
        switch self {
        case .ready(let descriptor): try descriptor.write(to: &writer)
        case .refused(let code, let message):
            writer.write(code.rawValue)
            writer.write(message)
        case .validated(let requestID, let error):
            writer.write(requestID)
            writer.write(error != nil)
            if let error { writer.write(error) }
        case .finding(let finding): finding.write(to: &writer)
        case .diagnosed(let end): end.write(to: &writer)
        case .started(let run), .returned(let run): writer.write(run)
        case .log(let run, let level, let text, let fields):
            writer.write(run)
            writer.write(level.rawValue)
            writer.write(text)
            writer.write(fields)
        case .progress(let run, let done, let total, let text):
            writer.write(run)
            writer.write(done)
            writer.write(total)
            writer.write(text)
        case .metric(let run, let sample):
            writer.write(run)
            try sample.write(to: &writer)
        case .enqueue(let run, let request):
            writer.write(run)
            request.write(to: &writer)
        case .result(let result): try result.write(to: &writer)
        }
    }

    public init(tag: UInt8, from reader: inout WireReader) throws(WireError) {
        switch tag {
        case 65: self = .ready(try PluginDescriptor(from: &reader))
        case 66:
            let code = try reader.readUInt8()
            guard let code = RefusalCode(rawValue: code) else { throw .invalid("refusal code \(code)") }
            self = .refused(code: code, message: try reader.readString())
        case 67:
            let requestID = try reader.readUInt32()
            self = .validated(requestID: requestID, error: try reader.readBool() ? try reader.readString() : nil)
        case 68: self = .started(run: try reader.readRunID())
        case 69:
            let run = try reader.readRunID()
            let level = try reader.readUInt8()
            guard let level = LogLevel(rawValue: level) else { throw .invalid("log level \(level)") }
            let text = try reader.readString()
            self = .log(run: run, level: level, text: text, fields: try reader.readBytes())
        case 70:
            let run = try reader.readRunID()
            let done = try reader.readUInt64()
            let total = try reader.readUInt64()
            self = .progress(run: run, done: done, total: total, text: try reader.readString())
        case 71:
            let run = try reader.readRunID()
            self = .metric(run: run, try MetricSample(from: &reader))
        case 72:
            let run = try reader.readRunID()
            self = .enqueue(run: run, try EnqueueRequest(from: &reader))
        case 73: self = .result(try RunResult(from: &reader))
        case 74: self = .returned(run: try reader.readRunID())
        case 75: self = .finding(try PluginFinding(from: &reader))
        case 76: self = .diagnosed(try DiagnosisEnd(from: &reader))
        default: throw .unknownTag(tag)
        }
    }
}

extension LoadRequest {
    fileprivate func write(to writer: inout WireWriter) {
        writer.write(library)
        writer.write(plugin)
        writer.write(memoryLimit)
        writer.write(fileLimit)
    }
    fileprivate init(from reader: inout WireReader) throws(WireError) {
        let library = try reader.readString()
        let plugin = try reader.readString()
        let memoryLimit = try reader.readUInt64()
        self.init(library: library, plugin: plugin, memoryLimit: memoryLimit, fileLimit: try reader.readUInt64())
    }
}

extension SettingsFrame {
    fileprivate func write(to writer: inout WireWriter) {
        writer.write(instance)
        writer.write(job)
        writer.write(entry)
        writer.write(settings)
    }
    fileprivate init(from reader: inout WireReader) throws(WireError) {
        let instance = try reader.readUInt32()
        let job = try reader.readString()
        let entry = try reader.readString()
        self.init(instance: instance, job: job, entry: entry, settings: try reader.readBytes())
    }
}

extension RunFrame {
    fileprivate func write(to writer: inout WireWriter) throws(WireError) {
        writer.write(run)
        writer.write(instance)
        writer.write(attempt)
        writer.write(trigger.wireCode)
        writer.write(fireTime)
        writer.write(timeout)
        writer.write(fence)
        writer.write(idempotencyKey)
        writer.write(payload)
        writer.write(stateVersion)
        try writer.writeState(state)
        writer.write(notBefore != nil)
        if let notBefore {
            writer.write(notBefore.monotonic.microseconds)
            writer.write(notBefore.wall)
        }
    }
    fileprivate init(from reader: inout WireReader) throws(WireError) {
        let run = try reader.readRunID()
        let instance = try reader.readUInt32()
        let attempt = try reader.readUInt32()
        let trigger = try reader.readUInt8()
        guard let trigger = Trigger(wireCode: trigger) else { throw .invalid("trigger \(trigger)") }
        let fireTime = try reader.readInstant()
        let timeout = try reader.readDuration()
        let fence = try reader.readInt64()
        let idempotencyKey = try reader.readString()
        let payload = try reader.readBytes()
        let stateVersion = try reader.readUInt32()
        self.init(
            run: run, instance: instance, attempt: attempt, trigger: trigger, fireTime: fireTime,
            timeout: timeout, fence: fence, idempotencyKey: idempotencyKey, payload: payload,
            stateVersion: stateVersion, state: try reader.readState())
        guard try reader.readBool() else { return }
        let monotonic = MonotonicInstant(microseconds: try reader.readInt64())
        notBefore = Now(wall: try reader.readInstant(), monotonic: monotonic)
    }
}

extension Trigger {
    fileprivate var wireCode: UInt8 {
        switch self {
        case .schedule: 1
        case .catchUp: 2
        case .manual: 3
        case .enqueued: 4
        case .backfill: 5
        case .retryOf: 6
        case .start: 7
        case .after: 8
        }
    }
    fileprivate init?(wireCode: UInt8) {
        switch wireCode {
        case 1: self = .schedule
        case 2: self = .catchUp
        case 3: self = .manual
        case 4: self = .enqueued
        case 5: self = .backfill
        case 6: self = .retryOf
        case 7: self = .start
        case 8: self = .after
        default: return nil
        }
    }
}

extension PluginDescriptor {
    fileprivate func write(to writer: inout WireWriter) throws(WireError) {
        writer.write(id)
        writer.write(version)
        writer.write(description)
        writer.write(abi)
        try writer.write(count: entries.count, of: "entries")
        for entry in entries { entry.write(to: &writer) }
    }
    fileprivate init(from reader: inout WireReader) throws(WireError) {
        let id = try reader.readString()
        let version = try reader.readString()
        let description = try reader.readString()
        let abi = try reader.readUInt32()
        var entries: [EntryDescriptor] = []
        for _ in 0 ..< (try reader.readUInt16()) { entries.append(try EntryDescriptor(from: &reader)) }
        self.init(id: id, version: version, description: description, abi: abi, entries: entries)
    }
}

extension EntryDescriptor {
    fileprivate func write(to writer: inout WireWriter) {
        writer.write(id)
        writer.write(description)
        writer.write(idempotent)
        writer.write(cancellable)
        writer.write(defaultSchedule)
        writer.write(settingsSchema)
        writer.write(payloadSchema)
        writer.write(stateVersion)
    }
    fileprivate init(from reader: inout WireReader) throws(WireError) {
        let id = try reader.readString()
        let description = try reader.readString()
        let idempotent = try reader.readBool()
        let cancellable = try reader.readBool()
        let defaultSchedule = try reader.readString()
        let settingsSchema = try reader.readString()
        let payloadSchema = try reader.readString()
        self.init(
            id: id, description: description, idempotent: idempotent, cancellable: cancellable,
            defaultSchedule: defaultSchedule, settingsSchema: settingsSchema, payloadSchema: payloadSchema,
            stateVersion: try reader.readUInt32())
    }
}

extension MetricSample {
    fileprivate func write(to writer: inout WireWriter) throws(WireError) {
        writer.write(kind.rawValue)
        writer.write(name)
        writer.write(value)
        try writer.write(count: labels.count, of: "labels")
        for (label, value) in labels {
            writer.write(label)
            writer.write(value)
        }
    }
    fileprivate init(from reader: inout WireReader) throws(WireError) {
        let kind = try reader.readUInt8()
        guard let kind = Kind(rawValue: kind) else { throw .invalid("metric kind \(kind)") }
        let name = try reader.readString()
        let value = try reader.readDouble()
        var labels: [String: String] = [:]
        for _ in 0 ..< (try reader.readUInt16()) {
            let label = try reader.readString()
            guard labels.updateValue(try reader.readString(), forKey: label) == nil else {
                throw .invalid("label given twice")
            }
        }
        self.init(kind: kind, name: name, labels: labels, value: value)
    }
}

extension EnqueueRequest {
    fileprivate func write(to writer: inout WireWriter) {
        writer.write(job)
        writer.write(payload)
        writer.write(key)
        writer.write(at)
    }
    fileprivate init(from reader: inout WireReader) throws(WireError) {
        let job = try reader.readString()
        let payload = try reader.readBytes()
        let key = try reader.readString()
        self.init(job: job, payload: payload, key: key, at: try reader.readOptionalInstant())
    }
}

extension RunResult {
    fileprivate func write(to writer: inout WireWriter) throws(WireError) {
        writer.write(run)
        writer.write(code.rawValue)
        writer.write(failCode)
        writer.write(text)
        writer.write(snoozeUntil)
        writer.write(retryNotBefore)
        writer.write(items)
        try StateBlob.write(stateOnSuccess, to: &writer)
        try StateBlob.write(stateAlways, to: &writer)
        writer.write(cpu)
        writer.write(startedAt)
        writer.write(took)
        writer.write(written.stdout)
        writer.write(written.stderr)
    }
    fileprivate init(from reader: inout WireReader) throws(WireError) {
        let run = try reader.readRunID()
        let code = try reader.readUInt8()
        guard let code = ResultCode(rawValue: code) else { throw .invalid("result code \(code)") }
        let failCode = try reader.readInt32()
        let text = try reader.readString()
        let snoozeUntil = try reader.readOptionalInstant()
        let retryNotBefore = try reader.readOptionalInstant()
        let items = try reader.readUInt64()
        let stateOnSuccess = try StateBlob.read(from: &reader)
        let stateAlways = try StateBlob.read(from: &reader)
        let cpu = try reader.readDuration()
        let startedAt = try reader.readInstant()
        self.init(
            run: run, code: code, failCode: failCode, text: text, snoozeUntil: snoozeUntil,
            retryNotBefore: retryNotBefore, items: items, stateOnSuccess: stateOnSuccess,
            stateAlways: stateAlways, cpu: cpu, startedAt: startedAt, took: try reader.readDuration(),
            written: WrittenOutput(stdout: try reader.readInt64(), stderr: try reader.readInt64()))
    }
}

extension StateBlob {
    fileprivate static func write(_ blob: StateBlob?, to writer: inout WireWriter) throws(WireError) {
        writer.write(blob != nil)
        guard let blob else { return }
        writer.write(blob.version)
        try writer.writeState(blob.bytes)
    }
    fileprivate static func read(from reader: inout WireReader) throws(WireError) -> StateBlob? {
        guard try reader.readBool() else { return nil }
        let version = try reader.readUInt32()
        return StateBlob(version: version, bytes: try reader.readState())
    }
}
