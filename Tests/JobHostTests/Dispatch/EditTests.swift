import JobConfig
import JobCore
import JobStore
import Testing

@testable import JobHost

/// Jobs that are edited, removed and brought back while something of them is in flight.
@Suite("Edits while something is in flight") struct EditTests: DispatchStory {
    @Test("A refreshed fixed delay still waits for the run that is under way")
    func refreshedUnderWay() {
        var host = host()
        host.apply([SimulatedHost.job("a", .afterFinish(.seconds(5)))])
        host.advance(to: at("00:00:06"))
        #expect(host.started.count == 1)
        var row = JobStateRow()
        row.cursor = host.cursors["a"]
        row.scheduleText = ScheduleSpec.afterFinish(.seconds(5)).text
        host.send(.refreshed(job: "a", row))
        host.advance(to: at("00:01:00"))
        #expect(host.ledgerCount("a") == 1)
    }

    @Test("An edit that keeps the fire keeps its claim")
    func editKeepsClaim() {
        var host = host()
        host.apply([SimulatedHost.job("a", every(10))])
        host.advance(to: at("00:00:09"))
        host.apply([SimulatedHost.job("a", every(5)) { $0.catchUp.policy = .all }], generation: 2)
        host.advance(to: at("00:00:10"))
        #expect(host.fires("a") == ["00:00:10"])
    }

    @Test("A claim of the old rule that comes back after the edit is refused, unless the new rule fires then too", arguments: [
        (7, [String]()), (5, ["00:00:10"]),
    ])
    func editInFlight(seconds: Int, fires: [String]) {
        var host = host()
        host.apply([SimulatedHost.job("a", every(10))])
        host.answersLate = true
        host.advance(to: at("00:00:09"))
        host.apply([SimulatedHost.job("a", every(seconds))], generation: 2)
        host.answer()
        host.advance(to: at("00:00:10"))
        #expect(host.fires("a") == fires)
        #expect(host.ledgerCount("a") == 1)
    }

    @Test("An edit that the store could not record is recorded when it is back, before anything is due")
    func editAndAway() {
        var host = host()
        host.apply([SimulatedHost.job("a", every(3600))])
        host.storeAnswers = false
        host.apply([SimulatedHost.job("a", every(1800))], generation: 2)
        host.storeAnswers = true
        host.advance(by: .seconds(1))
        #expect(host.texts["a"] == every(1800).text)
    }

    @Test("A job that was removed and comes back does not catch up on the time in between")
    func comesBack() {
        var host = host()
        let job = SimulatedHost.job("a", every(10)) { $0.catchUp.policy = .all }
        host.apply([job])
        host.advance(to: at("00:00:05"))
        host.apply([], generation: 2)
        host.advance(to: at("00:01:05"))
        host.apply([job], generation: 3)
        host.advance(to: at("00:01:15"))
        #expect(host.fires("a") == ["00:01:10"])
        #expect(host.ledgerCount("a") == 1)
    }

    @Test("With schedule = false an edit claims nothing")
    func editWithoutSchedule() {
        var host = host()
        host.apply([SimulatedHost.job("a", every(10))])
        host.dispatcher.settings.schedules = false
        host.advance(to: at("00:00:15"))
        host.apply([SimulatedHost.job("a", every(7))], generation: 2)
        #expect(host.rows.isEmpty)
        #expect(host.ranges["a"] == nil || host.ranges["a"] == [])
    }

    @Test("A disabled follower gets no run")
    func disabledFollower() {
        var host = host()
        host.apply([SimulatedHost.job("first", .none), SimulatedHost.job("second", .after(job: "first")) { $0.enabled = false }])
        host.enqueue("first")
        host.end(.succeeded)
        #expect(host.runs("second").isEmpty)
    }
}
