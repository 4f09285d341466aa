import JobCore
import Testing

@testable import JobHost

private func at(_ seconds: Int64) -> MonotonicInstant { MonotonicInstant(microseconds: seconds * 1_000_000) }

@Suite("Reload machine")
struct ReloadMachineTests {
    private func running() -> ReloadMachine {
        var machine = ReloadMachine()
        #expect(machine.startUpEnded(now: at(0)) == [])
        return machine
    }

    @Test("a request builds, switches and answers")
    func plain() {
        var machine = running()
        #expect(machine.request(ticket: 7, now: at(1)) == [.build(reload: 1)])
        #expect(machine.built(reload: 1, ready: true, now: at(2)) == [.switchOver(reload: 1)])
        #expect(machine.switched(reload: 1, now: at(3)) == [.answer([7], reload: 1)])
        #expect(machine.phase == .idle)
    }

    @Test("a refused build is answered without a switch")
    func refused() {
        var machine = running()
        _ = machine.request(ticket: 7, now: at(1))
        #expect(machine.built(reload: 1, ready: false, now: at(2)) == [.answer([7], reload: 1)])
    }

    @Test("any number of signals during a reload make exactly one more")
    func coalesce() {
        var machine = running()
        #expect(machine.request(ticket: nil, now: at(1)) == [.build(reload: 1)])
        for _ in 0..<100 { #expect(machine.request(ticket: nil, now: at(1)) == []) }
        #expect(machine.built(reload: 1, ready: true, now: at(2)) == [.switchOver(reload: 1)])
        for _ in 0..<100 { #expect(machine.request(ticket: nil, now: at(2)) == []) }
        #expect(machine.switched(reload: 1, now: at(3)) == [.answer([], reload: 1), .build(reload: 2)])
        _ = machine.built(reload: 2, ready: true, now: at(4))
        #expect(machine.switched(reload: 2, now: at(5)) == [.answer([], reload: 2)])
    }

    @Test("whoever asks during a reload gets the report of the next one")
    func laterWaiters() {
        var machine = running()
        _ = machine.request(ticket: 1, now: at(1))
        _ = machine.request(ticket: 2, now: at(1))
        _ = machine.request(ticket: 3, now: at(1))
        #expect(machine.built(reload: 1, ready: false, now: at(2)) == [.answer([1], reload: 1), .build(reload: 2)])
        #expect(machine.built(reload: 2, ready: false, now: at(3)) == [.answer([2, 3], reload: 2)])
    }

    @Test("a request during start-up waits for its end")
    func duringStart() {
        var machine = ReloadMachine()
        #expect(machine.request(ticket: nil, now: at(0)) == [])
        #expect(machine.request(ticket: 4, now: at(0)) == [])
        #expect(machine.startUpEnded(now: at(1)) == [.build(reload: 1)])
        #expect(machine.built(reload: 1, ready: false, now: at(2)) == [.answer([4], reload: 1)])
    }

    @Test("a build that hangs is given up; its late result is ignored; the next one goes on")
    func hangs() {
        var machine = ReloadMachine(buildLimit: .seconds(60))
        _ = machine.startUpEnded(now: at(0))
        _ = machine.request(ticket: 1, now: at(0))
        _ = machine.request(ticket: 2, now: at(1))
        #expect(machine.deadline == at(60))
        #expect(machine.timePassed(now: at(59)) == [])
        #expect(machine.timePassed(now: at(60)) == [.giveUp([1], reload: 1), .build(reload: 2)])
        #expect(machine.built(reload: 1, ready: true, now: at(61)) == [])
        #expect(machine.built(reload: 2, ready: false, now: at(62)) == [.answer([2], reload: 2)])
    }

    @Test("stopping turns everybody away, now and later")
    func stop() {
        var machine = running()
        _ = machine.request(ticket: 1, now: at(0))
        _ = machine.request(ticket: 2, now: at(0))
        #expect(machine.stop() == [.turnAway([1, 2])])
        #expect(machine.built(reload: 1, ready: true, now: at(1)) == [])
        #expect(machine.request(ticket: 3, now: at(2)) == [.turnAway([3])])
        #expect(machine.request(ticket: nil, now: at(2)) == [])
    }

    @Test("in every history each ticket is answered once, by a reload that began after it asked", arguments: [1, 2, 3, 4] as [UInt64])
    func property(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var machine = ReloadMachine(buildLimit: .seconds(20))
        var begun: [Int64: Int64] = [:]
        var asked: [Int64: Int64] = [:]
        var answered: Set<Int64> = []
        var building: Int64?
        var switching: Int64?
        var time: Int64 = 0

        func take(_ actions: [ReloadMachine.Action]) {
            for action in actions {
                switch action {
                case .build(let reload):
                    #expect(switching == nil, "seed \(seed)")
                    begun[reload] = time
                    building = reload
                case .switchOver(let reload): switching = reload
                case .answer(let tickets, let reload), .giveUp(let tickets, let reload):
                    for ticket in tickets {
                        #expect(answered.insert(ticket).inserted, "seed \(seed): twice")
                        #expect(begun[reload]! >= asked[ticket]!, "seed \(seed): too early a reload")
                    }
                case .turnAway(let tickets): for ticket in tickets { answered.insert(ticket) }
                }
            }
        }
        take(machine.startUpEnded(now: at(0)))
        for ticket in 0..<2_000 as Range<Int64> {
            time += Int64.random(in: 0...3, using: &random)
            switch Int.random(in: 0..<4, using: &random) {
            case 0:
                asked[ticket] = time
                take(machine.request(ticket: ticket, now: at(time)))
            case 1:
                guard let reload = building else { continue }
                building = nil
                take(machine.built(reload: reload, ready: Bool.random(using: &random), now: at(time)))
            case 2:
                guard let reload = switching else { continue }
                switching = nil
                take(machine.switched(reload: reload, now: at(time)))
            default: take(machine.timePassed(now: at(time)))
            }
        }
        take(machine.stop())
        #expect(answered == Set(asked.keys), "seed \(seed)")
    }
}
