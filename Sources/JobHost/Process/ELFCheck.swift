import Glibc

/// Why a library is not accepted: one sentence.
public struct LibraryRefusal: Error, Hashable, Sendable, CustomStringConvertible {
    public var description: String
    /// The host could not read or write (disk full, out of descriptors): worth another try,
    /// nothing is wrong with the library itself.
    public var isHostFault: Bool
    public init(_ description: String, isHostFault: Bool = false) {
        self.description = description
        self.isHostFault = isHostFault
    }
}

/// Reads the headers of an ELF file (System V gABI, chapters 4 and 5) to see that everything it
/// promises lies inside the file. A library that was cut short still loads, and dies later.
struct ELFCheck {
    struct Findings: Hashable {
        /// DT_NEEDED.
        var needed: [String] = []
        /// DT_RPATH and DT_RUNPATH, split at ':'.
        var searchPaths: [String] = []
    }

    private struct Segment {
        var type: UInt32
        var offset: UInt64
        var address: UInt64
        var fileSize: UInt64
    }

    /// Bytes of the file at an offset; nil when they are not all there.
    private let read: (_ offset: UInt64, _ count: Int) -> [UInt8]?
    private let size: UInt64

    init(size: UInt64, read: @escaping (_ offset: UInt64, _ count: Int) -> [UInt8]?) {
        self.size = size
        self.read = read
    }

    init(bytes: [UInt8]) {
        self.init(size: UInt64(bytes.count)) { offset, count in
            guard offset <= UInt64(bytes.count), UInt64(count) <= UInt64(bytes.count) - offset else { return nil }
            return Array(bytes[Int(offset)..<(Int(offset) + count)])
        }
    }

    /// ELF's e_machine of this build.
    static var machine: UInt16 {
        #if arch(x86_64)
            62
        #elseif arch(arm64)
            183
        #else
            0
        #endif
    }

    func check() throws(LibraryRefusal) -> Findings {
        // Before anything is said about its length: a script or a text is not "cut short".
        guard let magic = read(0, Int(min(size, 4))), magic.elementsEqual([0x7f, 0x45, 0x4c, 0x46]) else {
            throw refusal(size == 0 ? "the file is empty" : "it is not an ELF file")
        }
        let header = try bytes(at: 0, 64, "header")
        guard header[4] == 2 else { throw refusal("it is not a 64-bit library") }
        guard header[5] == 1 else { throw refusal("its byte order is not this machine's") }
        guard integer(header, 16, UInt16.self) == 3 else { throw refusal("it is not a shared library (ELF type \(integer(header, 16, UInt16.self)))") }
        let machine = integer(header, 18, UInt16.self)
        guard Self.machine == 0 || machine == Self.machine else {
            throw refusal("it is built for another machine (ELF machine \(machine), this one is \(Self.machine))")
        }
        let segments = try segments(header)
        try checkSections(header)
        return try dynamicSection(segments)
    }

    // MARK: Tables

    private func segments(_ header: [UInt8]) throws(LibraryRefusal) -> [Segment] {
        let offset = integer(header, 32, UInt64.self)
        let entry = Int(integer(header, 54, UInt16.self))
        let count = Int(integer(header, 56, UInt16.self))
        guard count > 0, entry >= 56 else { throw refusal("it has no program headers") }
        let table = try bytes(at: offset, entry * count, "program headers")
        var segments: [Segment] = []
        for index in 0..<count {
            let at = index * entry
            let segment = Segment(
                type: integer(table, at, UInt32.self), offset: integer(table, at + 8, UInt64.self),
                address: integer(table, at + 16, UInt64.self), fileSize: integer(table, at + 32, UInt64.self)
            )
            guard isInside(segment.offset, segment.fileSize) else { throw cutShort("segment \(index)") }
            segments.append(segment)
        }
        guard segments.contains(where: { $0.type == 1 }) else { throw refusal("it has nothing to load") }
        return segments
    }

    /// The section table stands at the very end of a linked file: it is what a cut takes first.
    private func checkSections(_ header: [UInt8]) throws(LibraryRefusal) {
        let offset = integer(header, 40, UInt64.self)
        let entry = UInt64(integer(header, 58, UInt16.self))
        var count = UInt64(integer(header, 60, UInt16.self))
        if offset == 0 { return }
        guard entry >= 64 else { throw refusal("its section table is damaged") }
        // More sections than fit the field: the count is in the first one's sh_size.
        if count == 0 { count = integer(try bytes(at: offset, 64, "section table"), 32, UInt64.self) }
        let (length, overflow) = entry.multipliedReportingOverflow(by: count)
        guard !overflow, isInside(offset, length) else { throw cutShort("section table") }
        // What names the sections is one of them. A file whose end is zeros, as a copy that takes its room first leaves it,
        // has a table without it.
        let naming = UInt64(integer(header, 62, UInt16.self))
        if naming != 0, naming < count {
            let names = try bytes(at: offset + naming * entry, 64, "section table")
            guard integer(names, 4, UInt32.self) == 3 else { throw refusal("its section table is empty or damaged: is it still being copied?") }
        }
        for index in 0..<count {
            let section = try bytes(at: offset + index * entry, 64, "section table")
            // SHT_NOBITS takes no room in the file.
            if integer(section, 4, UInt32.self) == 8 { continue }
            guard isInside(integer(section, 24, UInt64.self), integer(section, 32, UInt64.self)) else {
                throw cutShort("section \(index)")
            }
        }
    }

    private func dynamicSection(_ segments: [Segment]) throws(LibraryRefusal) -> Findings {
        guard let dynamic = segments.first(where: { $0.type == 2 }) else { throw refusal("it is not dynamically linked") }
        guard dynamic.fileSize <= 1 << 20 else { throw refusal("its dynamic section is damaged") }
        let table = try bytes(at: dynamic.offset, Int(dynamic.fileSize), "dynamic section")
        var entries: [(tag: UInt64, value: UInt64)] = []
        for at in stride(from: 0, to: table.count - 15, by: 16) {
            let tag = integer(table, at, UInt64.self)
            if tag == 0 { break }
            entries.append((tag, integer(table, at + 8, UInt64.self)))
        }
        // DT_STRTAB, DT_STRSZ
        guard let address = entries.first(where: { $0.tag == 5 })?.value,
            let length = entries.first(where: { $0.tag == 10 })?.value,
            let home = segments.first(where: { $0.type == 1 && address >= $0.address && address - $0.address < $0.fileSize })
        else { throw refusal("its dynamic section is damaged") }
        let (start, overflow) = home.offset.addingReportingOverflow(address - home.address)
        guard !overflow, isInside(start, length) else { throw cutShort("string table") }
        var findings = Findings()
        for entry in entries where [1, 15, 29].contains(entry.tag) {
            let text = try string(at: entry.value, start: start, length: length)
            if entry.tag == 1 { findings.needed.append(text) } else { findings.searchPaths += text.split(separator: ":").map(String.init) }
        }
        return findings
    }

    private func string(at offset: UInt64, start: UInt64, length: UInt64) throws(LibraryRefusal) -> String {
        guard offset < length else { throw refusal("its dynamic section is damaged") }
        let text = try bytes(at: start + offset, Int(min(length - offset, 4_096)), "string table")
        return String(decoding: text.prefix { $0 != 0 }, as: UTF8.self)
    }

    // MARK: Bytes

    private func isInside(_ offset: UInt64, _ count: UInt64) -> Bool { offset <= size && count <= size - offset }

    private func bytes(at offset: UInt64, _ count: Int, _ what: String) throws(LibraryRefusal) -> [UInt8] {
        guard isInside(offset, UInt64(count)), let bytes = read(offset, count) else { throw cutShort(what) }
        return bytes
    }

    /// Little-endian; the caller has seen to it that the bytes are there.
    private func integer<T: FixedWidthInteger>(_ bytes: [UInt8], _ offset: Int, _: T.Type) -> T {
        bytes.withUnsafeBytes { T(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: T.self)) }
    }

    private func cutShort(_ what: String) -> LibraryRefusal {
        refusal("the file is cut short: its \(what) lies beyond its end at \(size) bytes")
    }
    private func refusal(_ text: String) -> LibraryRefusal { LibraryRefusal(text) }
}
