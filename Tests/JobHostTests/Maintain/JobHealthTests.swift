import JobCore
import Testing

@testable import JobHost

/// The rules of `health`, one by one.
struct JobHealthTests {
    private let now = Instant(seconds: 1_000_000)

    private func facts(_ edit: (inout JobHealth.Facts) -> Void = { _ in }) -> JobHealth.Facts {
        var facts = JobHealth.Facts(
            isEnabled: true, badSettings: nil, lastSuccess: now - .seconds(10), failingSince: nil, lastDuration: .seconds(1), running: [],
            errorsLastHour: 0, breaker: "closed", metrics: [:], since: now - .seconds(5_000))
        edit(&facts)
        return facts
    }
    private func health(_ policy: HealthPolicy = HealthPolicy(), _ edit: (inout JobHealth.Facts) -> Void = { _ in }) -> [String] {
        JobHealth(of: facts(edit), by: policy, now: now).reasons.map { "\($0.grade.rawValue) \($0.rule): \($0.text)" }
    }

    @Test func aJobThatWorksIsHealthy() {
        #expect(JobHealth(of: facts(), by: HealthPolicy(), now: now).grade == .healthy)
        #expect(health().isEmpty)
    }

    @Test func theDefaultsGradeBreakerErrorsAndLastingFailure() {
        #expect(health { $0.breaker = "half_open" } == ["warning breaker: its breaker is half-open"])
        #expect(health { $0.breaker = "open" } == ["critical breaker: its breaker is open"])
        // Somebody wanted it so, whichever bounds there are; "none" is not looked at.
        #expect(health { $0.breaker = "forced_open" } == ["warning breaker: its breaker is held open"])
        var policy = HealthPolicy()
        policy.warning.breaker = nil
        let held = { (facts: inout JobHealth.Facts) in (facts.breaker, facts.breakerReason) = ("forced_open", "by root: the bank is down") }
        #expect(health(policy, held) == ["warning breaker: its breaker is held open by root: the bank is down"])
        policy.critical.breaker = nil
        #expect(health(policy, held) == [])
        #expect(health { $0.breaker = "disabled" }.isEmpty)
        #expect(health { $0.errorsLastHour = 4 }.isEmpty)
        #expect(health { $0.errorsLastHour = 5 } == ["warning errors_per_hour: 5 attempts failed within the last hour"])
        #expect(health { $0.errorsLastHour = 20 } == ["critical errors_per_hour: 20 attempts failed within the last hour"])
        #expect(health { $0.failingSince = now - .seconds(59) }.isEmpty)
        #expect(health { $0.failingSince = now - .seconds(60) } == ["warning failing_for: it has been failing for 1m"])
        #expect(health { $0.failingSince = now - .seconds(3_600) } == ["critical failing_for: it has been failing for 1h"])
    }

    /// What Reconciler needs: five rules with two bounds each.
    @Test func everyRuleHasTwoBounds() {
        var policy = HealthPolicy()
        policy.warning = HealthBounds(successAge: .seconds(60), duration: .seconds(10), errorsPerHour: 5, breaker: .halfOpen, metrics: ["gap": 1])
        policy.critical = HealthBounds(successAge: .seconds(300), duration: .seconds(30), errorsPerHour: 20, breaker: .open, metrics: ["gap": 5])
        #expect(health(policy).isEmpty)
        #expect(health(policy) { $0.lastSuccess = now - .seconds(60) } == ["warning success_age: its last success was 1m ago"])
        #expect(health(policy) { $0.lastSuccess = now - .seconds(301) } == ["critical success_age: its last success was 5m1s ago"])
        #expect(health(policy) { $0.lastSuccess = nil } == ["critical success_age: it has not succeeded since the start 1h23m ago"])
        #expect(health(policy) { $0.lastDuration = .seconds(10) } == ["warning duration: its last run took 10s"])
        #expect(health(policy) { $0.running = [now - .seconds(31)] } == ["critical duration: a run has taken 31s so far"])
        #expect(health(policy) { $0.metrics = ["gap": 1] }.isEmpty)
        #expect(health(policy) { $0.metrics = ["gap": 1.5] } == ["warning metrics.gap: gap is 1.5, above 1"])
        #expect(health(policy) { $0.metrics = ["gap": 6] } == ["critical metrics.gap: gap is 6, above 5"])
    }

    @Test func theWorstComesFirstAndEachRuleSpeaksOnce() {
        let found = JobHealth(of: facts { $0.breaker = "open"; $0.errorsLastHour = 7 }, by: HealthPolicy(), now: now)
        #expect(found.grade == .critical)
        #expect(found.reasons.map(\.rule) == ["breaker", "errors_per_hour"])
    }

    @Test func whatIsOffIsHealthyAndBadSettingsAreCritical() {
        #expect(health { $0.isEnabled = false; $0.breaker = "open" }.isEmpty)
        #expect(health { $0.isEnabled = false; $0.badSettings = "no url" } == ["critical settings: the entry refused its settings: no url"])
    }
}
