import JobCore
import JobJSON
import Testing

@testable import JobHost

struct APIJSONTests {
    struct Sample: Codable, Equatable {
        var fireTime: Instant
        var durationUs: Int64?
        var note: String?
        var counts: [String: Int64]
        var settings: JSON
        var outcomes: [Outcome]
        var biggest: UInt64
    }

    @Test func namesInstantsAndNullsHaveOneForm() throws {
        let sample = Sample(
            fireTime: Instant(milliseconds: 1_777_888_800_120), durationUs: nil, note: nil, counts: ["myJob": 1, "nothing_to_do": 2],
            settings: .object(["camelCase": .number("1.0e+2")]), outcomes: [.nothingToDo], biggest: .max)
        let json = try APIJSON.value(of: sample)
        #expect(
            json.canonicalText
                == #"{"biggest":18446744073709551615,"counts":{"myJob":1,"nothing_to_do":2},"duration_us":null,"fire_time":"2026-05-04T10:00:00.120Z","note":null,"outcomes":["nothing_to_do"],"settings":{"camelCase":1.0e+2}}"#
        )
        #expect(try APIJSON.decode(Sample.self, from: json) == sample)
    }

    @Test(arguments: [
        (#"{"payload":1,"kee":"x"}"#, "unknown field \"kee\"", "did you mean \"key\"?"),
        (#"{"delayMs":1}"#, "unknown field \"delayMs\"", "did you mean \"delay_ms\"?"),
        (#"{"zzzzzzzzz":1}"#, "unknown field \"zzzzzzzzz\"", "allowed: payload, key, at, delay_ms, expires, expires_ms, priority, reason"),
        (#"{"at":5}"#, "at: expected an instant such as \"2027-01-01T00:00:00Z\", found 5", nil),
        (#"{"key":["a"]}"#, "key: expected a string, found array", nil),
        (#"{"priority":9223372036854775808}"#, "priority: expected a whole number from -9223372036854775808 to 9223372036854775807, found 9223372036854775808", nil),
        (#""text""#, "expected an object, found \"text\"", nil),
    ])
    func wrongFieldsAreNamed(_ text: String, _ message: String, _ hint: String?) throws {
        let json = try JSON(parsing: text)
        let error = #expect(throws: FieldError.self) { try APIJSON.decode(API.EnqueueBody.self, from: json) }
        #expect(error?.description == message)
        #expect(error?.hint == hint)
    }

    @Test func answersMayGrow() throws {
        let json = try JSON(parsing: #"{"done":true,"something_new":{"a":1}}"#)
        #expect(try APIJSON.decode(API.Done.self, from: json).done)
    }

    @Test func passwordsInStoreAddressesAreMasked() {
        #expect(maskingPassword("postgresql://u:p@s/w@h/db?x=1") == "postgresql://u:***@h/db?x=1")
        #expect(maskingPassword("postgresql://u:p%40ss@h:5432/db") == "postgresql://u:***@h:5432/db")
        #expect(maskingPassword("postgresql://u@h/db") == "postgresql://u@h/db")
        #expect(maskingPassword("sqlite:/var/a@b:c.db") == "sqlite:/var/a@b:c.db")
    }

    @Test func percentEncodingGoesBothWays() {
        #expect(percentEncoded("a b/é+") == "a%20b%2F%C3%A9%2B")
        #expect(percentDecoded("a%20b%2F%C3%A9+") == "a b/é+")
        #expect(percentDecoded("%") == nil)
        #expect(percentDecoded("%f") == nil)
        #expect(percentDecoded("%ff") == nil)
    }
}
