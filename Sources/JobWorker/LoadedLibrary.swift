import CLinux
import Glibc
import JobABI
import JobCore
import JobJSON

/// The plugin, loaded and its descriptor checked. Everything read from it is copied.
struct LoadedLibrary {
    struct Entry {
        let raw: UnsafePointer<job_entry>
        let descriptor: EntryDescriptor

        /// nil: it has none, or was compiled before there was one.
        var doctor: (@convention(c) (UnsafeMutableRawPointer?, UnsafePointer<job_context>?, UnsafePointer<job_findings>?) -> Int32)? {
            guard let offset = MemoryLayout<job_entry>.offset(of: \.doctor),
                Int(raw.pointee.struct_size) >= offset + MemoryLayout<UnsafeRawPointer>.size
            else { return nil }
            return raw.pointee.doctor
        }

        /// As `doctor`.
        var schema: (@convention(c) (
            UnsafeMutableRawPointer?, UnsafePointer<job_context>?, job_str, UnsafePointer<job_findings>?
        ) -> Int32)? {
            guard let offset = MemoryLayout<job_entry>.offset(of: \.schema),
                Int(raw.pointee.struct_size) >= offset + MemoryLayout<UnsafeRawPointer>.size
            else { return nil }
            return raw.pointee.schema
        }
    }
    /// Of revision 1: everything before `doctor`.
    private static let leastEntrySize = MemoryLayout<job_entry>.offset(of: \.doctor) ?? MemoryLayout<job_entry>.size

    let descriptor: PluginDescriptor
    let entries: [String: Entry]

    static func load(_ request: LoadRequest) throws(Refusal) -> LoadedLibrary {
        try applyLimits(request)
        guard let handle = dlopen(request.library, RTLD_NOW | RTLD_LOCAL) else {
            throw Refusal(.loadFailed, dlerror().map { String(cString: $0) } ?? "dlopen gave no reason")
        }
        guard let symbol = dlsym(handle, "job_plugin_v\(JOB_ABI_VERSION)") else {
            throw Refusal(
                .noSymbol,
                "the library exports no job_plugin_v\(JOB_ABI_VERSION): it is no plugin, or hides the symbol (see job_abi.h)")
        }
        typealias EntryPoint = @convention(c) () -> UnsafePointer<job_plugin>?
        guard let plugin = unsafeBitCast(symbol, to: EntryPoint.self)() else {
            throw Refusal(.badDescriptor, "job_plugin_v\(JOB_ABI_VERSION) returned NULL: the library refuses to be used")
        }
        return try read(plugin)
    }

    private static func applyLimits(_ request: LoadRequest) throws(Refusal) {
        try limit(CLW_LIMIT_CORE, 0, "core files")
        if request.memoryLimit > 0 { try limit(CLW_LIMIT_DATA, request.memoryLimit, "memory") }
        if request.fileLimit > 0 { try limit(CLW_LIMIT_FILES, request.fileLimit, "open files") }
        guard clw_no_new_privs() == 0 else { throw Refusal(.limits, "no_new_privs: \(reason())") }
    }
    private static func limit(_ which: Int32, _ value: UInt64, _ name: String) throws(Refusal) {
        guard clw_set_limit(which, value) == 0 else {
            throw Refusal(.limits, "the limit of \(name) cannot be set to \(value): \(reason())")
        }
    }
    private static func reason() -> String { String(cString: strerror(errno)) }

    private static func read(_ plugin: UnsafePointer<job_plugin>) throws(Refusal) -> LoadedLibrary {
        // The size first: members beyond it are not the plugin's memory.
        let size = Int(plugin.pointee.struct_size)
        guard size >= MemoryLayout<job_plugin>.size else {
            throw Refusal(
                .badDescriptor,
                "job_plugin.struct_size is \(size), at least \(MemoryLayout<job_plugin>.size) was expected: set it to sizeof(job_plugin)")
        }
        let id = try identifier(plugin.pointee.id, "job_plugin.id")
        let version = try text(plugin.pointee.version, "job_plugin.version", limit: Int(JOB_MAX_ID))
        let description = try text(plugin.pointee.description, "job_plugin.description", limit: Text.maximum)
        let count = plugin.pointee.entry_count
        guard (1 ... UInt32(JOB_MAX_ENTRIES)).contains(count) else {
            throw Refusal(.badDescriptor, "job_plugin.entry_count is \(count); 1 … \(JOB_MAX_ENTRIES) are allowed")
        }
        guard let entryAt = plugin.pointee.entry else {
            throw Refusal(.badDescriptor, "job_plugin.entry is NULL")
        }
        var entries: [String: Entry] = [:]
        var descriptors: [EntryDescriptor] = []
        for index in 0 ..< count {
            guard let raw = entryAt(index) else {
                throw Refusal(.badDescriptor, "job_plugin.entry(\(index)) returned NULL")
            }
            let descriptor = try readEntry(raw, index)
            guard entries.updateValue(Entry(raw: raw, descriptor: descriptor), forKey: descriptor.id) == nil else {
                throw Refusal(.badDescriptor, "two entries have the id '\(descriptor.id)'")
            }
            descriptors.append(descriptor)
        }
        return LoadedLibrary(
            descriptor: PluginDescriptor(
                id: id, version: version, description: description, abi: UInt32(JOB_ABI_VERSION), entries: descriptors),
            entries: entries)
    }

    private static func readEntry(
        _ raw: UnsafePointer<job_entry>, _ index: UInt32
    ) throws(Refusal) -> EntryDescriptor {
        let size = Int(raw.pointee.struct_size)
        guard size >= leastEntrySize else {
            throw Refusal(
                .badDescriptor,
                "entry \(index): struct_size is \(size), at least \(leastEntrySize) was expected: set it to sizeof(job_entry)")
        }
        let id = try identifier(raw.pointee.id, "entry \(index): id")
        guard raw.pointee.run != nil else { throw Refusal(.badDescriptor, "entry '\(id)': run is NULL") }
        return EntryDescriptor(
            id: id,
            description: try text(raw.pointee.description, "entry '\(id)': description", limit: Text.maximum),
            idempotent: raw.pointee.flags & JOB_ENTRY_IDEMPOTENT != 0,
            cancellable: raw.pointee.flags & JOB_ENTRY_CANCELLABLE != 0,
            defaultSchedule: try text(
                raw.pointee.default_schedule, "entry '\(id)': default_schedule", limit: Int(JOB_MAX_KEY)),
            settingsSchema: try schema(raw.pointee.settings_schema, "entry '\(id)': settings_schema"),
            payloadSchema: try schema(raw.pointee.payload_schema, "entry '\(id)': payload_schema"),
            stateVersion: raw.pointee.state_version)
    }

    private static func text(_ text: job_str, _ what: String, limit: Int) throws(Refusal) -> String {
        guard text.size <= UInt64(limit) else {
            throw Refusal(.badDescriptor, "\(what) has \(text.size) bytes; \(limit) are allowed")
        }
        guard let string = Text.exact(text) else {
            throw Refusal(.badDescriptor, "\(what) is not UTF-8 without NUL bytes, or its pointer is NULL")
        }
        return string
    }

    private static func schema(_ text: job_str, _ what: String) throws(Refusal) -> String {
        let string = try Self.text(text, what, limit: Int(JOB_MAX_SCHEMA))
        guard string.isEmpty || text.bytes.flatMap({ JSONText.kind(of: $0) }) == .object else {
            throw Refusal(.badDescriptor, "\(what) is not a JSON object")
        }
        return string
    }

    private static func identifier(_ text: job_str, _ what: String) throws(Refusal) -> String {
        let id = try Self.text(text, what, limit: Int(JOB_MAX_ID))
        let isWord = id.utf8.allSatisfy { byte in
            (UInt8(ascii: "a") ... UInt8(ascii: "z")).contains(byte)
                || (UInt8(ascii: "0") ... UInt8(ascii: "9")).contains(byte)
                || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")
        }
        guard let first = id.utf8.first, isWord, first != UInt8(ascii: "-"), first != UInt8(ascii: "_") else {
            throw Refusal(.badDescriptor, "\(what) is '\(id)'; lower-case letters, digits, '-' and '_' are allowed, the first a letter or digit")
        }
        return id
    }
}
