import Glibc
import JobCore

/// A token bucket in bytes: how much may be read now, so that a worker that floods its output
/// is slowed by its full pipe instead of filling this process.
struct Throttle: Hashable, Sendable {
    /// Below this it is not worth a read.
    static let worthwhile = 4_096

    let bytesPerSecond: Int64
    let burst: Int64
    private var tokens: Int64
    private var filledAt: MonotonicInstant

    init(bytesPerSecond: Int64, burst: Int64, now: MonotonicInstant) {
        self.bytesPerSecond = bytesPerSecond
        self.burst = burst
        tokens = burst
        filledAt = now
    }

    /// 0: read nothing before `resumeAt`.
    mutating func allowance(_ now: MonotonicInstant) -> Int {
        let elapsed = max(0, min((now - filledAt).microseconds, 60_000_000))
        let earned = elapsed.saturatingMultiply(bytesPerSecond) / 1_000_000
        if earned > 0 {
            tokens = min(burst, tokens.saturatingAdd(earned))
            filledAt = now
        }
        return tokens < Int64(Self.worthwhile) ? 0 : Int(tokens)
    }

    mutating func spend(_ bytes: Int) { tokens -= Int64(bytes) }

    /// When a good part of the bucket is full again: few large reads, not many small ones.
    var resumeAt: MonotonicInstant {
        let missing = max(0, burst / 8 - tokens)
        return filledAt + .microseconds(missing.saturatingMultiply(1_000_000) / bytesPerSecond + 1)
    }
}

/// Cuts a byte stream into lines without their ends. A line longer than `longest` is cut.
struct LineSplitter: Sendable {
    static let longest = 8_192
    private var partial: [UInt8] = []

    mutating func split(_ bytes: UnsafeRawBufferPointer, _ emit: ([UInt8]) -> Void) {
        var rest = bytes
        while let start = rest.baseAddress, !rest.isEmpty {
            let room = min(rest.count, Self.longest - partial.count)
            guard let end = memchr(start, Int32(UInt8(ascii: "\n")), room) else {
                partial += rest[..<room]
                if partial.count >= Self.longest { flush(emit) }
                rest = UnsafeRawBufferPointer(rebasing: rest[room...])
                continue
            }
            let length = UnsafeRawPointer(end) - start
            partial += rest[..<length]
            if partial.last == UInt8(ascii: "\r") { partial.removeLast() }
            emit(partial)
            partial.removeAll(keepingCapacity: true)
            rest = UnsafeRawBufferPointer(rebasing: rest[(length + 1)...])
        }
    }

    mutating func split(_ bytes: [UInt8], _ emit: ([UInt8]) -> Void) { bytes.withUnsafeBytes { split($0, emit) } }

    /// What has no line end yet.
    mutating func flush(_ emit: ([UInt8]) -> Void) {
        guard !partial.isEmpty else { return }
        emit(partial)
        partial.removeAll(keepingCapacity: true)
    }
}
