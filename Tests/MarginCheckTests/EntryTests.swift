import ExchangeKit
import ExchangeTestKit
import Foundation
import JobKit
import Testing

@testable import MarginCheck

@Suite struct MarginCheckEntryTests {
    @Test(arguments: [
        (#"{"stop_out_level": 100}"#, "stop_out_level (100) has to lie above 0 and below call_level (100)"),
        (#"{"mode": "dry"}"#, #"mode: "dry" is not allowed (one of "off", "shadow", "live")"#),
        (#"{"max_jump": "-1"}"#, "max_jump: -1 is below 0"),
        (#"{"call_levle": 90}"#, "unknown setting 'call_levle' (did you mean 'call_level'?)"),
        (#"{"max_price_age": "soon"}"#, "max_price_age: 'soon' is not a length of time"),
    ])
    func badSettingsAreASentence(_ settings: String, _ sentence: String) throws {
        let said = try #require(TestRun(settings: settings).validate(MarginCheckEntry.self))
        #expect(said.hasPrefix(sentence), "\(said)")
    }

    @Test func offDoesNothing() {
        let test = TestRun(settings: #"{"mode": "off"}"#)
        #expect(test.run(MarginCheckEntry.self) == .nothingToDo)
        #expect(test.text == "mode is off")
    }

    @Test func withoutPositionsThereIsNothingToDo() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "margin-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        let database = "sqlite:" + folder.appending(path: "exchange.db").path
        let location = ExchangeLocation(database: database, lockTimeout: .seconds(60), sql: [:])
        try Exchange.openSimulation(location, statements: StatementSet([:]), at: 0).exchange.close()
        let test = TestRun(settings: #"{"database": "\#(database)"}"#)
        #expect(test.run(MarginCheckEntry.self) == .nothingToDo)
        #expect(test.text == "no account has an open position")
    }
}
