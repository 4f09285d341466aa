import JobCore

/// The units of a duration, largest first, in microseconds.
private let durationUnits: [(name: String, microseconds: Int64)] = [
    ("d", 86_400_000_000), ("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1_000), ("us", 1),
]

let durationUnitsHint = "units: us, ms, s, m, h, d, as in \"300ms\" or \"1h30m\""
let sizeUnitsHint = "units: B, kB, MB, GB, TB (thousands) and KiB, MiB, GiB, TiB (1024s)"

/// "300ms", "45s", "1.5s", "1h30m", "250us": numbers with units, each unit once, the larger
/// first. A fraction must come out in whole microseconds. nil: not a duration.
public func parseDuration(_ text: String) -> Duration? {
    var rest = Array(text.utf8)[...]
    var total: Int64 = 0
    var units = durationUnits[...]
    guard !rest.isEmpty, rest.count <= 64 else { return nil }
    while !rest.isEmpty {
        guard let number = ScaledNumber(taking: &rest) else { return nil }
        let name = rest.prefix { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) }
        rest = rest.dropFirst(name.count)
        guard let index = units.firstIndex(where: { $0.name.utf8.elementsEqual(name) }),
            let part = number.times(units[index].microseconds)
        else { return nil }
        units = units[(index + 1)...]
        let (sum, overflow) = total.addingReportingOverflow(part)
        guard !overflow else { return nil }
        total = sum
    }
    return .microseconds(total)
}

/// The same writing back: "1h30m", "300ms", "0s". Negative durations get a leading "-".
public func durationText(_ duration: Duration) -> String {
    var rest = duration.microseconds.magnitude
    if rest == 0 { return "0s" }
    var out = duration.microseconds < 0 ? "-" : ""
    for unit in durationUnits {
        let (count, remainder) = rest.quotientAndRemainder(dividingBy: unit.microseconds.magnitude)
        if count > 0 { out += "\(count)\(unit.name)" }
        rest = remainder
    }
    return out
}

private let sizeUnits: [(name: String, bytes: Int64)] = [
    ("B", 1), ("kB", 1_000), ("KB", 1_000), ("MB", 1_000_000), ("GB", 1_000_000_000), ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40),
]

/// "256MB" counts in thousands, "256MiB" in 1024s; also "512B". nil: not a size.
public func parseSize(_ text: String) -> UInt64? {
    var rest = Array(text.utf8)[...]
    guard rest.count <= 64, let number = ScaledNumber(taking: &rest),
        let unit = sizeUnits.first(where: { $0.name.utf8.elementsEqual(rest) })
    else { return nil }
    return number.times(unit.bytes).map(UInt64.init)
}

/// The same writing back, in the largest unit that is exact: "256MB", "64KiB".
public func sizeText(_ bytes: UInt64) -> String {
    let fitting = sizeUnits.filter { bytes > 0 && bytes.isMultiple(of: UInt64($0.bytes)) }
    let unit = fitting.max { $0.bytes < $1.bytes } ?? sizeUnits[0]
    return "\(bytes / UInt64(unit.bytes))\(unit.name)"
}

/// A non-negative decimal: `digits` / 10^`scale`.
private struct ScaledNumber {
    private var digits: Int64 = 0
    private var divisor: Int64 = 1

    /// Takes "12" or "1.5" from the front; at most 15 digits.
    init?(taking text: inout ArraySlice<UInt8>) {
        var count = 0
        var fraction = 0
        var seesPoint = false
        while let byte = text.first {
            if byte == UInt8(ascii: "."), !seesPoint, count > 0 {
                seesPoint = true
            } else if (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) {
                digits = digits * 10 + Int64(byte - UInt8(ascii: "0"))
                count += 1
                if seesPoint {
                    fraction += 1
                    divisor *= 10
                }
            } else {
                break
            }
            guard count <= 15 else { return nil }
            text = text.dropFirst()
        }
        guard count > 0, !seesPoint || fraction > 0 else { return nil }
    }

    /// nil when the product is not a whole number that fits.
    func times(_ unit: Int64) -> Int64? {
        let (product, overflow) = digits.multipliedReportingOverflow(by: unit)
        guard !overflow else { return nil }
        let (quotient, remainder) = product.quotientAndRemainder(dividingBy: divisor)
        return remainder == 0 ? quotient : nil
    }
}
