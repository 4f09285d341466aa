import JobCore
import JobJSON

/// One entry of the host's log, laid out. Pure.
struct HostLogLine {
    var level: LogLevel
    var at: Instant
    var message: String
    /// One whose key begins with `said.` is for programs: the sentence says it already.
    var fields: [(String, String)]

    static let said = "said."
    static func plain(_ key: String) -> String { key.hasPrefix(said) ? String(key.dropFirst(said.count)) : key }

    /// `2025-03-09T07:00:00.000Z WARN  message  key=value`: the instant always with
    /// milliseconds, so that columns stand still.
    func text(colour: Bool) -> [UInt8] {
        let name = Self.name(level).padding(5)
        let shownLevel = colour ? "\u{1B}[\(Self.colour(level))m\(name)\u{1B}[0m" : name
        let shownTime = colour ? "\u{1B}[2m\(Self.time(at))\u{1B}[0m" : Self.time(at)
        var line = "\(shownTime) \(shownLevel) \(Self.escaped(message))"
        for (index, field) in fields.filter({ !$0.0.hasPrefix(Self.said) }).enumerated() {
            let key = Self.escaped(field.0)
            let value = Self.quoted(field.1)
            line += (index == 0 ? "  " : " ") + (colour ? "\u{1B}[2m\(key)=\u{1B}[0m\(value)" : "\(key)=\(value)")
        }
        return Array(line.utf8) + [10]
    }

    /// `{"time":…,"level":…,"message":…,"key":"value"}`. A field named like one of ours gets
    /// an underscore in front, a repeated one is left out: names in an object are unique.
    var json: [UInt8] {
        var used: Set<String> = ["time", "level", "message"]
        var line = "{\"time\":\"\(Self.time(at))\",\"level\":\"\(Self.word(level))\",\"message\":\(Self.jsonText(message))"
        for (field, value) in fields {
            let key = Self.plain(field)
            let name = ["time", "level", "message"].contains(key) ? "_" + key : key
            guard used.insert(name).inserted else { continue }
            line += ",\(Self.jsonText(name)):\(Self.jsonText(value))"
        }
        return Array((line + "}\n").utf8)
    }

    /// RFC 3339 in UTC with exactly three decimals.
    static func time(_ instant: Instant) -> String {
        let whole = Instant(seconds: instant.secondsFloor).rfc3339.dropLast()
        let milliseconds = String(instant.milliseconds.floorRemainder(1_000))
        return whole + "." + String(repeating: "0", count: 3 - milliseconds.count) + milliseconds + "Z"
    }

    private static func name(_ level: LogLevel) -> String {
        switch level {
        case .debug: "DEBUG"
        case .info: "INFO"
        case .warning: "WARN"
        case .error: "ERROR"
        case .critical: "CRIT"
        }
    }

    private static func word(_ level: LogLevel) -> String {
        switch level {
        case .debug: "debug"
        case .info: "info"
        case .warning: "warning"
        case .error: "error"
        case .critical: "critical"
        }
    }

    private static func colour(_ level: LogLevel) -> String {
        switch level {
        case .debug: "2"
        case .info: "32"
        case .warning: "33"
        case .error: "31"
        case .critical: "1;31"
        }
    }

    /// Control characters, line ends among them, as escapes: a plugin's text can neither
    /// begin a line of its own nor steer the terminal.
    static func escaped(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: isControl) else { return text }
        var out = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\n": out += "\\n"
            case "\r": out += "\\r"
            case "\t": out += "\\t"
            case _ where isControl(scalar): out += hexEscape(scalar)
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out
    }

    private static func quoted(_ text: String) -> String {
        let isPlain = !text.isEmpty && !text.unicodeScalars.contains { $0 == " " || $0 == "\"" || $0 == "=" || isControl($0) }
        return isPlain ? text : jsonText(text)
    }

    private static func jsonText(_ text: String) -> String {
        var out: [UInt8] = []
        JSONText.append(text, to: &out, escaping: .controls)
        return String(decoding: out, as: UTF8.self)
    }

    /// C0, DEL, C1, and the two line ends of Unicode.
    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value) || scalar.value == 0x2028 || scalar.value == 0x2029
    }

    private static func hexEscape(_ scalar: Unicode.Scalar) -> String {
        let digits = String(scalar.value, radix: 16)
        return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
    }
}

extension String {
    fileprivate func padding(_ width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}
