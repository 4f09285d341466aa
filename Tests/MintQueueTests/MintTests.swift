import ExchangeKit
import ExchangeTestKit
import JobKit
import OutsideKit
import Testing

@testable import MintQueue

@Suite struct MintTests {
    @Test func aSaleIsMintedOnce() throws {
        let counter = try Counter()
        #expect(try counter.mint() == .succeeded("Minted: mint sale-1 of 1.5 of asset 7, reference m-sale-1, 1 request sent"))
        #expect(try counter.record() == "minted 1 m-sale-1")
        #expect(try counter.test.events() == ["AssetMinted"])
        #expect(try counter.test.texts("SELECT action FROM activity_log ORDER BY seq") == ["mint.sent", "mint.minted"])
        // The same cause for ever, also from a new run.
        #expect(try counter.mint(at: 86_400) == .succeeded("Minted: mint sale-1 of 1.5 of asset 7, reference m-sale-1, 1 request sent"))
        #expect(counter.minter.calls == ["PUT"])
    }

    /// Of 512 bytes, as keys may be: what is told of it has a key of no more.
    @Test func aLongKeyIsMintedAndTold() throws {
        let counter = try Counter()
        let key = String(repeating: "k", count: 512)
        try counter.mint(key)
        #expect(try counter.record(key) == "minted 1 m-\(key)")
        #expect(try counter.test.texts("SELECT length(key) FROM outbox_events") == ["85"])
    }

    @Test func afterAnUnknownResultTheMinterIsAskedFirst() throws {
        let counter = try Counter()
        counter.minter.moods = [.losesTheAnswer]
        try counter.mint()
        #expect(counter.minter.calls == ["PUT", "GET"])
        #expect(try counter.record() == "minted 1 m-sale-1")
        #expect(try counter.test.events() == ["MintUnknown", "AssetMinted"])
    }

    @Test func onlyWhatTheMinterNeverHeardOfIsSentAgain() throws {
        let counter = try Counter()
        counter.minter.moods = [.losesTheRequest]
        try counter.mint()
        #expect(counter.minter.calls == ["PUT", "GET", "PUT"])
        #expect(counter.minter.minted == ["sale-1": 1])
        #expect(try counter.record() == "minted 2 m-sale-1")
    }

    @Test func aMinterThatDoesNotAnswerTheQuestionIsAskedAgainNotSentTo() throws {
        let counter = try Counter()
        counter.minter.moods = [.losesTheAnswer]
        counter.minter.deafFor = 2
        for _ in 0 ..< 2 {
            let error = #expect(throws: JobFailure.self) { try counter.mint() }
            #expect(error?.kind == .transient)
            #expect(try counter.record() == "unknown 1 -")
        }
        try counter.mint()
        #expect(counter.minter.calls == ["PUT", "GET", "GET", "GET"])
        #expect(try counter.record() == "minted 1 m-sale-1")
    }

    @Test func withoutALookUpItIsNeverSentAgain() throws {
        let counter = try Counter()
        counter.minter.looksUp = false
        counter.minter.moods = [.losesTheRequest]
        for _ in 0 ..< 3 {
            #expect(try counter.mint() == .failed(
                "mint sale-1 of 1.5 of asset 7: whether it arrived is not known and the minter cannot be asked: it is never sent again", code: 3))
        }
        #expect(counter.minter.calls == ["PUT"])
        #expect(try counter.record() == "unknown 1 -")
        // A human who has found out says so.
        try counter.test.connection.run("UPDATE mint_requests SET status = 'requested', version = version + 1")
        try counter.mint()
        #expect(try counter.record() == "minted 2 m-sale-1")
    }

    @Test func aMinterThatIsDownIsTriedAgainLater() throws {
        let counter = try Counter()
        counter.minter.moods = [.isDown, .isDown]
        for _ in 0 ..< 2 {
            let error = #expect(throws: JobFailure.self) { try counter.mint() }
            #expect(error?.kind == .transient)
            #expect(error?.text == "no connection")
        }
        #expect(try counter.record() == "requested 2 -")
        try counter.mint()
        #expect(counter.minter.calls == ["PUT", "PUT", "PUT"])
    }

    @Test func whatNeverArrivesIsGivenUp() throws {
        let counter = try Counter()
        counter.minter.moods = [.isDown, .isDown]
        for _ in 0 ..< 2 { #expect(throws: JobFailure.self) { try counter.mint { $0.maxSends = 2 } } }
        #expect(try counter.mint { $0.maxSends = 2 } == .failed(
            "mint sale-1 of 1.5 of asset 7: it was sent 2 times and never arrived", code: 3))
    }

    @Test func aRefusalIsForGood() throws {
        let counter = try Counter()
        counter.minter.moods = [.refuses]
        let refused = RunOutcome.failed("mint sale-1 of 1.5 of asset 7 was refused: out of stock", code: 2)
        #expect(try counter.mint() == refused)
        #expect(try counter.mint() == refused)
        #expect(counter.minter.calls == ["PUT"])
        #expect(try counter.record() == "failed 1 -")
        #expect(try counter.test.events() == ["MintFailed"])
    }

    @Test func oneThatTakesItsTimeIsAskedForAndCostsNoAttempt() throws {
        let counter = try Counter()
        counter.minter.moods = [.isSlow]
        let text = "mint sale-1 of 1.5 of asset 7 is pending at the minter"
        #expect(try counter.mint() == .snooze(until: (noon + 5_000) * 1_000, text))
        #expect(try counter.mint(at: 5) == .snooze(until: (noon + 10_000) * 1_000, text))
        #expect(try counter.mint(at: 3_600) == .failed("\(text) for 1h, longer than pending_limit", code: 5))
        counter.minter.finish()
        try counter.mint(at: 3_700)
        #expect(try counter.record() == "minted 1 m-sale-1")
        #expect(counter.minter.minted == ["sale-1": 1])
    }

    /// The limit counts from when it was sent: silence in between does not begin it anew.
    @Test func silenceInBetweenDoesNotPostponeTheLimit() throws {
        let counter = try Counter()
        counter.minter.moods = [.isSlow]
        try counter.mint()
        for minute in stride(from: Int64(10), to: 60, by: 10) {
            counter.minter.deafFor = 1
            #expect(throws: JobFailure.self) { try counter.mint(at: minute * 60) }
            guard case .snooze = try counter.mint(at: minute * 60 + 5) else { Issue.record("minute \(minute)"); return }
        }
        #expect(try counter.mint(at: 3_600) == .failed(
            "mint sale-1 of 1.5 of asset 7 is pending at the minter for 1h, longer than pending_limit", code: 5))
    }

    @Test func aKeyThatBelongsToAnotherMintSendsNothing() throws {
        let counter = try Counter()
        try counter.mint()
        let error = #expect(throws: JobFailure.self) { try counter.mint(asset: "8") }
        #expect(error?.kind == .permanent)
        #expect(error?.text == "the key sale-1 belongs to a mint of 1.5 of asset 7, this one is for 1.5 of 8: nothing was sent")
        #expect(throws: JobFailure.self) { try counter.mint(size: "2") }
        #expect(counter.minter.calls == ["PUT"])
    }

    @Test func cancelledItSendsNothing() throws {
        let counter = try Counter()
        #expect(throws: CancellationNotice.self) { try counter.mint(cancelled: true) }
        #expect(counter.minter.calls == [])
        try counter.mint()
        #expect(try counter.record() == "minted 1 m-sale-1")
    }

    // MARK: Modes and caps

    @Test func inShadowItSaysWhatItWouldDo() throws {
        let counter = try Counter()
        #expect(try counter.mint { $0.mode = .shadow } == .succeeded("Would send mint sale-1 of 1.5 of asset 7 (shadow, nothing written)"))
        #expect(counter.minter.calls == [])
        #expect(try counter.record() == "none")
    }

    @Test func aMintAboveTheCapIsNotSent() throws {
        let counter = try Counter()
        #expect(try counter.mint { $0.maxSize = Amount(1) } == .failed(
            "Halted: mint sale-1 of 1.5 of asset 7 is above max_size (1). Raise max_size if it is right, then: jobhost dead retry", code: 1))
        #expect(counter.minter.calls == [])
    }

    @Test func beyondTheCapOfAnHourMintsWait() throws {
        let counter = try Counter()
        for index in 0 ..< 2 { try counter.mint("sale-\(index)", at: Int64(index)) { $0.maxMintsPerHour = 2 } }
        #expect(try counter.mint("sale-2", at: 10) { $0.maxMintsPerHour = 2 } == .snooze(
            until: (noon + 70_000) * 1_000, "max_mints_per_hour (2) is reached"))
        #expect(counter.minter.calls == ["PUT", "PUT"])
        // What is done already is answered all the same.
        #expect(try counter.mint("sale-0", at: 10) { $0.maxMintsPerHour = 2 } == .succeeded(
            "Minted: mint sale-0 of 1.5 of asset 7, reference m-sale-0, 1 request sent"))
        try counter.mint("sale-2", at: 3_601) { $0.maxMintsPerHour = 2 }
        #expect(try counter.record("sale-2") == "minted 1 m-sale-2")
    }

    // MARK: Interruptions and others

    @Test(arguments: [[], [MinterMood.losesTheAnswer], [.losesTheRequest], [.losesTheRequest, .losesTheAnswer]])
    func cutAnywhereItIsMintedOnce(_ moods: [MinterMood]) throws {
        let cuts = try cutAtEveryStatement({
            let counter = try Counter(.disk)
            counter.minter.moods = moods
            return counter
        }, run: { _ = try $0.mintAlone() }) { (counter, place) throws in
            #expect(counter.minter.minted == ["sale-1": 1], "\(place)")
            #expect(try counter.record().hasPrefix("minted"), "\(place)")
            #expect(try counter.test.number("SELECT count(*) FROM outbox_events WHERE event = 'AssetMinted'") == 1, "\(place)")
            // Never sent twice without the question between.
            for (first, second) in zip(counter.minter.calls, counter.minter.calls.dropFirst()) {
                #expect(first != "PUT" || second != "PUT", "\(place): \(counter.minter.calls)")
            }
        }
        #expect(cuts > 15)
    }

    @Test func anEndThatAnotherHostRecordsMeanwhileStays() throws {
        var theirs = 0
        var inTime = 0
        try besideAWriterAtEveryStatement(
            { let counter = try Counter(.disk); theirs = 0; return (counter, counter.test) },
            write: { other in
                theirs = try other.run("UPDATE mint_requests SET status = 'minted', reference = 'theirs', version = version + 1 WHERE status = 'sent'")
            },
            run: { (counter: Counter) in _ = try counter.mintAlone() }
        ) { (counter, place) throws in
            #expect(try counter.record() == (theirs == 1 ? "minted 1 theirs" : "minted 1 m-sale-1"), "\(place)")
            inTime += theirs
            #expect(try counter.test.number("SELECT count(*) FROM outbox_events") == 1 - Int64(theirs), "\(place)")
        }
        #expect(inTime > 0)
    }
}
