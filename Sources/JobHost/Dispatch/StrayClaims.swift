import JobStore

/// Finds claims that this life of the host has made and knows nothing of: they were committed, and the answer was lost.
/// Nothing of them has begun, so they can be given back. One that is seen twice, with no question under way from before
/// the first time, is one. Pure.
struct StrayClaims {
    /// With the number of the last question when each was seen first.
    private var candidates: [HeldClaim: Int64] = [:]

    /// false: nothing was seen the last time that nobody knows.
    var hasCandidates: Bool { !candidates.isEmpty }

    /// - Parameters:
    ///   - unknown: claims of this life in the store, without those that it knows or has settled.
    ///   - lastQuestion: the number of the last question that may claim something.
    ///   - underWay: those without an answer.
    /// - Returns: what is to be given back.
    mutating func look(unknown: [HeldClaim], lastQuestion: Int64, underWay: some Sequence<Int64>) -> [HeldClaim] {
        let oldest = underWay.min() ?? .max
        let strays = unknown.filter { candidates[$0].map { $0 < oldest } ?? false }
        candidates = Dictionary(uniqueKeysWithValues: unknown.map { ($0, candidates[$0] ?? lastQuestion) })
        return strays
    }
}
