import ExchangeKit

extension RunReport {
    /// What a run has said at this level, in its order.
    public func texts(_ level: RunNotes.Level) -> [String] { lines.filter { $0.level == level }.map(\.text) }
}
