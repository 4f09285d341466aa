import JobABI

// Text and bytes across the boundary: borrowed on the way out, copied on the way in.

extension String {
    /// Invalid UTF-8 is repaired.
    init(_ text: job_str) {
        self = String(decoding: text.buffer, as: UTF8.self)
    }
    func withJobStr<R>(_ body: (job_str) throws -> R) rethrows -> R {
        var copy = self
        return try copy.withUTF8 { try body(job_str($0)) }
    }
}

extension [UInt8] {
    init(_ text: job_str) { self = Array(text.buffer) }
    func withJobStr<R>(_ body: (job_str) throws -> R) rethrows -> R {
        try withUnsafeBufferPointer { try body(job_str($0)) }
    }
}

extension job_str {
    init(_ buffer: UnsafeBufferPointer<UInt8>) {
        self.init(
            data: buffer.isEmpty ? nil : UnsafeRawPointer(buffer.baseAddress)?.assumingMemoryBound(to: CChar.self),
            size: UInt64(buffer.count)
        )
    }
    var buffer: UnsafeRawBufferPointer {
        guard let data, let count = Int(exactly: size) else { return UnsafeRawBufferPointer(start: nil, count: 0) }
        return UnsafeRawBufferPointer(start: data, count: count)
    }
    /// Text that lives as long as the process: for static descriptors.
    static func permanent(_ text: String) -> job_str {
        text.withJobStr { borrowed in
            guard borrowed.size > 0 else { return job_str() }
            let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: Int(borrowed.size), alignment: 1)
            bytes.copyMemory(from: borrowed.buffer)
            return job_str(data: UnsafeRawPointer(bytes.baseAddress)?.assumingMemoryBound(to: CChar.self), size: borrowed.size)
        }
    }
}

/// All texts at once, borrowed for the call.
func withJobStrs<R>(_ texts: [String], _ body: (UnsafeBufferPointer<job_str>) throws -> R) rethrows -> R {
    // One buffer with all bytes: no closure per text.
    let bytes = texts.map { Array($0.utf8) }
    return try bytes.flatMap { $0 }.withUnsafeBufferPointer { all in
        var offset = 0
        let pieces = bytes.map { piece in
            defer { offset += piece.count }
            return job_str(UnsafeBufferPointer(rebasing: all[offset ..< offset + piece.count]))
        }
        return try pieces.withUnsafeBufferPointer(body)
    }
}
