/// A regular expression of the kind that JSON schemas use for `pattern`: found anywhere in
/// the text unless anchored. It is matched by simulating all paths at once (Thompson 1968,
/// "Regular Expression Search Algorithm"), so the time is at most text × pattern: payloads
/// come from strangers, and a backtracking matcher can be held for hours by one of them.
///
/// Taken: literals, `.`, `[a-z]` and `[^…]`, `\d \D \w \W \s \S`, `\t \n \r \f \v \uXXXX`,
/// escaped punctuation, `^ $`, `( )`, `(?: )`, `|`, `* + ?`, `{m}`, `{m,}`, `{m,n}`.
/// Refused with a reason: everything else of ECMA-262 (back references, look-around, `\b`,
/// `\p`), since to ignore it would be to accept what the schema forbids.
public struct Pattern: Sendable, Hashable {
    public let text: String
    let program: [Instruction]

    public struct Fault: Error, Equatable, Sendable, CustomStringConvertible {
        public var description: String
    }

    enum Instruction: Sendable, Hashable {
        case one(ScalarSet)
        /// Both ways.
        case split(Int, Int)
        case jump(Int)
        case atStart, atEnd
        case match
    }

    public init(_ text: String) throws(Fault) {
        self.text = text
        var parser = PatternParser(text)
        let tree = try parser.pattern()
        var compiler = PatternCompiler()
        try compiler.emit(tree)
        try compiler.add(.match)
        program = compiler.program
    }

    /// Whether the pattern is found in `subject`.
    public func matches(_ subject: String) -> Bool {
        var current = StateSet(count: program.count)
        var next = StateSet(count: program.count)
        let scalars = Array(subject.unicodeScalars)
        for index in 0...scalars.count {
            // A match may begin at every place.
            follow(0, at: index, count: scalars.count, into: &current)
            if current.contains(program.count - 1) { return true }
            guard index < scalars.count else { return false }
            for state in current.members {
                if case .one(let set) = program[state], set.contains(scalars[index].value) {
                    follow(state + 1, at: index + 1, count: scalars.count, into: &next)
                }
            }
            swap(&current, &next)
            next.removeAll()
        }
        return false
    }

    /// Adds `state` and all that is reached from it without reading.
    private func follow(_ state: Int, at index: Int, count: Int, into set: inout StateSet) {
        var waiting = [state]
        while let state = waiting.popLast() {
            guard set.insert(state) else { continue }
            switch program[state] {
            case .one, .match: break
            case .split(let a, let b): waiting += [a, b]
            case .jump(let target): waiting.append(target)
            case .atStart: if index == 0 { waiting.append(state + 1) }
            case .atEnd: if index == count { waiting.append(state + 1) }
            }
        }
    }
}

/// A set of program counters that is emptied in time proportional to its members.
private struct StateSet {
    private(set) var members: [Int] = []
    private var isMember: [Bool]
    init(count: Int) { isMember = [Bool](repeating: false, count: count) }
    func contains(_ state: Int) -> Bool { isMember[state] }
    mutating func insert(_ state: Int) -> Bool {
        if isMember[state] { return false }
        isMember[state] = true
        members.append(state)
        return true
    }
    mutating func removeAll() {
        for state in members { isMember[state] = false }
        members.removeAll(keepingCapacity: true)
    }
}

struct ScalarSet: Sendable, Hashable {
    var ranges: [ClosedRange<UInt32>] = []
    var isNegated = false
    func contains(_ value: UInt32) -> Bool { ranges.contains { $0.contains(value) } != isNegated }

    static let digits = ScalarSet(ranges: [0x30...0x39])
    static let word = ScalarSet(ranges: [0x30...0x39, 0x41...0x5A, 0x5F...0x5F, 0x61...0x7A])
    /// ECMA-262 §12.2 and §12.3.
    static let space = ScalarSet(ranges: [
        0x09...0x0D, 0x20...0x20, 0xA0...0xA0, 0x1680...0x1680, 0x2000...0x200A,
        0x2028...0x2029, 0x202F...0x202F, 0x205F...0x205F, 0x3000...0x3000, 0xFEFF...0xFEFF,
    ])
    /// What `.` does not match.
    static let notLineEnd = ScalarSet(ranges: [0x0A...0x0A, 0x0D...0x0D, 0x2028...0x2029], isNegated: true)

    var inverted: ScalarSet { ScalarSet(ranges: ranges, isNegated: !isNegated) }

    /// The same set as ranges that are not negated, for use inside brackets.
    var plainRanges: [ClosedRange<UInt32>] {
        guard isNegated else { return ranges }
        var out: [ClosedRange<UInt32>] = []
        var from: UInt32 = 0
        for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
            if range.lowerBound > from { out.append(from...(range.lowerBound - 1)) }
            from = max(from, range.upperBound + 1)
        }
        if from <= 0x10FFFF { out.append(from...0x10FFFF) }
        return out
    }
}

indirect enum PatternNode {
    case one(ScalarSet)
    case atStart, atEnd
    case sequence([PatternNode])
    case either([PatternNode])
    case repeated(PatternNode, atLeast: Int, atMost: Int?)
}

private struct PatternCompiler {
    var program: [Pattern.Instruction] = []
    /// Nodes written out; counted because `(((){1000}){1000}){1000}` adds no instruction.
    private var work = 0

    mutating func add(_ instruction: Pattern.Instruction) throws(Pattern.Fault) {
        guard program.count < 4096 else { throw PatternCompiler.tooLarge }
        program.append(instruction)
    }

    private static let tooLarge = Pattern.Fault(description: "the pattern is too large once its counts are written out")

    mutating func emit(_ node: PatternNode) throws(Pattern.Fault) {
        work += 1
        guard work < 20_000 else { throw PatternCompiler.tooLarge }
        switch node {
        case .one(let set): try add(.one(set))
        case .atStart: try add(.atStart)
        case .atEnd: try add(.atEnd)
        case .sequence(let parts): for part in parts { try emit(part) }
        case .either(let branches): try emit(branches[...])
        case .repeated(let part, let atLeast, let atMost): try emit(part, atLeast: atLeast, atMost: atMost)
        }
    }

    private mutating func emit(_ branches: ArraySlice<PatternNode>) throws(Pattern.Fault) {
        guard let first = branches.first else { return }
        if branches.count == 1 { return try emit(first) }
        let split = program.count
        try add(.jump(0))
        try emit(first)
        let jump = program.count
        try add(.jump(0))
        program[split] = .split(split + 1, program.count)
        try emit(branches.dropFirst())
        program[jump] = .jump(program.count)
    }

    private mutating func emit(_ part: PatternNode, atLeast: Int, atMost: Int?) throws(Pattern.Fault) {
        for _ in 0..<atLeast { try emit(part) }
        guard let atMost else {
            let loop = program.count
            try add(.jump(0))
            try emit(part)
            try add(.jump(loop))
            program[loop] = .split(loop + 1, program.count)
            return
        }
        var exits: [Int] = []
        for _ in atLeast..<max(atMost, atLeast) {
            exits.append(program.count)
            try add(.jump(0))
            try emit(part)
        }
        for exit in exits { program[exit] = .split(exit + 1, program.count) }
    }
}
