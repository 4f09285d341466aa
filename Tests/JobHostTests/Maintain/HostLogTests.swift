import Glibc
import JobCore
import Testing

@testable import JobHost

private let noon = Instant(milliseconds: 1_700_000_000_007)

@Suite("Log lines")
struct LogLineTests {
    private func line(_ message: String, _ fields: [(String, String)] = [], level: LogLevel = .info) -> HostLogLine {
        HostLogLine(level: level, at: noon, message: message, fields: fields)
    }
    private func text(_ line: HostLogLine) -> String { String(decoding: line.text(colour: false), as: UTF8.self) }
    private func json(_ line: HostLogLine) -> String { String(decoding: line.json, as: UTF8.self) }

    @Test("text: instant with milliseconds, level, message, fields")
    func plainText() {
        #expect(text(line("started")) == "2023-11-14T22:13:20.007Z INFO  started\n")
        #expect(text(line("slow", [("job", "candles"), ("why", "the disk")], level: .warning))
            == "2023-11-14T22:13:20.007Z WARN  slow  job=candles why=\"the disk\"\n")
        #expect(text(line("x", [("empty", ""), ("quote", "a\"b"), ("equals", "a=b")]))
            == "2023-11-14T22:13:20.007Z INFO  x  empty=\"\" quote=\"a\\\"b\" equals=\"a=b\"\n")
    }

    @Test("JSON: one object, names in order, ours never overwritten or repeated")
    func plainJSON() {
        #expect(json(line("started", [("job", "a"), ("level", "x"), ("job", "b")], level: .error))
            == #"{"time":"2023-11-14T22:13:20.007Z","level":"error","message":"started","job":"a","_level":"x"}"# + "\n")
    }

    @Test("whatever a plugin writes, one entry is one line, and the terminal is not steered", arguments: [
        ("a\nb", "a\\nb", #"a\nb"#), ("a\r\tb", "a\\r\\tb", #"a\r\tb"#), ("\u{1B}[31mred", "\\u001b[31mred", #"\u001b[31mred"#),
        ("\u{0}\u{7F}\u{9B}", "\\u0000\\u007f\\u009b", #"\u0000\u007f\u009b"#), ("\u{2028}", "\\u2028", #"\u2028"#), ("é👩‍👧", "é👩‍👧", "é👩‍👧"),
    ])
    func oneLine(message: String, asText: String, asJSON: String) {
        #expect(text(line(message)) == "2023-11-14T22:13:20.007Z INFO  \(asText)\n")
        #expect(json(line(message)).contains("\"message\":\"\(asJSON)\"}"))
    }

    @Test("what the sentence says already is there for programs only")
    func said() {
        let line = line("✓ mint run 7", [("said.job", "mint"), ("said.run", "7"), ("why", "late")])
        #expect(text(line) == "2023-11-14T22:13:20.007Z INFO  ✓ mint run 7  why=late\n")
        #expect(json(line).hasSuffix(#""message":"✓ mint run 7","job":"mint","run":"7","why":"late"}"# + "\n"))
    }

    @Test("the journal's entry: each field by itself, one with line ends by its length")
    func journal() {
        let entry = line("two\nlines", [("said.job", "mint"), ("odd key!", "a=b"), ("said.job", "again")], level: .error).journal
        let length = [UInt8(9)] + [UInt8](repeating: 0, count: 7)
        let wanted = Array("MESSAGE\n".utf8) + length
            + Array("two\nlines\nPRIORITY=3\nSYSLOG_IDENTIFIER=jobhost\nJOBHOST_JOB=mint\nJOBHOST_ODD_KEY_=a=b\n".utf8)
        #expect(entry == wanted, "\(String(decoding: entry, as: UTF8.self))")
    }

    @Test("standard error is the journal's if it is what JOURNAL_STREAM names")
    func journalStream() {
        #expect(Journal.names("9:41", device: 9, inode: 41))
        for other in ["9:42", "8:41", "9", "", "9:41:1", "9:x", ":"] { #expect(!Journal.names(other, device: 9, inode: 41), "\(other)") }
    }

    @Test("colour is added around, never inside")
    func colour() {
        let coloured = String(decoding: line("m", [("k", "v")]).text(colour: true), as: UTF8.self)
        #expect(coloured == "\u{1B}[2m2023-11-14T22:13:20.007Z\u{1B}[0m \u{1B}[32mINFO \u{1B}[0m m  \u{1B}[2mk=\u{1B}[0mv\n")
    }
}

@Suite("The host's log")
struct HostLogTests {
    let folder: EmptyFolder
    let path: String
    init() throws {
        folder = try EmptyFolder()
        path = folder.path + "/host.log"
    }

    private func log(_ change: (inout HostLog.Options) -> Void = { _ in }) throws -> HostLog {
        var options = HostLog.Options()
        options.file = path
        change(&options)
        return try HostLog(options)
    }

    private func messages(_ path: String) -> [String] {
        (contents(path) ?? "").split(separator: "\n").compactMap { $0.split(separator: " ").last.map(String.init) }
    }

    @Test("lines arrive in order, from the level on; no colour in a file")
    func order() throws {
        let log = try log()
        for number in 0..<1_000 { log.log(number.isMultiple(of: 2) ? .info : .debug, "\(number)", at: noon) }
        #expect(log.flush())
        #expect(messages(path) == stride(from: 0, to: 1_000, by: 2).map(String.init))
        log.level = .debug
        log.log(.debug, "now", at: noon)
        log.flush()
        #expect(messages(path).last == "now")
        #expect(log.fault == nil)
    }

    @Test("many threads at once: every line whole, each writer's in order")
    func concurrent() async throws {
        let log = try log()
        await withTaskGroup(of: Void.self) { group in
            for writer in 0..<8 {
                group.addTask { for number in 0..<500 { log.log(.info, "\(writer):\(number)", at: noon) } }
            }
        }
        log.flush()
        let all = messages(path)
        #expect(all.count == 4_000)
        for writer in 0..<8 {
            #expect(all.filter { $0.hasPrefix("\(writer):") } == (0..<500).map { "\(writer):\($0)" })
        }
    }

    @Test("a rotated file: what was logged before goes to the old one, what comes after to the new one")
    func reopen() throws {
        let log = try log()
        log.log(.info, "before", at: noon)
        log.flush()
        #expect(rename(path, path + ".1") == 0)
        log.log(.info, "between", at: noon)
        log.reopen()
        log.flush()
        log.log(.info, "after", at: noon)
        log.flush()
        #expect(messages(path + ".1") == ["before", "between"])
        #expect(messages(path) == ["after"])
    }

    @Test("if the file cannot be opened anew, the old one stays in use and says so")
    func reopenFails() throws {
        let log = try log()
        #expect(rename(path, path + ".1") == 0)
        #expect(mkdir(path, 0o700) == 0)
        log.reopen()
        log.flush()
        log.log(.info, "after", at: noon)
        log.flush()
        let old = contents(path + ".1") ?? ""
        #expect(old.contains("cannot open the log file \(path): Is a directory; writing on to the old one"))
        #expect(old.hasSuffix("after\n"))
    }

    @Test("a file that cannot be opened is a clear error")
    func cannotOpen() {
        var options = HostLog.Options()
        options.file = folder.path + "/none/host.log"
        let error = #expect(throws: LogFileError.self) { try HostLog(options) }
        #expect(error?.description == "cannot open the log file \(folder.path)/none/host.log: No such file or directory")
    }

    @Test("to the journal an entry each; where it takes none, lines of text")
    func journal() throws {
        let address = folder.path + "/journal"
        let listener = try #require(NotifySocket(address))
        var options = HostLog.Options()
        options.journal = address
        let log = try HostLog(options)
        for number in 1...3 { log.log(.warning, "line \(number)", [("said.run", "\(number)")], at: noon) }
        log.flush()
        for number in 1...3 {
            #expect(listener.receive() == "MESSAGE=line \(number)\nPRIORITY=4\nSYSLOG_IDENTIFIER=jobhost\nJOBHOST_RUN=\(number)\n")
        }
        // A file, or JSON lines, are what they are.
        options.file = path
        let filed = try HostLog(options)
        filed.log(.info, "filed", at: noon)
        filed.flush()
        #expect(listener.receive() == nil)
        #expect(messages(path) == ["filed"])
        #expect(log.fault == nil)
    }

    @Test("an entry that the journal does not take is not taken for written")
    func journalIsAway() throws {
        let journal = try #require(Journal(path: folder.path + "/nobody"))
        #expect(!journal.send(Array("MESSAGE=x\n".utf8)))
        #expect(Journal(path: "/" + String(repeating: "x", count: 200)) == nil)
    }

    @Test("a reader that does not read blocks nobody; what did not fit is counted")
    func slowReader() throws {
        // A FIFO that nobody reads stands for a stuck pipe.
        #expect(mkfifo(path, 0o600) == 0)
        let reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        defer { close(reader) }
        let log = try log { $0.bufferLimit = 10_000 }
        // Full before the first line, so that it does not matter when the log's thread gets to run.
        let filler = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC)
        while write(filler, "\n", 1) == 1 {}
        close(filler)
        let message = String(repeating: "x", count: 1_000)
        // The buffer holds 10 kB: most of this megabyte finds no room.
        for _ in 0..<1_000 { log.log(.info, message, at: noon) }
        #expect(!log.flush(limit: .zero))
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while !log.flush(limit: .milliseconds(1)) {
            let count = read(reader, &buffer, buffer.count)
            if count > 0 { bytes += buffer[..<count] }
        }
        while case let count = read(reader, &buffer, buffer.count), count > 0 { bytes += buffer[..<count] }
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
        let notice = try #require(lines.last { $0.contains("log lines were dropped") })
        let dropped = lines.filter { $0.contains("log lines were dropped") }.compactMap { line in
            line.split(separator: " ").first { Int($0) != nil }.flatMap { Int($0) }
        }.reduce(0, +)
        #expect(notice.contains("WARN"))
        #expect(dropped + lines.filter { $0.hasSuffix(message) }.count == 1_000)
    }
}
