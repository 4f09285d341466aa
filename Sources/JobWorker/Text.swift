import JobABI

/// Text from the plugin, made fit for the wire and for the ledger.
enum Text {
    static let maximum = Int(JOB_MAX_TEXT)

    /// Cut at `limit` bytes (never inside a character), invalid UTF-8 and NUL replaced.
    static func clean(_ text: job_str, limit: Int) -> String {
        guard let bytes = text.bytes else { return "" }
        return clean(bytes, limit: limit)
    }
    static func clean(_ text: String, limit: Int) -> String {
        var copy = text
        return copy.withUTF8 { clean(UnsafeRawBufferPointer($0), limit: limit) }
    }

    private static func clean(_ bytes: UnsafeRawBufferPointer, limit: Int) -> String {
        var end = min(bytes.count, limit)
        if end < bytes.count {
            while end > 0, bytes[end] & 0xC0 == 0x80 { end -= 1 }
        }
        let kept = UnsafeRawBufferPointer(rebasing: bytes[..<end])
        guard kept.contains(0) else { return String(decoding: kept, as: UTF8.self) }
        return String(decoding: kept.flatMap { $0 == 0 ? Array("\u{FFFD}".utf8) : [$0] }, as: UTF8.self)
    }

    /// Strict: nil when it is not UTF-8, has a NUL, or its pointer is missing.
    static func exact(_ text: job_str) -> String? {
        guard text.size > 0 else { return "" }
        guard let bytes = text.bytes, !bytes.contains(0) else { return nil }
        return String(validating: bytes, as: UTF8.self)
    }
}

extension job_str {
    /// nil: the pointer is missing or the length is nonsense.
    var bytes: UnsafeRawBufferPointer? {
        guard size > 0 else { return UnsafeRawBufferPointer(start: nil, count: 0) }
        guard let data, let count = Int(exactly: size) else { return nil }
        return UnsafeRawBufferPointer(start: data, count: count)
    }

    init(_ bytes: UnsafeRawBufferPointer) {
        self.init(
            data: bytes.isEmpty ? nil : bytes.baseAddress?.assumingMemoryBound(to: CChar.self),
            size: UInt64(bytes.count))
    }
}

extension [UInt8] {
    func withJobStr<R>(_ body: (job_str) -> R) -> R {
        withUnsafeBytes { body(job_str($0)) }
    }
}

/// Lends several pieces of text and bytes at once.
func withJobStrs<R>(_ pieces: [[UInt8]], _ body: ([job_str]) -> R) -> R {
    var all: [UInt8] = []
    all.reserveCapacity(pieces.reduce(0) { $0 + $1.count })
    for piece in pieces { all += piece }
    return all.withUnsafeBytes { all in
        var offset = 0
        return body(
            pieces.map { piece in
                defer { offset += piece.count }
                return job_str(UnsafeRawBufferPointer(rebasing: all[offset ..< offset + piece.count]))
            })
    }
}
