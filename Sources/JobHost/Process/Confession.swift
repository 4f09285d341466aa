import CLinux

/// The line with which a runtime says why it aborts (Swift's, Rust's, C++'s, C's). A long
/// backtrace may follow it, so it is looked for as the lines come.
enum Confession {
    private static let phrases = ["Fatal error: ", "panicked at ", "what():", "Assertion `", "terminate called"]
        .map { Array($0.utf8) }
    private static let longest = 300

    static func isIn(_ line: [UInt8]) -> Bool {
        line.withUnsafeBytes { line in
            phrases.contains { cl_contains(line.baseAddress, line.count, $0, $0.count) }
        }
    }

    /// What was wrong stands on the line after it: Rust ends the place with a colon, C++ names
    /// the exception's type first.
    static func goesOn(after line: [UInt8]) -> Bool {
        line.last == UInt8(ascii: ":") || line.starts(with: Array("terminate called after throwing".utf8))
    }

    /// The first such line of a text, cut to a bearable length.
    static func first(in text: String) -> String? {
        text.split(whereSeparator: \.isNewline).first { isIn(Array($0.utf8)) }.map { String($0.prefix(longest)) }
    }
}
