import JobJSON

/// What `jobhost schema` asks a job.
public struct SchemaRequest: Codable, Hashable, Sendable {
    public enum Action: String, Codable, Sendable {
        /// Tell the SQL of all that the job needs, each object a finding.
        case print
        /// Tell the rights that the job needs, as SQL.
        case grants
        /// Compare with the database: what is missing, what differs.
        case check
        /// Make what is missing.
        case apply
    }
    public var action: Action
    /// "sqlite" or "postgresql"; nil: of the database in the settings.
    public var dialect: String?
    /// What only a simulation needs, too; with `apply`: a database that is new becomes one.
    public var simulation: Bool
    /// Who gets the rights.
    public var role: String?

    public init(_ action: Action, dialect: String? = nil, simulation: Bool = false, role: String? = nil) {
        self.action = action
        self.dialect = dialect
        self.simulation = simulation
        self.role = role
    }
}

/// An entry that needs tables in a database.
public protocol SchemaEntry: JobEntry {
    /// Answers `jobhost schema`. Has effects with `apply` alone.
    ///
    /// - Parameter answer: is told each object as a finding: the subject is its kind and name ("table
    ///   candles"), the text its SQL (`print`, `grants`), what is the matter with it, or what was done.
    static func schema(_ request: SchemaRequest, settings: Settings, _ answer: DoctorContext) throws
}

extension SchemaEntry {
    /// From where only the settings' type is known.
    static func answer(_ request: [UInt8], settings: Any, _ context: DoctorContext) throws {
        guard let settings = settings as? Settings else { throw JobFailure.permanent("settings of another entry") }
        try schema(try JSON(parsing: request).decode(SchemaRequest.self), settings: settings, context)
    }
}
