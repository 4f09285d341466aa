/// How a piece of text looks where colours are on.
enum Tone: Sendable {
    case plain, dim, bold, good, bad, warn, accent

    /// SGR parameters (ECMA-48 §8.3.117): the 8 standard colours, which every theme makes
    /// readable.
    var code: String? {
        switch self {
        case .plain: nil
        case .dim: "2"
        case .bold: "1"
        case .good: "32"
        case .bad: "31"
        case .warn: "33"
        case .accent: "36"
        }
    }
}

/// Text in tones, measured in columns of a terminal. What it is made from is made harmless:
/// names, reasons and log lines come from plugins, and a control sequence in one must not reach
/// the terminal.
struct Styled: Equatable, Sendable, ExpressibleByStringInterpolation {
    private struct Span: Equatable, Sendable {
        var text: String
        var tone: Tone
    }
    private var spans: [Span]

    init(_ text: String, _ tone: Tone = .plain) { spans = text.isEmpty ? [] : [Span(text: harmless(text), tone: tone)] }
    init(stringLiteral value: String) { self.init(value) }

    static func + (a: Styled, b: Styled) -> Styled {
        var sum = a
        sum.spans += b.spans
        return sum
    }
    static func += (a: inout Styled, b: Styled) { a = a + b }

    var width: Int { spans.reduce(0) { $0 + $1.text.reduce(0) { $0 + columns(of: $1) } } }

    /// At most `limit` columns, the cut marked by "…".
    func truncated(to limit: Int) -> Styled {
        guard width > limit else { return self }
        var left = max(0, limit - 1)
        var cut = Styled("")
        outer: for span in spans {
            var text = ""
            for character in span.text {
                let wide = columns(of: character)
                guard wide <= left else {
                    cut += Styled(text + "…", span.tone)
                    break outer
                }
                left -= wide
                text.append(character)
            }
            cut += Styled(text, span.tone)
        }
        return cut
    }

    /// The last `limit` columns, the cut marked by "…" in front.
    func lastColumns(_ limit: Int) -> Styled {
        guard width > limit else { return self }
        var left = max(0, limit - 1)
        var kept = Styled("")
        outer: for span in spans.reversed() {
            var text = ""
            for character in span.text.reversed() {
                let wide = columns(of: character)
                guard wide <= left else {
                    kept = Styled("…", .dim) + Styled(text, span.tone) + kept
                    break outer
                }
                left -= wide
                text = String(character) + text
            }
            kept = Styled(text, span.tone) + kept
        }
        return kept
    }

    func padded(to wanted: Int, alignRight: Bool = false) -> Styled {
        let space = Styled(String(repeating: " ", count: max(0, wanted - width)))
        return alignRight ? space + self : self + space
    }

    func text(color: Bool) -> String {
        spans.map { span in
            guard color, let code = span.tone.code else { return span.text }
            return "\u{1B}[\(code)m\(span.text)\u{1B}[0m"
        }.joined()
    }
}

/// Control characters (C0, C1, DEL) and direction overrides as "?"; tabs and newlines as spaces.
func harmless(_ text: String) -> String {
    guard text.unicodeScalars.contains(where: isHarmful) else { return text }
    var out = String.UnicodeScalarView()
    for scalar in text.unicodeScalars {
        out.append(!isHarmful(scalar) ? scalar : scalar == "\t" || scalar == "\n" || scalar == "\r" ? " " : "?")
    }
    return String(out)
}

private func isHarmful(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case ..<0x20, 0x7F...0x9F, 0x202A...0x202E, 0x2066...0x2069: true
    default: false
    }
}

/// Columns of a character: 2 for East Asian wide ones and emoji, by the ranges of UAX #11 that
/// matter; 0 for what only joins.
func columns(of character: Character) -> Int {
    guard let scalar = character.unicodeScalars.first else { return 0 }
    switch scalar.value {
    case 0x0300...0x036F, 0x200B...0x200F, 0xFE00...0xFE0F: return 0
    case 0x1100...0x115F, 0x2E80...0x303E, 0x3041...0xA4CF, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F,
        0xFF00...0xFF60, 0xFFE0...0xFFE6, 0x1F300...0x1F64F, 0x1F680...0x1F6FF, 0x1F900...0x1FAFF, 0x20000...0x3FFFD:
        return 2
    default: return 1
    }
}
