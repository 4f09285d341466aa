import SQL

@testable import ExchangeKit

/// An empty exchange in memory.
func emptyExchange() throws -> Exchange {
    let exchange = Exchange(
        connection: try SQLiteConnection(path: ":memory:"), place: "memory", statements: StatementSet([:]))
    try exchange.createIfEmpty(.simulation, at: 0)
    return exchange
}
