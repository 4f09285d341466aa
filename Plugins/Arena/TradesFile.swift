import ExchangeKit
import Glibc
import JobKit

/// A file of trades, read line by line from any byte on: `id,ts_ms,side,price,amount`.
final class TradesFile {
    struct Trade: Hashable {
        var id: Int64
        /// Milliseconds since 1970 UTC.
        var instant: Int64
        var side: String
        var price: Amount
        var amount: Amount
    }

    static let header = "id,ts_ms,side,price,amount"
    private static let longestLine = 4_096

    let path: String
    private let file: UnsafeMutablePointer<FILE>
    private let line: UnsafeMutablePointer<CChar>
    /// The byte and the line that the next trade begins at. Lines count from 1.
    private(set) var offset: Int64 = 0
    private(set) var lineNumber: Int64 = 0
    let size: Int64

    /// - Throws: `JobFailure.permanent` when it cannot be read or its header is another one.
    init(path: String) throws {
        guard let file = fopen(path, "rb") else {
            throw JobFailure.permanent("cannot open the file of trades \(path): \(String(cString: strerror(errno)))")
        }
        var status = stat()
        guard fstat(fileno(file), &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            fclose(file)
            throw JobFailure.permanent("\(path) is not a file")
        }
        self.path = path
        self.file = file
        size = Int64(status.st_size)
        line = .allocate(capacity: Self.longestLine)
        var first = try next()
        if first?.hasPrefix("\u{FEFF}") == true { first?.removeFirst() }
        guard first == Self.header else {
            throw JobFailure.permanent(
                "\(path):1: the header is \"\((first ?? "").prefix(80))\", it has to be \"\(Self.header)\"")
        }
    }

    deinit {
        fclose(file)
        line.deallocate()
    }

    /// Goes on where an earlier reader stopped.
    func seek(offset: Int64, line: Int64) throws {
        guard offset >= self.offset, offset <= size, fseek(file, Int(offset), SEEK_SET) == 0 else {
            throw JobFailure.permanent("\(path) is shorter than it was: \(offset) bytes of it were read, it has \(size)")
        }
        self.offset = offset
        lineNumber = line
    }

    /// The next trade; nil: the end.
    func trade() throws -> Trade? {
        while let text = try next() {
            if text.isEmpty { continue }
            return try parse(text)
        }
        return nil
    }

    private func next() throws -> String? {
        guard fgets(line, Int32(Self.longestLine), file) != nil else {
            if ferror(file) != 0 { throw JobFailure.transient("\(path): reading failed: \(String(cString: strerror(errno)))") }
            return nil
        }
        lineNumber += 1
        var length = strlen(line)
        offset += Int64(length)
        // A line that is cut off, or holds a zero byte, is none.
        guard length > 0, line[length - 1] == 10 || feof(file) != 0 else {
            throw JobFailure.permanent(
                "\(path):\(lineNumber): the line is longer than \(Self.longestLine - 2) bytes, or not text")
        }
        while length > 0, line[length - 1] == 10 || line[length - 1] == 13 { length -= 1 }
        return line.withMemoryRebound(to: UInt8.self, capacity: length) {
            String(decoding: UnsafeBufferPointer(start: $0, count: length), as: UTF8.self)
        }
    }

    private func parse(_ text: String) throws -> Trade {
        let fields = text.split(separator: ",", omittingEmptySubsequences: false)
        guard fields.count == 5 else { throw fault("\(fields.count) fields, there have to be 5: \(Self.header)") }
        guard let id = Int64(fields[0]) else { throw fault("id: \"\(fields[0].prefix(40))\" is not a whole number") }
        guard let instant = Int64(fields[1]), TradingDay.instants.contains(instant) else {
            throw fault("ts_ms: \"\(fields[1].prefix(40))\" is no time in milliseconds since 1970")
        }
        guard fields[2] == "buy" || fields[2] == "sell" else {
            throw fault("side: \"\(fields[2].prefix(40))\" is neither buy nor sell")
        }
        return Trade(
            id: id, instant: instant, side: String(fields[2]), price: try amount(fields[3], "price", above: true),
            amount: try amount(fields[4], "amount", above: false))
    }

    private func amount(_ text: Substring, _ name: String, above zero: Bool) throws -> Amount {
        do {
            let amount = try Amount(parsing: text)
            if amount.isNegative || (zero && amount.isZero) { throw fault("\(name): \(amount) is not above 0") }
            return amount
        } catch let error as AmountError {
            throw fault("\(name): \(error)")
        }
    }

    private func fault(_ text: String) -> JobFailure { .permanent("\(path):\(lineNumber): \(text)") }
}
