import ExchangeTestKit
import JobKit
import Testing

@testable import Competitions

@Suite struct ContestDoctorTests {
    private let hall: Hall
    init() throws { hall = try Hall(.disk) }

    private func findings(at seconds: Int64, _ settings: String = #""mode": "live""#) -> [String] {
        hall.test.doctor(EndEntry.self, at: instant(seconds), job: "end", settings)
    }

    @Test func contestsThatAreOverAreTheNextRunsAndThenSomebodysTrouble() throws {
        #expect(findings(at: 0) == ["ok mode: live", "ok contests: no competition is over and unsettled"])
        try hall.contest(of: ["a", "b"])
        try hall.contest(.challenge, of: ["a", "b"])
        #expect(findings(at: -60).contains("ok next: the next competition ends 2026-01-05 12:00"))
        #expect(findings(at: 60).last == "ok contests: 1 competition for the next run")
        #expect(findings(at: 600).last
            == "warning contests: 1 competition over for more than 5m and not settled (1); its log says what is in the way: jobhost logs end")
        #expect(findings(at: 600, #""mode": "shadow""#).last
            == "warning contests: 1 competition over for more than 5m and not settled (1); mode is shadow")
        try hall.run()
        #expect(findings(at: 600).last == "ok contests: no competition is over and unsettled")
    }
}
