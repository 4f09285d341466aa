import ExchangeKit
import JobCore
import Testing

@testable import Competitions

/// Names and results on a start of 100 unless said otherwise.
private func standings(_ entries: [(String, start: String, equity: String)]) throws -> Standings {
    try Standings(entries.map { entry in
        (entry.0, Performance(start: try amount(entry.start), equity: try amount(entry.equity), transferred: .zero))
    })
}

private func places(_ standings: Standings) -> [String] { standings.rows.map { "\($0.place) \($0.account)" } }

@Suite struct StandingsTests {
    @Test func theBetterReturnIsAheadWhateverTheStart() throws {
        let result = try standings([("big", "100000", "110000"), ("small", "10", "12"), ("loser", "100", "50")])
        #expect(places(result) == ["1 small", "2 big", "3 loser"])
    }

    @Test func equalReturnsShareAPlaceAndTheNextStaysEmpty() throws {
        let result = try standings([("a", "100", "120"), ("b", "100", "110"), ("c", "300", "330"), ("d", "100", "90")])
        #expect(places(result) == ["1 a", "2 b", "2 c", "4 d"])
    }

    @Test func returnsAreComparedAsFractionsWithoutRounding() throws {
        // 1 ÷ 3 and 2 ÷ 6 are equal; 10⁻¹⁸ more is more.
        #expect(places(try standings([("a", "3", "4"), ("b", "6", "8")])) == ["1 a", "1 b"])
        #expect(places(try standings([("a", "3", "4"), ("b", "6", "8.000000000000000001")])) == ["1 b", "2 a"])
        // Losses too: -1 ÷ 3 is better than -2 ÷ 5.
        #expect(places(try standings([("a", "5", "3"), ("b", "3", "2")])) == ["1 b", "2 a"])
    }

    @Test func whatWasPaidInIsNoReturn() throws {
        let paidIn = Performance(start: try amount("100"), equity: try amount("1000"), transferred: try amount("895"))
        let takenOut = Performance(start: try amount("100"), equity: try amount("10"), transferred: try amount("-110"))
        #expect(try paidIn.returnPercent == Amount(5))
        #expect(try takenOut.returnPercent == Amount(20))
        #expect(places(try Standings([("in", paidIn), ("out", takenOut)])) == ["1 out", "2 in"])
    }

    @Test func nobodyIsAStandingsToo() throws {
        #expect(try Standings([]).rows.isEmpty)
        #expect(try !Standings([]).isTiedAtTheTop)
    }
}

@Suite struct PrizePlanTests {
    /// Places such as [1, 2, 2, 4].
    private func share(
        _ pot: String, _ shares: [String], _ places: [Int], fee: String = "0", step: String = "0.01"
    ) throws -> [String] {
        let plan = PrizePlan(shares: try shares.map(amount), platformFee: try amount(fee), step: try amount(step))
        let result = try plan.share(try amount(pot), among: try field(places))
        return result.prizes.map(\.description) + ["platform \(result.rest)"]
    }

    /// Standings with these places.
    private func field(_ places: [Int]) throws -> Standings {
        try Standings(places.enumerated().map { index, place in
            ("\(index)", Performance(start: .hundred, equity: try Amount(1_000) - Amount(Int32(place)), transferred: .zero))
        })
    }

    @Test func placesGetTheirShares() throws {
        #expect(try share("1000", ["50", "30", "20"], [1, 2, 3, 4]) == ["500", "300", "200", "0", "platform 0"])
    }
    @Test func tiesSplitTheSumOfTheirPlaces() throws {
        #expect(try share("1000", ["50", "30", "20"], [1, 1, 3]) == ["400", "400", "200", "platform 0"])
        #expect(try share("1000", ["50", "30", "20"], [1, 2, 2]) == ["500", "250", "250", "platform 0"])
        #expect(try share("1000", ["50", "30", "20"], [1, 1, 1, 1]) == ["250", "250", "250", "250", "platform 0"])
        // Behind the last prize a tie reaches into places that get nothing.
        #expect(try share("1000", ["50", "30", "20"], [1, 2, 3, 3]) == ["500", "300", "100", "100", "platform 0"])
    }
    @Test func whatRoundingLeavesIsThePlatforms() throws {
        #expect(try share("100", ["33.333", "33.333", "33.333"], [1, 2, 3]) == ["33.33", "33.33", "33.33", "platform 0.01"])
        #expect(try share("100", ["100"], [1, 1, 1]) == ["33.33", "33.33", "33.33", "platform 0.01"])
        #expect(try share("1", ["100"], [1, 1, 1], step: "1") == ["0", "0", "0", "platform 1"])
        #expect(try share("0.1", ["100"], [1, 1, 1], step: "0").last == "platform 0.000000000000000001")
    }
    @Test func placesNobodyTookAreThePlatforms() throws {
        #expect(try share("1000", ["50", "30", "20"], [1, 2]) == ["500", "300", "platform 200"])
        #expect(try share("1000", ["50"], [1, 2]) == ["500", "0", "platform 500"])
    }
    @Test func theFeeComesFirst() throws {
        #expect(try share("200", ["100"], [1, 2], fee: "5") == ["190", "0", "platform 10"])
        // Rounded down, for the winner.
        #expect(try share("0.99", ["100"], [1, 2], fee: "5") == ["0.95", "0", "platform 0.04"])
        #expect(try share("200", ["100"], [1], fee: "100") == ["0", "platform 200"])
    }

    @Test(arguments: [
        (["60", "50"], "0", "0.01", "prizes: the places get more than 100 percent"),
        (["-1"], "0", "0.01", "prizes: -1 is below 0"),
        (["100"], "101", "0.01", "platform_fee: 101 is no percentage"),
        (["100"], "0", "-1", "prize_step: -1 is below 0"),
    ])
    func aPlanThatCannotBeIsASentence(_ shares: [String], _ fee: String, _ step: String, _ sentence: String) throws {
        let plan = PrizePlan(shares: try shares.map(amount), platformFee: try amount(fee), step: try amount(step))
        #expect(plan.fault == sentence)
    }

    @Test func prizesAndRestAreThePotExactlyWhateverThePlan() throws {
        var random = SeededGenerator(seed: 11)
        for _ in 0 ..< 3_000 {
            // Shares that fall from place to place, a few of them not whole.
            var left = 10_000
            var shares: [Amount] = []
            var last = left
            for _ in 0 ..< Int.random(in: 0 ... 8, using: &random) {
                last = Int.random(in: 0 ... min(last, left), using: &random)
                left -= last
                shares.append(try Amount(Int32(last)).over(.hundred, .down))
            }
            let step = try [amount("0"), amount("0.01"), amount("1"), amount("0.00000001")].randomElement(using: &random) ?? .zero
            let plan = PrizePlan(
                shares: shares, platformFee: try Amount(Int32.random(in: 0 ... 2_500, using: &random)).over(.hundred, .down), step: step)
            #expect(plan.fault == nil)
            let pot = Amount(units: Int128(UInt64.random(in: 0 ... .max, using: &random)) * 7)
            let entrants = (0 ..< Int.random(in: 1 ... 12, using: &random)).map { index in
                ("\(index)", Performance(
                    start: .hundred, equity: Amount(Int32.random(in: 90 ... 96, using: &random)), transferred: .zero))
            }
            let standings = try Standings(entrants)
            let (prizes, rest) = try plan.share(pot, among: standings)
            #expect(try prizes.reduce(rest) { try $0 + $1 } == pot)
            #expect(!rest.isNegative && prizes.count == entrants.count)
            for (index, prize) in prizes.enumerated() {
                #expect(!prize.isNegative)
                #expect(try prize.roundedToMultiple(of: step, .down) == prize)
                guard index > 0 else { continue }
                // Who is behind never gets more, who is level gets the same.
                let isLevel = standings.rows[index].place == standings.rows[index - 1].place
                #expect(isLevel ? prize == prizes[index - 1] : prize <= prizes[index - 1])
            }
        }
    }
}
