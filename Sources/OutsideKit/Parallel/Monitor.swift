import Glibc
import JobCore

/// A value behind a lock, and waiting for it to become something. Waits are measured on the
/// monotonic clock.
final class Monitor<Value: Sendable>: @unchecked Sendable {
    private var value: Value
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

    init(_ value: Value) {
        self.value = value
        pthread_mutex_init(mutex, nil)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(condition, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    func withLock<Result>(_ body: (inout Value) throws -> Result) rethrows -> Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body(&value)
    }

    /// Changes the value and wakes all who wait for it.
    func change<Result>(_ body: (inout Value) throws -> Result) rethrows -> Result {
        defer { pthread_cond_broadcast(condition) }
        return try withLock(body)
    }

    /// Waits until `body` gives something, asking it again after every change.
    /// - Returns: nil after `limit` (nil: none).
    func wait<Result>(upTo limit: Duration?, _ body: (inout Value) -> Result?) -> Result? {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        var end = timespec()
        if let limit {
            clock_gettime(CLOCK_MONOTONIC, &end)
            let (seconds, rest) = limit.microseconds.quotientAndRemainder(dividingBy: 1_000_000)
            let nanoseconds = Int64(end.tv_nsec) + rest * 1_000
            end.tv_sec = Int(Int64(end.tv_sec).saturatingAdd(seconds).saturatingAdd(nanoseconds / 1_000_000_000))
            end.tv_nsec = Int(nanoseconds % 1_000_000_000)
        }
        while true {
            if let result = body(&value) { return result }
            if limit == nil {
                pthread_cond_wait(condition, mutex)
            } else if pthread_cond_timedwait(condition, mutex, &end) == ETIMEDOUT {
                return body(&value)
            }
        }
    }
}
