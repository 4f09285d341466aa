// The bytes of a frame, little-endian:
//
//     length   u32   of everything after this field, at most wireMaxFrameBytes - 4
//     version  u16   wireVersion
//     tag      u8    which frame
//     fields         in the order of FrameFields.swift
//
// Text and byte strings are u32 length + bytes, text strictly UTF-8; an optional is a u8 0 or
// 1, then the value; instants and durations are i64 microseconds (finer parts of a Duration
// are dropped).

/// Why bytes are not a frame, or a frame cannot become bytes. A stream that had one error is
/// lost: there is no way to find the next frame.
public enum WireError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Of this many bytes; the limit is `wireMaxFrameBytes`.
    case frameTooLong(Int)
    /// Of this many bytes; the limit is `wireMaxStateBytes`.
    case stateTooLong(Int)
    case wireVersion(UInt16)
    case unknownTag(UInt8)
    /// The frame ends inside a field.
    case truncated
    /// Bytes after the last field.
    case trailing(Int)
    case invalidUTF8
    /// A field with a value that it cannot have.
    case invalid(String)

    public var description: String {
        switch self {
        case .frameTooLong(let count): "a frame of \(count) bytes; the limit is \(wireMaxFrameBytes)"
        case .stateTooLong(let count): "a state of \(count) bytes; the limit is \(wireMaxStateBytes)"
        case .wireVersion(let version):
            "wire version \(version), not \(JobCore.wireVersion): jobhost and jobhost-worker must be of one release"
        case .unknownTag(let tag): "unknown frame \(tag)"
        case .truncated: "the frame ends inside a field"
        case .trailing(let count): "\(count) bytes after the last field"
        case .invalidUTF8: "text that is not UTF-8"
        case .invalid(let what): "invalid \(what)"
        }
    }
}

/// `HostFrame` or `WorkerFrame`.
public protocol WireFrame: Hashable, Sendable {
    var wireTag: UInt8 { get }
    func writeFields(to writer: inout WireWriter) throws(WireError)
    init(tag: UInt8, from reader: inout WireReader) throws(WireError)
}

/// Collects frames for one write.
public struct FrameEncoder: Sendable {
    /// Whole frames, in order.
    public var bytes: [UInt8] { writer.bytes }
    public var isEmpty: Bool { writer.bytes.isEmpty }
    private var writer = WireWriter()

    public init() {}

    /// On an error nothing has been added.
    @specialized(where F == HostFrame)
    @specialized(where F == WorkerFrame)
    public mutating func append<F: WireFrame>(_ frame: F) throws(WireError) {
        let start = writer.bytes.count
        writer.write(UInt32(0))
        writer.write(wireVersion)
        writer.write(frame.wireTag)
        do throws(WireError) {
            try frame.writeFields(to: &writer)
            let length = writer.bytes.count - start
            guard length <= wireMaxFrameBytes else { throw .frameTooLong(length) }
            writer.patch(UInt32(length - 4), at: start)
        } catch {
            writer.truncate(to: start)
            throw error
        }
    }

    /// Empties it; the memory stays for the next frames.
    public mutating func removeAll() { writer.truncate(to: 0) }
    /// The collected bytes, leaving none behind.
    public mutating func take() -> [UInt8] {
        defer { writer = WireWriter() }
        return writer.bytes
    }

    public static func encode(_ frame: some WireFrame) throws(WireError) -> [UInt8] {
        var encoder = FrameEncoder()
        try encoder.append(frame)
        return encoder.take()
    }

    /// What a worker says to a host that speaks another version, in that host's words: one
    /// `refused` frame.
    public static func mismatch(host: UInt16) -> [UInt8] {
        let message = "the worker speaks wire version \(wireVersion), the host \(host): "
            + "jobhost and jobhost-worker must be of one release"
        var encoder = FrameEncoder()
        do throws(WireError) {
            try encoder.append(WorkerFrame.refused(code: .wireVersion, message: message))
        } catch { return [] }
        encoder.writer.patch(host, at: 4)
        return encoder.bytes
    }
}

/// Cuts a stream of bytes into frames. Feed what was read, then call `next` until it returns
/// nil: what stays buffered is less than one frame.
public struct FrameDecoder<Frame: WireFrame>: Sendable {
    private var buffer: [UInt8] = []
    private var start = 0
    private var failure: WireError?

    public init() {}

    /// Bytes of an incomplete frame.
    public var pendingBytes: Int { buffer.count - start }

    public mutating func append(_ bytes: some Sequence<UInt8>) {
        guard failure == nil else { return }
        compact()
        buffer.append(contentsOf: bytes)
    }
    public mutating func append(_ bytes: UnsafeRawBufferPointer) {
        guard failure == nil else { return }
        compact()
        buffer.append(contentsOf: bytes)
    }

    /// The next whole frame, nil: more bytes are needed. After an error it throws that same
    /// error for ever.
    @specialized(where Frame == HostFrame)
    @specialized(where Frame == WorkerFrame)
    public mutating func next() throws(WireError) -> Frame? {
        if let failure { throw failure }
        do throws(WireError) {
            return try decodeNext()
        } catch {
            failure = error
            buffer = []
            start = 0
            throw error
        }
    }

    private mutating func decodeNext() throws(WireError) -> Frame? {
        var reader = WireReader(buffer, from: start, to: buffer.count)
        guard reader.remaining >= 4 else { return nil }
        let length = Int(try reader.readUInt32())
        guard length <= wireMaxFrameBytes - 4 else { throw .frameTooLong(length + 4) }
        guard reader.remaining >= length else { return nil }
        reader = WireReader(buffer, from: start + 4, to: start + 4 + length)
        let version = try reader.readUInt16()
        guard version == wireVersion else { throw .wireVersion(version) }
        let frame = try Frame(tag: reader.readUInt8(), from: &reader)
        guard reader.remaining == 0 else { throw .trailing(reader.remaining) }
        start += 4 + length
        return frame
    }

    /// Before growing, drop what has been read.
    private mutating func compact() {
        guard start > 0 else { return }
        if start == buffer.count {
            buffer.removeAll(keepingCapacity: buffer.capacity <= wireMaxFrameBytes)
        } else {
            buffer.removeSubrange(..<start)
        }
        start = 0
    }
}

public struct WireWriter: Sendable {
    public private(set) var bytes: [UInt8] = []

    mutating func truncate(to count: Int) { bytes.removeSubrange(count...) }
    mutating func patch<T: FixedWidthInteger>(_ value: T, at offset: Int) {
        for index in 0 ..< MemoryLayout<T>.size { bytes[offset + index] = UInt8(truncatingIfNeeded: value >> T(8 * index)) }
    }

    public mutating func write<T: FixedWidthInteger>(_ value: T) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }
    public mutating func write(_ value: Bool) { bytes.append(value ? 1 : 0) }
    public mutating func write(_ value: Double) { write(value.bitPattern) }
    public mutating func write(_ value: Instant) { write(value.microseconds) }
    public mutating func write(_ value: Duration) { write(value.microseconds) }
    public mutating func write(_ value: RunID) { write(value.value) }
    public mutating func write(_ value: Bytes) {
        write(UInt32(clamping: value.count))
        bytes.append(contentsOf: value)
    }
    public mutating func write(_ value: String) {
        let lengthAt = bytes.count
        write(UInt32(0))
        bytes.append(contentsOf: value.utf8)
        patch(UInt32(clamping: bytes.count - lengthAt - 4), at: lengthAt)
    }
    public mutating func writeState(_ value: Bytes) throws(WireError) {
        guard value.count <= wireMaxStateBytes else { throw .stateTooLong(value.count) }
        write(value)
    }
    /// Counts are u16: more elements than that never fit a frame that means something.
    public mutating func write(count: Int, of what: String) throws(WireError) {
        guard let count = UInt16(exactly: count) else { throw .invalid("number of \(what): \(count)") }
        write(count)
    }
}

/// Reads fields out of one frame; every read is checked against its end.
public struct WireReader: Sendable {
    private let bytes: [UInt8]
    private var offset: Int
    private let end: Int

    /// `start ... end` lies inside of `bytes`.
    init(_ bytes: [UInt8], from start: Int, to end: Int) {
        self.bytes = bytes
        offset = start
        self.end = end
    }

    var remaining: Int { end - offset }

    private mutating func take(_ count: Int) throws(WireError) -> ArraySlice<UInt8> {
        guard count <= remaining else { throw .truncated }
        defer { offset += count }
        return bytes[offset ..< offset + count]
    }
    private mutating func integer<T: FixedWidthInteger & BitwiseCopyable>(_ type: T.Type) throws(WireError) -> T {
        guard MemoryLayout<T>.size <= remaining else { throw .truncated }
        defer { offset += MemoryLayout<T>.size }
        return bytes.withUnsafeBytes { T(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: type)) }
    }

    public mutating func readUInt8() throws(WireError) -> UInt8 { try integer(UInt8.self) }
    public mutating func readUInt16() throws(WireError) -> UInt16 { try integer(UInt16.self) }
    public mutating func readUInt32() throws(WireError) -> UInt32 { try integer(UInt32.self) }
    public mutating func readUInt64() throws(WireError) -> UInt64 { try integer(UInt64.self) }
    public mutating func readInt32() throws(WireError) -> Int32 { try integer(Int32.self) }
    public mutating func readInt64() throws(WireError) -> Int64 { try integer(Int64.self) }
    public mutating func readInstant() throws(WireError) -> Instant { Instant(microseconds: try readInt64()) }
    public mutating func readDuration() throws(WireError) -> Duration { .microseconds(try readInt64()) }
    public mutating func readRunID() throws(WireError) -> RunID { RunID(try readInt64()) }

    public mutating func readBool() throws(WireError) -> Bool {
        switch try readUInt8() {
        case 0: return false
        case 1: return true
        case let other: throw .invalid("flag \(other)")
        }
    }
    /// Finite: sums and pages downstream cannot use anything else.
    public mutating func readDouble() throws(WireError) -> Double {
        let value = Double(bitPattern: try readUInt64())
        guard value.isFinite else { throw .invalid("number") }
        return value
    }
    public mutating func readBytes() throws(WireError) -> Bytes {
        Bytes(try take(Int(try readUInt32())))
    }
    public mutating func readState() throws(WireError) -> Bytes {
        let count = Int(try readUInt32())
        guard count <= wireMaxStateBytes else { throw .stateTooLong(count) }
        return Bytes(try take(count))
    }
    public mutating func readString() throws(WireError) -> String {
        let text = try take(Int(try readUInt32()))
        guard let string = String(validating: text, as: UTF8.self) else { throw .invalidUTF8 }
        return string
    }
    public mutating func readOptionalInstant() throws(WireError) -> Instant? {
        try readBool() ? try readInstant() : nil
    }
}

extension WireWriter {
    public mutating func write(_ value: Instant?) {
        write(value != nil)
        if let value { write(value) }
    }
}
