import JobCore
import JobJSON
import SQL

/// Writes rows as lines: of JSON, or of CSV as RFC 4180 says, but with plain line ends. In CSV a value that is
/// not there is empty, and an empty text has quotes.
struct ExportWriter: Sendable {
    private let table: ExportTable
    private let format: StoreExport.Format
    /// What stands before each value in a line of JSON.
    private let names: [[UInt8]]

    init(_ table: ExportTable, _ format: StoreExport.Format) {
        self.table = table
        self.format = format
        names = table.columns.map { Array(",\"\($0.name)\":".utf8) }
    }

    func begin(_ out: inout [UInt8]) {
        if format == .csv { out += Array((table.columns.map(\.name).joined(separator: ",") + "\n").utf8) }
    }

    func add(_ row: some SQLStatement, to out: inout [UInt8]) throws {
        if format == .jsonl { out += Array("{\"kind\":\"\(table.word)\"".utf8) }
        for (i, column) in table.columns.enumerated() {
            let cell = try Cell(row, i, column.kind)
            switch format {
            case .jsonl:
                out += names[i]
                cell.writeJSON(to: &out)
            case .csv:
                if i > 0 { out.append(UInt8(ascii: ",")) }
                cell.writeCSV(to: &out)
            }
        }
        if format == .jsonl { out.append(UInt8(ascii: "}")) }
        out.append(UInt8(ascii: "\n"))
    }
}

/// One value.
private enum Cell {
    case none
    case text(String)
    /// A number or a word of JSON.
    case bare(String)
    case json([UInt8])

    init(_ row: some SQLStatement, _ column: Int, _ kind: ExportTable.Kind) throws {
        if row.isNull(column) {
            self = .none
            return
        }
        switch kind {
        case .text: self = .text(try row.text(column))
        case .integer: self = .bare(String(try row.int64(column)))
        case .instant: self = .text(try row.instant(column).rfc3339)
        case .flag: self = .bare(try row.int64(column) != 0 ? "true" : "false")
        case .json:
            let bytes = try row.bytes(column)
            self = bytes.isEmpty ? .none : .json(bytes)
        case .base64: self = .text(Self.base64(try row.bytes(column)))
        case .breaker(let part): self = Self.breaker(try row.text(column), part)
        }
    }

    private static func breaker(_ data: String, _ part: ExportTable.BreakerPart) -> Cell {
        guard let breaker = Breaker(encoded: data, policy: BreakerPolicy()) else { return part == .mode ? .text("unreadable") : .none }
        let (mode, until): (String, Instant?) = switch breaker.mode {
        case .closed: ("closed", nil)
        case .open(let until): ("open", until)
        case .halfOpen: ("half_open", nil)
        case .forcedOpen(let until): ("forced_open", until)
        case .disabled: ("disabled", nil)
        }
        return switch part {
        case .mode: .text(mode)
        case .until: until.map { .text($0.rfc3339) } ?? .none
        case .since: breaker.since.map { .text($0.rfc3339) } ?? .none
        case .reason: .text(breaker.reason)
        }
    }

    func writeJSON(to out: inout [UInt8]) {
        switch self {
        case .none: out += Array("null".utf8)
        case .bare(let text): out += Array(text.utf8)
        case .text(let text): JSONText.append(text, to: &out)
        // On one line; what is none, as a text, so that no byte of it is lost.
        case .json(let bytes): if let compact = JSONText.compact(bytes) { out += compact } else { JSONText.append(bytes, to: &out) }
        }
    }

    func writeCSV(to out: inout [UInt8]) {
        switch self {
        case .none: break
        case .bare(let text): out += Array(text.utf8)
        case .text(let text): Self.quote(Array(text.utf8), to: &out)
        case .json(let bytes): Self.quote(bytes, to: &out)
        }
    }

    private static func quote(_ bytes: [UInt8], to out: inout [UInt8]) {
        let special: Set<UInt8> = [UInt8(ascii: ","), UInt8(ascii: "\""), UInt8(ascii: "\n"), UInt8(ascii: "\r"), UInt8(ascii: " ")]
        guard bytes.isEmpty || bytes.contains(where: special.contains) else { return out += bytes }
        out.append(UInt8(ascii: "\""))
        for byte in bytes {
            if byte == UInt8(ascii: "\"") { out.append(byte) }
            out.append(byte)
        }
        out.append(UInt8(ascii: "\""))
    }

    private static func base64(_ bytes: [UInt8]) -> String {
        let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        var out: [UInt8] = []
        out.reserveCapacity((bytes.count + 2) / 3 * 4)
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            let bits = group.reduce(0) { $0 << 8 | Int($1) } << (8 * (3 - group.count))
            for digit in 0..<4 {
                out.append(digit <= group.count ? digits[bits >> (18 - 6 * digit) & 63] : UInt8(ascii: "="))
            }
        }
        return String(decoding: out, as: UTF8.self)
    }
}
