/// The grammar of `Pattern`.
struct PatternParser {
    private let scalars: [Unicode.Scalar]
    private var at = 0

    init(_ text: String) { scalars = Array(text.unicodeScalars) }

    mutating func pattern() throws(Pattern.Fault) -> PatternNode {
        guard scalars.count <= 1024 else { throw Pattern.Fault(description: "the pattern is longer than 1024 characters") }
        let tree = try branches(depth: 0)
        guard at == scalars.count else { throw fault("')' without '('") }
        return tree
    }

    private func fault(_ message: String) -> Pattern.Fault {
        Pattern.Fault(description: "\(message), at character \(at + 1)")
    }

    private var peek: Unicode.Scalar? { at < scalars.count ? scalars[at] : nil }

    private mutating func take(_ scalar: Unicode.Scalar) -> Bool {
        guard peek == scalar else { return false }
        at += 1
        return true
    }

    private mutating func branches(depth: Int) throws(Pattern.Fault) -> PatternNode {
        guard depth <= 32 else { throw fault("groups are nested deeper than 32") }
        var all = [try sequence(depth: depth)]
        while take("|") { all.append(try sequence(depth: depth)) }
        return all.count == 1 ? all[0] : .either(all)
    }

    private mutating func sequence(depth: Int) throws(Pattern.Fault) -> PatternNode {
        var parts: [PatternNode] = []
        while let scalar = peek, scalar != "|", scalar != ")" {
            parts.append(try counted(try atom(depth: depth)))
        }
        return .sequence(parts)
    }

    private mutating func atom(depth: Int) throws(Pattern.Fault) -> PatternNode {
        let scalar = scalars[at]
        at += 1
        switch scalar {
        case "^": return .atStart
        case "$": return .atEnd
        case ".": return .one(.notLineEnd)
        case "(":
            if take("?"), !take(":") { throw fault("of the '(?' groups only '(?:' is supported") }
            let inner = try branches(depth: depth + 1)
            guard take(")") else { throw fault("'(' without ')'") }
            return inner
        case "[": return .one(try bracket())
        case "\\": return .one(try escape())
        case "*", "+", "?", "{": throw fault("'\(scalar)' has nothing to repeat")
        case "]", "}": throw fault("'\(scalar)' must be escaped")
        default: return .one(ScalarSet(ranges: [scalar.value...scalar.value]))
        }
    }

    private mutating func counted(_ part: PatternNode) throws(Pattern.Fault) -> PatternNode {
        let counts: (Int, Int?)
        switch peek {
        case "*": counts = (0, nil)
        case "+": counts = (1, nil)
        case "?": counts = (0, 1)
        case "{": counts = try bounds()
        default: return part
        }
        if case .atStart = part { throw fault("'^' cannot be repeated") }
        if case .atEnd = part { throw fault("'$' cannot be repeated") }
        at += 1
        // Greedy or lazy is no difference to whether it matches.
        _ = take("?")
        if let next = peek, next == "*" || next == "+" || next == "?" || next == "{" { throw fault("two counts after each other") }
        return .repeated(part, atLeast: counts.0, atMost: counts.1)
    }

    /// Leaves `at` on the closing brace.
    private mutating func bounds() throws(Pattern.Fault) -> (Int, Int?) {
        at += 1
        let least = try integer()
        var most: Int? = least
        if take(",") { most = peek == "}" ? nil : try integer() }
        guard peek == "}" else { throw fault("expected '}' after a count") }
        if let most, most < least { throw fault("a count goes from \(least) down to \(most)") }
        return (least, most)
    }

    private mutating func integer() throws(Pattern.Fault) -> Int {
        var value = 0
        let start = at
        while let digit = peek, ("0"..."9").contains(digit) {
            value = value * 10 + Int(digit.value - 0x30)
            guard value <= 1000 else { throw fault("a count is larger than 1000") }
            at += 1
        }
        guard at > start else { throw fault("expected a number in '{ }'") }
        return value
    }

    /// After the backslash.
    private mutating func escape() throws(Pattern.Fault) -> ScalarSet {
        guard let scalar = peek else { throw fault("a '\\' at the end") }
        at += 1
        switch scalar {
        case "d": return .digits
        case "D": return ScalarSet.digits.inverted
        case "w": return .word
        case "W": return ScalarSet.word.inverted
        case "s": return .space
        case "S": return ScalarSet.space.inverted
        case "t": return .one(0x09)
        case "n": return .one(0x0A)
        case "v": return .one(0x0B)
        case "f": return .one(0x0C)
        case "r": return .one(0x0D)
        case "u": return try .one(hexDigits())
        case "0"..."9": throw fault("back references are not supported")
        case "a"..."z", "A"..."Z": throw fault("'\\\(scalar)' is not supported")
        default: return .one(scalar.value)
        }
    }

    private mutating func hexDigits() throws(Pattern.Fault) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard let scalar = peek, let digit = Character(scalar).hexDigitValue else { throw fault("expected four hexadecimal digits") }
            value = value << 4 | UInt32(digit)
            at += 1
        }
        return value
    }

    /// After the opening bracket.
    private mutating func bracket() throws(Pattern.Fault) -> ScalarSet {
        var set = ScalarSet()
        set.isNegated = take("^")
        while !take("]") {
            let low = try bracketItem()
            guard peek == "-", at + 1 < scalars.count, scalars[at + 1] != "]" else {
                set.ranges += low.plainRanges
                continue
            }
            at += 1
            let high = try bracketItem()
            guard let from = low.single, let to = high.single, from <= to else { throw fault("a range in '[ ]' is the wrong way round") }
            set.ranges.append(from...to)
        }
        return set
    }

    private mutating func bracketItem() throws(Pattern.Fault) -> ScalarSet {
        guard let scalar = peek else { throw fault("'[' without ']'") }
        at += 1
        return scalar == "\\" ? try escape() : .one(scalar.value)
    }
}

extension ScalarSet {
    fileprivate static func one(_ value: UInt32) -> ScalarSet { ScalarSet(ranges: [value...value]) }
    /// The one member, if there is just one.
    fileprivate var single: UInt32? {
        guard !isNegated, ranges.count == 1, ranges[0].count == 1 else { return nil }
        return ranges[0].lowerBound
    }
}
