import JobCore
import JobStore

@testable import JobHost

/// Runs that workers are sent ahead of their instant: they begin by the workers' own clocks, or come back.
extension SimulatedWorld {
    mutating func sendAhead(_ request: AttemptRequest) {
        guard let notBefore = request.notBefore, let row = store.rows[request.run] else {
            return faults.append("run \(request.run) was sent ahead without a claim")
        }
        if notBefore <= now.wall { faults.append("run \(request.run) was sent ahead at or after its instant") }
        if row.state != .running || row.epoch != epoch || row.fence != request.fence { faults.append("run \(request.run) was sent ahead without a claim") }
        if sent[request.run] != nil || room[request.run] != nil { faults.append("run \(request.run) was sent ahead twice") }
        note("send run \(request.run) of \(request.job) ahead, for \(notBefore.rfc3339.dropFirst(14).dropLast())")
        if breakers[request.job] != nil {
            permits[request.run] = breakers[request.job]!.begin(now.wall)
            if permits[request.run] == nil { faults.append("run \(request.run) was sent ahead though the breaker is \(breakers[request.job]!.word)") }
        }
        sent[request.run] = request
        // Not every worker has time for it.
        if !isPrompt, chance(scenario.isDay ? 1 : 15) { return startsBack(request.run) }
        ahead.add(
            RunFrame(
                run: request.run, instance: 1, attempt: 1, trigger: request.trigger, fireTime: request.fireTime, timeout: .zero,
                fence: request.fence, idempotencyKey: "", notBefore: Now(wall: notBefore, monotonic: now.monotonic + (notBefore - now.wall))), now: now)
    }

    /// The worker obeys at once; the host hears of it later. What has begun goes on.
    mutating func takeBack(_ run: RunID) {
        note("run \(run) is taken back")
        if ahead.remove(run) { startsBack(run) }
    }

    private mutating func startsBack(_ run: RunID) {
        comingBack.insert(run)
        if scenario.isDay { day.plan(.work(run), at: now.monotonic + .milliseconds(1)) }
    }

    mutating func comesBack(_ run: RunID) {
        comingBack.remove(run)
        guard let request = sent.removeValue(forKey: run) else { return }
        if let permit = permits.removeValue(forKey: run) { breakers[request.job]?.giveBack(permit) }
        note("run \(run) comes back")
        send(.returned(run: run))
    }

    /// At their instants, whatever the host does.
    mutating func beginDue() {
        for verdict in ahead.due(now: now) {
            switch verdict {
            case .giveBack(let run): startsBack(run)
            case .begin(let frame): if let request = sent.removeValue(forKey: frame.run) { start(request) }
            }
        }
    }
}
