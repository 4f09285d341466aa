import JobConfig
import JobCore
import JobJSON
import JobStore

// Bodies of POST. `CaseIterable` keys: an unknown field is refused with the nearest name. An
// empty body counts as `{}`.

extension API {
    /// Of commands that need nothing but, perhaps, why.
    public struct ReasonBody: Codable, Sendable {
        /// For the audit.
        public var reason: String?
        enum CodingKeys: CodingKey, CaseIterable { case reason }
        public init(reason: String? = nil) { self.reason = reason }
    }

    public struct ReloadBody: Codable, Sendable {
        /// A config without a job may take the place of one that has some.
        public var allowEmpty: Bool?
        public var reason: String?
        enum CodingKeys: CodingKey, CaseIterable { case allowEmpty, reason }
        public init(allowEmpty: Bool? = nil, reason: String? = nil) {
            self.allowEmpty = allowEmpty
            self.reason = reason
        }
    }

    public struct RollbackBody: Codable, Sendable {
        /// The first digits of a library's sha256, at least 4; none: the library before.
        public var hash: String?
        public var reason: String?
        enum CodingKeys: CodingKey, CaseIterable { case hash, reason }
        public init(hash: String? = nil, reason: String? = nil) {
            self.hash = hash
            self.reason = reason
        }
    }

    public struct TriggerBody: Codable, Sendable {
        public var payload: JSON?
        public var reason: String?
        enum CodingKeys: CodingKey, CaseIterable { case payload, reason }
        public init(payload: JSON? = nil, reason: String? = nil) {
            self.payload = payload
            self.reason = reason
        }
    }

    public struct EnqueueBody: Codable, Sendable {
        /// Default `{}`.
        public var payload: JSON?
        /// At most one live run of the job has it.
        public var key: String?
        /// Not before.
        public var at: Instant?
        /// From now; not together with `at`.
        public var delayMs: Int64?
        /// Not started from then on.
        public var expires: Instant?
        /// From when it is due; not together with `expires`.
        public var expiresMs: Int64?
        public var priority: Int?
        public var reason: String?
        enum CodingKeys: CodingKey, CaseIterable { case payload, key, at, delayMs, expires, expiresMs, priority, reason }
        public init(
            payload: JSON? = nil, key: String? = nil, at: Instant? = nil, delayMs: Int64? = nil,
            expires: Instant? = nil, expiresMs: Int64? = nil, priority: Int? = nil, reason: String? = nil
        ) {
            self.payload = payload
            self.key = key
            self.at = at
            self.delayMs = delayMs
            self.expires = expires
            self.expiresMs = expiresMs
            self.priority = priority
            self.reason = reason
        }
    }

    public struct BreakerBody: Codable, Sendable {
        public enum Action: String, Codable, CaseIterable, Sendable { case open, close, disable, reset }
        public var action: Action
        /// With `open` only: until then; `null`: until somebody closes it.
        public var until: Instant?
        public var reason: String?
        enum CodingKeys: CodingKey, CaseIterable { case action, until, reason }
        public init(action: Action, until: Instant? = nil, reason: String? = nil) {
            self.action = action
            self.until = until
            self.reason = reason
        }
    }

    public struct EnableBody: Codable, Sendable {
        /// true: forget what an operator decided, the config counts again.
        public var asConfigured: Bool?
        public var reason: String?
        enum CodingKeys: CodingKey, CaseIterable { case asConfigured, reason }
        public init(asConfigured: Bool? = nil, reason: String? = nil) {
            self.asConfigured = asConfigured
            self.reason = reason
        }
    }

    public struct BackfillBody: Codable, Sendable {
        /// Fires at or after.
        public var from: Instant
        /// Fires before.
        public var to: Instant
        public var dryRun: Bool?
        public var reason: String?
        enum CodingKeys: CodingKey, CaseIterable { case from, to, dryRun, reason }
        public init(from: Instant, to: Instant, dryRun: Bool? = nil, reason: String? = nil) {
            self.from = from
            self.to = to
            self.dryRun = dryRun
            self.reason = reason
        }
    }
}
