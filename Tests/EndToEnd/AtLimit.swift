import Testing

/// What has a limit ends at it, by the times that the host itself has recorded: not before, and not as late as if the limit
/// had been forgotten or another one taken. (A machine that is full lets a host wait for its processor.)
func expectEnd(
    after milliseconds: Int, atLimit limit: Int, _ what: String = "", sourceLocation: SourceLocation = #_sourceLocation
) {
    // What the host measures by one clock is recorded by another one, in whole milliseconds.
    #expect((limit - 5...limit + 4_000).contains(milliseconds), "\(what) ended after \(milliseconds)ms, its limit is \(limit)ms", sourceLocation: sourceLocation)
}
