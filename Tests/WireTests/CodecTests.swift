import Glibc
import JobCore
import Testing

@Suite struct CodecTests {
    @Test func `A frame has these bytes`() throws {
        #expect(try FrameEncoder.encode(HostFrame.shutdown) == [3, 0, 0, 0, 5, 0, 6])
        #expect(
            try FrameEncoder.encode(WorkerFrame.started(run: RunID(258)))
                == [11, 0, 0, 0, 5, 0, 68, 2, 1, 0, 0, 0, 0, 0, 0])
        #expect(
            try FrameEncoder.encode(WorkerFrame.refused(code: .noSymbol, message: "né"))
                == [11, 0, 0, 0, 5, 0, 66, 3, 3, 0, 0, 0, 0x6E, 0xC3, 0xA9])
    }

    @Test(arguments: UInt64(1) ... 20) func `Every frame survives the wire, however it is cut`(seed: UInt64) throws {
        var random = SeededGenerator(seed)
        let host = (0 ..< 40).map { _ in HostFrame.random(&random) }
        let worker = (0 ..< 40).map { _ in WorkerFrame.random(&random) }
        #expect(try roundTrip(host, &random) == host)
        #expect(try roundTrip(worker, &random) == worker)
    }

    /// Several frames into one buffer, handed over in pieces of random size.
    private func roundTrip<F: WireFrame>(_ frames: [F], _ random: inout SeededGenerator) throws -> [F] {
        var encoder = FrameEncoder()
        for frame in frames { try encoder.append(frame) }
        var decoder = FrameDecoder<F>()
        var rest = encoder.bytes[...]
        var decoded: [F] = []
        while !rest.isEmpty {
            let piece = rest.prefix(Int.random(in: 1 ... 3_000, using: &random))
            rest = rest.dropFirst(piece.count)
            decoder.append(piece)
            while let frame = try decoder.next() { decoded.append(frame) }
        }
        #expect(decoder.pendingBytes == 0)
        return decoded
    }

    @Test func `A frame of one mebibyte passes, one byte more does not`() throws {
        // Header 7, request id 4, length of "" 4, length of the settings 4.
        let most = wireMaxFrameBytes - 19
        let frame = HostFrame.validate(requestID: 1, entry: "", settings: Bytes(repeating: 7, count: most))
        let bytes = try FrameEncoder.encode(frame)
        #expect(bytes.count == wireMaxFrameBytes)
        var decoder = FrameDecoder<HostFrame>()
        decoder.append(bytes)
        #expect(try decoder.next() == frame)

        var encoder = FrameEncoder()
        try encoder.append(HostFrame.shutdown)
        let tooLong = HostFrame.validate(requestID: 1, entry: "", settings: Bytes(repeating: 7, count: most + 1))
        #expect(throws: WireError.frameTooLong(wireMaxFrameBytes + 1)) { try encoder.append(tooLong) }
        // What was there before is untouched.
        #expect(encoder.bytes == [3, 0, 0, 0, 5, 0, 6])
    }

    @Test func `A length beyond the limit is refused before anything is collected`() {
        var decoder = FrameDecoder<HostFrame>()
        decoder.append([0xFF, 0xFF, 0xFF, 0xFF])
        #expect(throws: WireError.frameTooLong(0x1_0000_0003)) { try decoder.next() }
        decoder.append([UInt8](repeating: 0, count: 100))
        #expect(decoder.pendingBytes == 0)
        #expect(throws: WireError.frameTooLong(0x1_0000_0003)) { try decoder.next() }
    }

    @Test func `A state beyond 256 KiB is refused on both sides`() throws {
        let state = StateBlob(version: 1, bytes: Bytes(repeating: 0, count: wireMaxStateBytes + 1))
        #expect(throws: WireError.stateTooLong(262_145)) {
            try FrameEncoder.encode(WorkerFrame.result(RunResult(run: RunID(1), code: .succeeded, stateAlways: state)))
        }
        var bytes = try FrameEncoder.encode(
            WorkerFrame.result(
                RunResult(run: RunID(1), code: .succeeded, stateAlways: StateBlob(version: 1, bytes: []))))
        // The length of the (empty) state, four bytes; CPU time, start, duration and what was written
        // follow, eight each.
        bytes[bytes.count - 44] = 1
        bytes[bytes.count - 42] = 4
        var decoder = FrameDecoder<WorkerFrame>()
        decoder.append(bytes)
        #expect(throws: WireError.stateTooLong(262_145)) { try decoder.next() }
    }

    @Test(arguments: [
        ([3, 0, 0, 0, 1, 0, 6], WireError.wireVersion(1)),
        ([3, 0, 0, 0, 5, 0, 99], .unknownTag(99)),
        // A worker's frame where the supervisor's are expected.
        ([11, 0, 0, 0, 5, 0, 68, 1, 0, 0, 0, 0, 0, 0, 0], .unknownTag(68)),
        ([0, 0, 0, 0], .truncated),
        ([2, 0, 0, 0, 5, 0], .truncated),
        ([4, 0, 0, 0, 5, 0, 6, 0], .trailing(1)),
        ([10, 0, 0, 0, 5, 0, 5, 1, 0, 0, 0, 0, 0, 0], .truncated),
        // validate, whose entry is longer than the frame.
        ([11, 0, 0, 0, 5, 0, 2, 1, 0, 0, 0, 255, 255, 255, 255], .truncated),
        // validate, whose entry is not UTF-8: an overlong slash.
        ([17, 0, 0, 0, 5, 0, 2, 1, 0, 0, 0, 3, 0, 0, 0, 0xC0, 0xAF, 0, 0, 0, 0], .invalidUTF8),
    ] as [([UInt8], WireError)])
    func `Bytes that are no frame are an error`(bytes: [UInt8], expected: WireError) {
        var decoder = FrameDecoder<HostFrame>()
        decoder.append(bytes)
        #expect(throws: expected) { try decoder.next() }
    }

    @Test func `A worker tells a host of another version so, in that version's head`() throws {
        let bytes = FrameEncoder.mismatch(host: 77)
        #expect(bytes[4...6] == [77, 0, 66])
        var own = bytes
        own[4] = UInt8(wireVersion)
        var decoder = FrameDecoder<WorkerFrame>()
        decoder.append(own)
        #expect(try decoder.next() == .refused(
            code: .wireVersion,
            message: "the worker speaks wire version \(wireVersion), the host 77: jobhost and jobhost-worker must be of one release"))
    }

    @Test func `Values outside of their vocabulary are errors`() throws {
        func decode(_ frame: WorkerFrame, replacing offset: Int? = nil, by byte: UInt8 = 0) throws -> WorkerFrame? {
            var bytes = try FrameEncoder.encode(frame)
            if let offset { bytes[offset] = byte }
            var decoder = FrameDecoder<WorkerFrame>()
            decoder.append(bytes)
            return try decoder.next()
        }
        let result = WorkerFrame.result(RunResult(run: RunID(1), code: .succeeded))
        #expect(throws: WireError.invalid("result code 7")) { try decode(result, replacing: 15, by: 7) }
        let log = WorkerFrame.log(run: RunID(1), level: .info, text: "", fields: [])
        #expect(throws: WireError.invalid("log level 0")) { try decode(log, replacing: 15, by: 0) }
        let validated = WorkerFrame.validated(requestID: 1, error: nil)
        #expect(throws: WireError.invalid("flag 2")) { try decode(validated, replacing: 11, by: 2) }
        let metric = WorkerFrame.metric(run: RunID(1), MetricSample(kind: .gauge, name: "a", labels: [:], value: .nan))
        #expect(throws: WireError.invalid("number")) { try decode(metric) }
    }

    @Test(arguments: UInt64(1) ... 40) func `Random bytes never trap and never pile up`(seed: UInt64) {
        var random = SeededGenerator(seed)
        for _ in 0 ..< 200 {
            var decoder = FrameDecoder<WorkerFrame>()
            var bytes = (0 ..< Int.random(in: 0 ... 200, using: &random)).map { _ in UInt8.random(in: 0 ... 255, using: &random) }
            // Half of them with a plausible header, so that the fields are reached.
            if bytes.count >= 7, Bool.random(using: &random) {
                bytes.replaceSubrange(0 ..< 7, with: [UInt8(bytes.count - 4), 0, 0, 0, 3, 0, UInt8.random(in: 65 ... 74, using: &random)])
            }
            decoder.append(bytes)
            drain(&decoder)
            #expect(decoder.pendingBytes <= bytes.count)
        }
    }

    @Test(arguments: UInt64(1) ... 40) func `Mutated frames are decoded or refused, never a trap`(seed: UInt64) throws {
        var random = SeededGenerator(seed)
        for _ in 0 ..< 100 {
            var bytes = try FrameEncoder.encode(WorkerFrame.random(&random))
            var host = try FrameEncoder.encode(HostFrame.random(&random))
            for _ in 0 ..< Int.random(in: 1 ... 4, using: &random) {
                bytes[Int.random(in: 0 ..< bytes.count, using: &random)] = UInt8.random(in: 0 ... 255, using: &random)
                host[Int.random(in: 0 ..< host.count, using: &random)] = UInt8.random(in: 0 ... 255, using: &random)
            }
            if Bool.random(using: &random) { bytes.removeLast(Int.random(in: 0 ..< bytes.count, using: &random)) }
            var decoder = FrameDecoder<WorkerFrame>()
            decoder.append(bytes)
            drain(&decoder)
            var hostDecoder = FrameDecoder<HostFrame>()
            hostDecoder.append(host)
            drain(&hostDecoder)
            #expect(decoder.pendingBytes <= bytes.count && hostDecoder.pendingBytes <= host.count)
        }
    }

    private func drain<F: WireFrame>(_ decoder: inout FrameDecoder<F>) {
        while let frame = try? decoder.next() { _ = frame.wireTag }
    }

    @Test func `Extreme instants and durations survive`() throws {
        let frame = HostFrame.run(
            RunFrame(
                run: RunID(.max), instance: .max, attempt: .max, trigger: .after, fireTime: .distantPast,
                timeout: .microseconds(Int64.max), fence: .min, idempotencyKey: ""))
        var decoder = FrameDecoder<HostFrame>()
        decoder.append(try FrameEncoder.encode(frame))
        #expect(try decoder.next() == frame)
    }

    /// What this thread has used.
    private func processorTime() -> Duration {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return .seconds(Int64(time.tv_sec)) + .nanoseconds(Int64(time.tv_nsec))
    }

    @Test func `A frame costs little to write and to read`() throws {
        let frame = HostFrame.run(
            RunFrame(
                run: RunID(1), instance: 1, attempt: 1, trigger: .schedule, fireTime: Instant(seconds: 1_700_000_000),
                timeout: .seconds(30), fence: 9, idempotencyKey: "candles-1m@1700000000",
                payload: Array(#"{"pair":"BTC/USD","from":1700000000}"#.utf8), stateVersion: 1,
                state: Array(#"{"last":1700000000}"#.utf8)))
        var encoder = FrameEncoder()
        var decoder = FrameDecoder<HostFrame>()
        let rounds = 20_000
        var count = 0
        let before = processorTime()
        for _ in 0 ..< rounds {
            encoder.removeAll()
            try encoder.append(frame)
            decoder.append(encoder.bytes)
            if try decoder.next() != nil { count += 1 }
        }
        #expect(count == rounds)
        // Of the processor: others may have it meanwhile.
        let each = (processorTime() - before) / rounds
        print("encode + decode of a run frame: \(each)")
        // Far above what an optimised build needs: this guards against a change of order only.
        #expect(each < .microseconds(200))
    }
}
