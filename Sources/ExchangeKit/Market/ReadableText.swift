import JobCore

/// An instant (milliseconds since 1970 UTC) for people: "2019-10-11 00:05", with seconds only
/// where they are not zero.
public func utcText(_ instant: Int64) -> String {
    let civil = CivilTime(localSeconds: instant.floorDivide(1_000)).description
    return civil.hasSuffix(":00") ? String(civil.dropLast(3)) : civil
}

/// "2019-10-11" (midnight UTC) or RFC 3339, in milliseconds since 1970; nil: neither.
public func utcInstant(_ text: String) -> Int64? {
    if let date = CivilDate(text) { return date.daysSinceEpoch * 86_400_000 }
    return Instant(rfc3339: text)?.milliseconds
}

/// A number of things for people: "1 trade", "12,477 trades".
public func counted(_ count: some BinaryInteger, _ noun: String) -> String {
    var digits = Array(String(count).utf8)
    var position = digits.count - 3
    while position > (count < 0 ? 1 : 0) {
        digits.insert(UInt8(ascii: ","), at: position)
        position -= 3
    }
    return "\(String(decoding: digits, as: UTF8.self)) \(noun)\(count == 1 ? "" : "s")"
}
