import ExchangeKit
import JobCore
import Testing

@testable import Deposits

@Suite struct TokenUnitsTests {
    @Test(arguments: [
        ("0x0", "0"), ("0x1", "1"), ("ff", "255"), ("0x3b9aca00", "1000000000"), ("0x000de0b6b3a7640000", "1000000000000000000"),
        ("0xffffffffffffffff", "18446744073709551615"),
        ("0xffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
         "115792089237316195423570985008687907853269984665640564039457584007913129639935"),
    ])
    func hexadecimalIsRead(_ hex: String, _ decimal: String) { #expect(TokenUnits(hex: hex)?.description == decimal) }

    @Test(arguments: ["", "0x", "0xg", "-1", "0x10000000000000000000000000000000000000000000000000000000000000000", "0x1 "])
    func whatIsNo256BitNumberIsRefused(_ text: String) { #expect(TokenUnits(hex: text) == nil) }

    @Test func everyNumberOf64BitsComesOutAsItIs() {
        var random = SeededGenerator(seed: 5)
        for _ in 0 ..< 2_000 {
            let number = random.next() >> UInt64.random(in: 0 ... 63, using: &random)
            #expect(TokenUnits(hex: String(number, radix: 16))?.description == String(number))
            #expect(TokenUnits(decimal: String(number)) == TokenUnits(number))
        }
    }

    @Test(arguments: [
        ("1500000000000000000", 18, "1.5"), ("1", 18, "0.000000000000000001"), ("1", 0, "1"), ("1234567", 6, "1.234567"),
        ("0", 6, "0"), ("1000000000000000000000000", 24, "1"), ("12", 1, "1.2"),
        ("170141183460469231731687303715884105727", 18, "170141183460469231731.687303715884105727"),
    ])
    func unitsBecomeAnAmount(_ units: String, _ decimals: Int, _ text: String) throws {
        let units = try #require(TokenUnits(decimal: units))
        #expect(try units.amount(decimals: decimals).description == text)
    }

    /// The first that does not fit, digits too fine, and the largest of 256 bits: refused, not cut.
    @Test func whatDoesNotFitIsRefused() throws {
        func refusal(_ units: String, _ decimals: Int) throws -> AmountError? {
            let units = try #require(TokenUnits(decimal: units))
            do {
                _ = try units.amount(decimals: decimals)
                return nil
            } catch {
                return error
            }
        }
        #expect(try refusal("170141183460469231731687303715884105728", 18) == .outOfRange)
        #expect(try refusal("1000000000000000000000001", 24) == .tooPrecise)
        let largest = try #require(TokenUnits(hex: String(repeating: "f", count: 64)))
        #expect(throws: AmountError.outOfRange) { try largest.amount(decimals: 18) }
        #expect(throws: (any Error).self) { try largest.amount(decimals: 77) }
    }
}
