import Testing

/// What has a limit ends at it, by the times that the host itself has recorded: not before, and not as late as if the limit
/// had been forgotten or taken three times.
func expectEnd(
    after milliseconds: Int, atLimit limit: Int, _ what: String = "", sourceLocation: SourceLocation = #_sourceLocation
) {
    // What the host measures by one clock is recorded by another one, in whole milliseconds.
    #expect((limit - 5...limit + 1_500).contains(milliseconds), "\(what) ended after \(milliseconds)ms, its limit is \(limit)ms", sourceLocation: sourceLocation)
}
