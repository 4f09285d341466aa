import Testing

@testable import MintQueue

@Suite struct MintMachineTests {
    /// A simulated market keeps its refusals from one version to the next.
    @Test func aPaperPeersLuckIsOfTheKeyAlone() {
        let luck = PaperLuck()
        #expect((0..<100).filter { luck.refuses("asset-\($0)") } == [17, 30, 32, 41, 45, 74, 88])
        #expect((0..<100).filter { luck.losesAnswer("asset-\($0)") } == [1, 10, 17, 18, 23, 36, 38, 64, 68, 71, 75, 97])
    }

    private func machine(_ status: MintStatus, sends: Int64 = 1) -> MintMachine { MintMachine(status: status, sends: sends) }

    @Test func everyStatusHasItsNextStep() {
        #expect(machine(.requested).nextStep(looksUp: true, maxSends: 5) == .send)
        #expect(machine(.requested).nextStep(looksUp: false, maxSends: 5) == .send)
        // Sent is not heard of: asked, never sent.
        for status in [MintStatus.sent, .unknown] {
            #expect(machine(status).nextStep(looksUp: true, maxSends: 5) == .ask)
            #expect(machine(status).nextStep(looksUp: false, maxSends: 5) == .giveUp(
                reason: "whether it arrived is not known and the minter cannot be asked: it is never sent again"))
        }
        for status in [MintStatus.minted, .failed] {
            #expect(machine(status).nextStep(looksUp: true, maxSends: 5) == .done)
            #expect(machine(status).nextStep(looksUp: false, maxSends: 5) == .done)
        }
        #expect(machine(.requested, sends: 5).nextStep(looksUp: true, maxSends: 5) == .giveUp(
            reason: "it was sent 5 times and never arrived"))
    }

    @Test(arguments: [
        (MintEvent.minted(reference: "r"), MintStatus.minted), (.refused(reason: "no"), .failed), (.noAnswer(reason: "?"), .unknown),
        (.notSent(reason: "down"), .requested), (.notKnown, .requested), (.pending, .sent),
    ])
    func whatIsHeardOfOneThatWasSent(_ event: MintEvent, _ status: MintStatus) {
        for before in [MintStatus.sent, .unknown] {
            var it = machine(before)
            _ = it.hear(event)
            #expect(it.status == status, "\(before)")
            #expect(it.sends == 1)
        }
    }

    @Test func theEndIsTheEndWhateverIsHeardLater() {
        let events: [MintEvent] = [
            .minted(reference: "other"), .refused(reason: "no"), .noAnswer(reason: "?"), .notSent(reason: "down"), .notKnown, .pending,
        ]
        for status in [MintStatus.minted, .failed] {
            for event in events {
                var it = machine(status)
                let changed = it.hear(event)
                #expect(!changed)
                #expect(it == machine(status))
            }
            var it = machine(status)
            it.beginSending()
            #expect(it == machine(status))
        }
    }

    @Test func sendingIsCountedBeforeItHappens() {
        var it = MintMachine()
        it.beginSending()
        #expect(it.status == .sent && it.sends == 1)
        it.beginSending()
        #expect(it.sends == 1)
    }

    /// Whatever a minter that keeps its keys does: sent again only when it said that it knows
    /// nothing or nothing was sent, and never after the end.
    @Test func noWayThroughTheMachineMintsTwice() {
        let events: [MintEvent] = [
            .minted(reference: "r"), .refused(reason: "no"), .noAnswer(reason: "?"), .notSent(reason: "down"), .notKnown, .pending,
        ]
        var ways = 0
        func walk(_ it: MintMachine, mayHaveArrived: Bool, depth: Int) {
            guard depth < 7 else { return }
            for event in events {
                var next = it
                var arrived = mayHaveArrived
                switch next.nextStep(looksUp: true, maxSends: 3) {
                case .send:
                    #expect(!arrived, "sent though it may be there")
                    if case .notKnown = event { continue }
                    next.beginSending()
                    if case .notSent = event {} else { arrived = true }
                case .ask:
                    if case .notSent = event { continue }
                    // The minter keeps its keys: it knows nothing only of what did not arrive.
                    if case .notKnown = event { arrived = false }
                case .done, .giveUp: continue
                }
                _ = next.hear(event)
                ways += 1
                walk(next, mayHaveArrived: arrived, depth: depth + 1)
            }
        }
        walk(MintMachine(), mayHaveArrived: false, depth: 0)
        #expect(ways > 500)
    }
}
