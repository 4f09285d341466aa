import JobConfig
import JobStore

extension StoreOperations {
    /// `jobhost store migrate`. Both ends are this host's: nobody serves them meanwhile.
    static func move(_ request: StoreMoveRequest, _ environment: [String: String]) async throws -> API.StoreMoved {
        let config = try ConfigLoader.load(
            file: request.config, environment: environment, zones: SystemZones(environment: environment))
        var target = config.store
        if let url = request.to { target.url = url }
        guard target.isPostgreSQL else {
            throw CommandError(
                .invalid, "the store to move to is not in PostgreSQL",
                hint: "set [store] url = \"postgresql://…\" in \(request.config), or name it with --to")
        }
        let path = request.file.hasPrefix("/") ? request.file : Machine.system.currentFolder + "/" + request.file
        guard Machine.system.kind(path) == .file else { throw CommandError(.notFound, "there is no file \(path)") }
        let lock: StateLock
        do { lock = try StateLock.acquire(storeFile: path) } catch {
            throw CommandError(.conflict, "\(error)", hint: "stop the host first")
        }
        defer { lock.release() }
        do {
            let moved = try await StoreMove.move(
                fromSQLite: path, to: target.url, schema: target.schema, host: config.host.name)
            return API.StoreMoved(
                place: target.shown, tables: moved.map { API.StoreTable(table: $0.table, rows: $0.rows) })
        } catch let error as StoreError {
            throw CommandError(error)
        }
    }
}
