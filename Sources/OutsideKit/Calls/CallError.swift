import JobCore
import JobKit

/// Why a call gave no result. Adapters throw it: they alone know what a peer's answer means.
public struct CallError: Error, Hashable, Sendable, CustomStringConvertible {
    public enum Kind: Hashable, Sendable {
        /// No answer, or one that says nothing about the request: no connection, a time-out,
        /// HTTP 5xx, garbage. Tried again; counted by the breaker.
        case unavailable
        /// The peer asks to be left alone until then; nil: for a while. Nobody calls it before;
        /// not counted by the breaker.
        case throttled(until: Instant?)
        /// The peer is well and refuses this request: no such order. Not tried again; to the
        /// breaker a success.
        case business
        /// The peer is well and refuses us: wrong key, wrong signature. Every other call would
        /// end the same way. Not tried again, not counted.
        case denied
        /// Not called: the breaker is open until then.
        case breakerOpen(until: Instant?)
        /// Not called (again): the run would have to stop before.
        case noTime
    }

    public var kind: Kind
    /// One sentence, without credentials.
    public var text: String
    /// The peer's own number for it; 0: none.
    public var code: Int
    /// The request may have had its effect all the same: ask the peer before sending it again.
    public var resultUnknown: Bool

    public init(_ kind: Kind, _ text: String, code: Int = 0, resultUnknown: Bool = false) {
        self.kind = kind
        self.text = text
        self.code = code
        self.resultUnknown = resultUnknown
    }

    public var description: String { text }

    /// What it means for a run that cannot go on without this call.
    public var jobFailure: JobFailure {
        let number = Int32(clamping: code)
        switch kind {
        case .unavailable, .noTime: return .transient(text, code: number)
        case .throttled(let until): return .transient(text, code: number, notBefore: until?.microseconds)
        case .breakerOpen(let until): return .transient(text, code: number, notBefore: until?.microseconds)
        case .business, .denied: return .permanent(text, code: number)
        }
    }

    /// Whether another attempt may help, and does no harm.
    var isRepeatable: Bool {
        switch kind {
        case .unavailable, .throttled: !resultUnknown
        case .business, .denied, .breakerOpen, .noTime: false
        }
    }

    /// What the breaker hears.
    var outcome: Outcome {
        switch kind {
        case .unavailable: .failed
        case .business: .succeeded
        case .throttled, .denied, .breakerOpen, .noTime: .cancelled
        }
    }
}
