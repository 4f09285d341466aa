import JobCore
import Synchronization

/// That something waits, as far as the last calls have said so: a claim need not ask first whether it would find anything.
final class MoreWaits: Sendable {
    private let isKnown = Atomic(false)

    /// Before a claim, which finds out.
    func take() -> Bool { isKnown.exchange(false, ordering: .acquiringAndReleasing) }

    /// Behind a claim of many that got all it asked for there is more, most likely, and the question is not cheap then:
    /// in PostgreSQL it walks past all that was claimed since the last vacuum.
    func claimed(_ claims: WaitingClaims, of limits: [String: WaitingLimit]) {
        let counts = claims.runs.countsByJob
        if limits.contains(where: { counts[$0.key, default: 0] >= max($0.value.most, 16) }) { isKnown.store(true, ordering: .releasing) }
    }

    /// Runs that `body` has inserted, and that can be claimed now.
    func noting(_ body: () async throws -> [(run: RunRecord, inserted: Bool)]) async throws -> [(run: RunRecord, inserted: Bool)] {
        let results = try await body()
        if results.contains(where: { $0.inserted && $0.run.state == .available }) { isKnown.store(true, ordering: .releasing) }
        return results
    }
}
