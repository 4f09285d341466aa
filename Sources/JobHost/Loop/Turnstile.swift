/// One at a time, in the order of coming, where an actor's turn ends at each `await`: what has entered finds
/// things as whoever left before it made them. Of one actor alone.
final class Turnstile {
    private var isTaken = false
    private var waiting = FIFO<CheckedContinuation<Void, Never>>()

    /// Every `enter` is followed by one `leave`.
    func enter(isolation: isolated (any Actor)? = #isolation) async {
        guard isTaken else {
            isTaken = true
            return
        }
        // Whoever leaves hands over its place.
        await withCheckedContinuation(isolation: isolation) { waiting.append($0) }
    }

    func leave() {
        if let next = waiting.popFirst() { next.resume() } else { isTaken = false }
    }
}
