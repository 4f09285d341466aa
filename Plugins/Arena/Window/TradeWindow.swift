import JobCore

/// When agents decide and trade: once in each `length` of market time, which begins at whole
/// multiples of it since 1970 UTC. Several windows that went by unseen are not made up for: agents
/// decide on what is there now.
struct TradeWindow: Hashable, Sendable {
    /// Market time, milliseconds; a multiple of `length`.
    let opens: Int64
    let length: Int64

    /// The window that an instant of market time lies in.
    init(containing clock: Int64, length: Int64) {
        self.length = max(1, length)
        opens = clock.floorDivide(self.length) * self.length
    }

    /// One that was opened before; the length may be another one by now.
    init(opens: Int64, length: Int64) {
        self.opens = opens
        self.length = max(1, length)
    }

    var closes: Int64 { opens + length }

    enum Step: Hashable {
        /// To be traded; `missed`: so many before it, after the last one that was opened, were not.
        case trade(TradeWindow, missed: Int64)
        /// The market has not come to the next one, which opens then (market time).
        case wait(until: Int64)
    }

    /// - Parameter last: when the last one opened; nil: there was none.
    static func next(clock: Int64, length: Int64, last: Int64?) -> Step {
        let window = TradeWindow(containing: clock, length: length)
        guard let last else { return .trade(window, missed: 0) }
        // Another length may have been set meanwhile: the last one lasts as long as it was opened for.
        guard window.opens > last else { return .wait(until: window.closes) }
        return .trade(window, missed: max(0, (window.opens - last) / window.length - 1))
    }
}
