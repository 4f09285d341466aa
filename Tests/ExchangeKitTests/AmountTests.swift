import JobCore
import JobKit
import Testing

@testable import ExchangeKit

/// Reads better than `try Amount(parsing:)` in a table; a typo fails the test.
func amount(_ text: String) throws -> Amount { try Amount(parsing: text) }

@Suite struct AmountTests {
    @Test(arguments: [
        ("0", "0"), ("-0", "0"), ("+1", "1"), ("007", "7"), ("1.50", "1.5"), (".5", "0.5"), ("5.", "5"),
        ("-0.00141342", "-0.00141342"), ("0.000000000000000001", "0.000000000000000001"),
        ("1.1000000000000000000000000", "1.1"),
        ("99999999999999999999.999999999999999999", "99999999999999999999.999999999999999999"),
        ("-99999999999999999999.999999999999999999", "-99999999999999999999.999999999999999999"),
        ("170141183460469231731.687303715884105727", "170141183460469231731.687303715884105727"),
    ])
    func textIsExactAndCanonical(_ text: String, _ canonical: String) throws {
        #expect(try amount(text).description == canonical)
    }

    @Test(arguments: ["", "-", ".", "1e3", "1,5", "0x10", " 1", "1 ", "1.2.3", "--1", "½", "nan", "1.0000000000000000000x"])
    func whatIsNoDecimalIsRefused(_ text: String) {
        #expect(throws: AmountError.notADecimal(text)) { try amount(text) }
    }

    @Test func aTokenAmountOf256BitsIsRefusedAndNotCut() {
        let largest = "115792089237316195423570985008687907853269984665640564039457584007913129639935"
        #expect(throws: AmountError.outOfRange) { try amount(largest) }
        #expect(throws: AmountError.outOfRange) { try amount("170141183460469231731.687303715884105728") }
        #expect(throws: AmountError.outOfRange) { try amount("-999999999999999999999") }
        #expect(throws: AmountError.tooPrecise) { try amount("0.0000000000000000001") }
    }

    @Test func sumsAreExactOrRefused() throws {
        #expect(try amount("0.1") + amount("0.2") == amount("0.3"))
        #expect(try amount("1") - amount("0.000000000000000001") == amount("0.999999999999999999"))
        let largest = Amount(units: .max)
        #expect(throws: AmountError.outOfRange) { try largest + Amount(units: 1) }
        #expect(throws: AmountError.outOfRange) { try Amount(units: .min) - Amount(units: 1) }
        #expect(throws: AmountError.outOfRange) { try -Amount(units: .min) }
    }

    @Test func productsUseTheFullWidth() throws {
        // 1.25·10¹³ × 1.28·10⁷ needs 10⁵⁶ before it is scaled back: far beyond 128 bits.
        #expect(try amount("12500000000000").times(amount("12800000"), .halfEven) == amount("160000000000000000000"))
        #expect(try amount("0.00141342").times(amount("23"), .halfEven) == amount("0.03250866"))
        #expect(try amount("65000.12345678").times(amount("1.23456789"), .halfEven).description == "80247.0652657763907942")
        #expect(throws: AmountError.outOfRange) { try amount("10000000000000").times(amount("100000000"), .down) }
    }

    @Test("A short text is the same number as with zeros before it, which make it a long one; or refused as that is")
    func shortTexts() throws {
        var random = SeededGenerator(seed: 24)
        let letters = Array("0123456789.0123456789")
        for _ in 0 ..< 20_000 {
            var text = String((0 ..< Int(random.next() % 20)).map { _ in letters[Int(random.next() % UInt64(letters.count))] })
            if random.next() % 50 == 0 { text += ["x", "-", " "][Int(random.next() % 3)] }
            let zeros = String(repeating: "0", count: 20)
            let (short, long) = (Result { try amount(text) }, Result { try amount(zeros + text) })
            // Zeros alone are a number, and a point after them is.
            if text.isEmpty || text == "." { continue }
            #expect((try? short.get()) == (try? long.get()), "\(text)")
        }
        #expect(try amount("9999999999999999999").units == 9_999_999_999_999_999_999 * Amount.unitsPerOne)
        #expect(try amount(".123456789012345678").units == 123_456_789_012_345_678)
    }

    @Test func quotients() throws {
        #expect(try amount("2282.71").over(amount("309.81"), .halfEven).times(.hundred, .halfEven).readable() == "736.81")
        #expect(try Amount(1).over(Amount(3), .down).description == "0.333333333333333333")
        #expect(try Amount(1).over(Amount(3), .up).description == "0.333333333333333334")
        #expect(try Amount(2).over(Amount(-3), .floor).description == "-0.666666666666666667")
        #expect(try amount("99999999999999999999").times(Amount(3), over: Amount(3), .down) == amount("99999999999999999999"))
        #expect(throws: AmountError.dividedByZero) { try Amount(1).over(.zero, .down) }
        #expect(throws: AmountError.outOfRange) { try amount("99999999999999999999").over(amount("0.001"), .down) }
    }

    @Test(arguments: [
        (Rounding.down, "1.2", "-1.2"), (.up, "1.3", "-1.3"), (.floor, "1.2", "-1.3"), (.ceiling, "1.3", "-1.2"),
        (.halfEven, "1.2", "-1.2"), (.halfUp, "1.3", "-1.3"),
    ])
    func roundingOfATie(_ rounding: Rounding, _ plus: String, _ minus: String) throws {
        #expect(try amount("1.25").rounded(to: 1, rounding) == amount(plus))
        #expect(try amount("-1.25").rounded(to: 1, rounding) == amount(minus))
    }

    @Test func roundingToSteps() throws {
        #expect(try amount("1.35").rounded(to: 1, .halfEven) == amount("1.4"))
        #expect(try amount("0.137").roundedToMultiple(of: amount("0.05"), .up) == amount("0.15"))
        #expect(try amount("0.137").roundedToMultiple(of: .zero, .up) == amount("0.137"))
        #expect(try amount("7").rounded(to: 18, .up) == Amount(7))
    }

    @Test func productsAreComparedWithoutRounding() throws {
        let tiny = try amount("0.000000000000000001")
        #expect(Amount.product(.zero, .one, isLessThan: tiny, tiny))
        #expect(!Amount.product(tiny, tiny, isLessThan: tiny, tiny))
        let huge = Amount(units: .max)
        #expect(Amount.product(huge, Amount(units: .max - 1), isLessThan: huge, huge))
        #expect(Amount.product(huge, Amount(-1), isLessThan: tiny, tiny))
    }

    @Test func readableText() throws {
        #expect(try amount("28556.64").readable() == "28,556.64")
        #expect(try amount("-1234567.895").readable() == "-1,234,567.90")
        #expect(try amount("-123").readable(0) == "-123")
        #expect(try amount("0.005").readable() == "0.00")
    }

    @Test func additionAndSubtractionAreInverse() throws {
        var random = SeededGenerator(seed: 20)
        for _ in 0 ..< 1_000 {
            let a = Amount(units: Int128(Int64(bitPattern: random.next())) << 60)
            let b = Amount(units: Int128(Int64(bitPattern: random.next())))
            #expect(try a + b - b == a)
            #expect(try amount(a.description) == a)
        }
    }

    @Test func aProductDividedByAFactorIsTheOtherFactor() throws {
        var random = SeededGenerator(seed: 21)
        for _ in 0 ..< 1_000 {
            let a = Amount(Int32(truncatingIfNeeded: random.next() >> 36))
            let b = Amount(units: Int128(random.next() >> 8) + 1)
            #expect(try a.times(b, .halfEven).over(b, .halfEven) == a)
        }
    }

    @Test func jsonKeepsEveryDigit() throws {
        struct Box: Codable { var price: Amount }
        let exact = try JSON(parsing: #"{"price": "0.123456789012345678"}"#).decode(Box.self)
        #expect(exact.price.description == "0.123456789012345678")
        let bare = try JSON(parsing: #"{"price": 0.123456789012345678}"#).decode(Box.self)
        #expect(bare.price == exact.price)
        let scientific = try JSON(parsing: #"{"price": -12.5e-7}"#).decode(Box.self)
        #expect(scientific.price.description == "-0.00000125")
        #expect(try JSON(parsing: #"{"price": 1E+3}"#).decode(Box.self).price == Amount(1_000))
        #expect(try JSON(encoding: exact).text == #"{"price":"0.123456789012345678"}"#)
        #expect(throws: (any Error).self) { try JSON(parsing: #"{"price": 1e-9223372036854775808}"#).decode(Box.self) }
        #expect(throws: (any Error).self) { try JSON(parsing: #"{"price": true}"#).decode(Box.self) }
    }
}
