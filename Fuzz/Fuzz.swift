import Glibc
import JobConfig
import JobCore
import JobJSON

/// What libFuzzer calls with each input, for the parser that `FUZZ_TARGET` names. A crash, a trap,
/// a hang or a broken rule ends the process with the input on disk. `scripts/fuzz` builds and runs.
///
/// Besides surviving, each target holds a rule: what was read and written again reads the same.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = [UInt8](UnsafeBufferPointer(start: start, count: count))
    target(bytes)
    return 0
}

/// Called once before the first input.
@_cdecl("LLVMFuzzerInitialize")
public func fuzzInitialize(_: UnsafeMutableRawPointer?, _: UnsafeMutableRawPointer?) -> CInt {
    _ = target
    return 0
}

private let target: @Sendable ([UInt8]) -> Void = {
    switch getenv("FUZZ_TARGET").map({ String(cString: $0) }) {
    case "wire-host": fuzzWire(HostFrame.self)
    case "wire-worker": fuzzWire(WorkerFrame.self)
    case "config": fuzzConfig
    case "cron": fuzzCron
    case "json": fuzzJSON
    case "schema": fuzzSchema
    default: { _ in fail("FUZZ_TARGET is not one of wire-host, wire-worker, config, cron, json, schema") }
    }
}()

private func fail(_ sentence: String) -> Void { preconditionFailure(sentence) }

// MARK: Wire

/// Seeds and what was found from them outlive a new version of the wire: a frame of an older one would be refused
/// at its head, and nothing behind that be tried.
private func ofThisVersion(_ input: [UInt8]) -> [UInt8] {
    var bytes = input
    var start = 0
    while start + 6 <= bytes.count {
        if bytes[start + 5] == 0, bytes[start + 4] < UInt8(wireVersion) { bytes[start + 4] = UInt8(wireVersion) }
        let length = (0..<4).reduce(0) { $0 | Int(bytes[start + $1]) << (8 * $1) }
        guard length <= wireMaxFrameBytes else { break }
        start += 4 + length
    }
    return bytes
}

private func fuzzWire<Frame: WireFrame>(_: Frame.Type) -> @Sendable ([UInt8]) -> Void {
    { input in
        let bytes = ofThisVersion(input)
        var whole = FrameDecoder<Frame>()
        whole.append(bytes)
        let frames = read(&whole)
        // The same bytes in pieces are the same frames.
        var pieces = FrameDecoder<Frame>()
        var found: [Frame] = []
        for (index, byte) in bytes.enumerated() {
            pieces.append(CollectionOfOne(byte))
            if index % 7 == 0 { found += read(&pieces) }
        }
        found += read(&pieces)
        if found != frames { fail("frames depend on how their bytes arrive") }
        for frame in frames {
            guard let again = try? FrameEncoder.encode(frame) else { fail("a frame that was read cannot be written"); return }
            var decoder = FrameDecoder<Frame>()
            decoder.append(again)
            if (try? FrameEncoder.encode((try? decoder.next()) ?? frame)) != again { fail("a frame reads differently the second time") }
        }
    }
}

private func read<Frame: WireFrame>(_ decoder: inout FrameDecoder<Frame>) -> [Frame] {
    var frames: [Frame] = []
    while let frame = try? decoder.next() { frames.append(frame) }
    return frames
}

// MARK: Config

private struct OneZone: ZoneSource {
    func zone(named name: String) throws(ZoneError) -> Zone {
        guard name == "UTC" else { throw .unknown(name: name, nearest: "UTC") }
        return .utc
    }
}

private func fuzzConfig(_ bytes: [UInt8]) {
    let machine = Machine(
        readFile: { (path, limit) throws(Machine.Fault) in
            guard path == "/c/jobs.toml" || path.hasSuffix("a.toml") else { throw Machine.Fault(reason: "no such file") }
            guard bytes.count <= limit else { throw Machine.Fault(reason: "too long") }
            return path == "/c/jobs.toml" ? bytes : []
        },
        listFolder: { _ in ["a.toml"] }, kind: { $0.hasSuffix("/") ? .folder : .file }, hostName: "h", programFolder: "/usr/bin",
        currentFolder: "/c")
    do {
        let config = try ConfigLoader.load(file: "jobs.toml", environment: ["A": "b"], zones: OneZone(), machine: machine)
        if !ConfigDiff.diff(old: config, new: config).isEmpty { fail("a config differs from itself") }
    } catch {
        if error.errors.isEmpty { fail("refused without a reason") }
        for fault in error.errors where fault.description.utf8.count > 100_000 { fail("a sentence of \(fault.description.utf8.count) bytes") }
    }
}

// MARK: Cron

private func fuzzCron(_ bytes: [UInt8]) {
    guard let expression = try? CronExpression(String(decoding: bytes, as: UTF8.self)) else { return }
    let schedule = Schedule(spec: .cron(expression, timeZone: "UTC"), zone: .utc)
    var instant = Instant(seconds: 1_700_000_000)
    for _ in 0..<20 {
        guard let next = schedule.next(after: instant) else { return }
        if next <= instant { fail("next(\(instant.rfc3339)) is \(next.rfc3339)") }
        instant = next
    }
}

// MARK: JSON

private func fuzzJSON(_ bytes: [UInt8]) {
    guard let json = try? JSON(parsing: bytes) else { return }
    let text = json.canonicalBytes
    guard let again = try? JSON(parsing: text, limits: .init(bytes: max(text.count, 1 << 20))) else {
        fail("canonical text is not JSON")
        return
    }
    if again.canonicalBytes != text { fail("canonical text is not canonical") }
}

private func fuzzSchema(_ bytes: [UInt8]) {
    let halves = bytes.split(separator: 0, maxSplits: 1, omittingEmptySubsequences: false)
    guard let schema = try? JSONSchema(text: String(decoding: halves[0], as: UTF8.self)), halves.count == 2,
        let value = try? JSON(parsing: Array(halves[1]))
    else { return }
    _ = schema.validate(value)
}
