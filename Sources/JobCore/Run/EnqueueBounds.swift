/// What every door to a queue holds a run to: the CLI, the API, the inbox in the store, a plugin's `enqueue`.
public enum EnqueueBounds {
    public static let priority = -1_000...1_000
    /// Bytes: JOB_MAX_KEY of job_abi.h.
    public static let longestKey = 512
    /// Bytes.
    public static let longestPayload = 256 << 10
    /// How far ahead a run may be put off, and how long it may wait from then on. Beyond it lie seconds taken for
    /// milliseconds.
    public static let farthest = Duration.seconds(366 * 86_400)

    /// A clause for whoever asked; nil: nothing is wrong. An empty key is none.
    ///
    /// - Parameter expires: from when on it is not to be started; it may have passed, if only after `due`.
    public static func problem(priority: Int, key: String?, due: Instant, expires: Instant? = nil, now: Instant) -> String? {
        if !Self.priority.contains(priority) {
            return "priority is \(priority); allowed is \(Self.priority.lowerBound) … \(Self.priority.upperBound)"
        }
        if let key, key.isEmpty || key.utf8.count > longestKey {
            return "a unique key has 1 … \(longestKey) bytes; this one has \(key.utf8.count)"
        }
        if due > now + farthest {
            return "it is due at \(due.rfc3339), more than \(farthest.components.seconds / 86_400) days from now"
        }
        if let expires, expires <= due { return "it expires at \(expires.rfc3339), which is not after \(due.rfc3339), when it is due" }
        if let expires, expires > max(due, now) + farthest {
            return "it expires at \(expires.rfc3339), more than \(farthest.components.seconds / 86_400) days \(due > now ? "after it is due" : "from now")"
        }
        return nil
    }
}
