import JobJSON
import Testing

@Suite struct JSONObjectTests {
    @Test func membersKeepTheirOrder() throws {
        let text = #"{"b":1,"a":{"d":2,"c":3}}"#
        let value = try JSON(parsing: text)
        #expect(value.text == text)
        #expect(value.canonicalText == #"{"a":{"c":3,"d":2},"b":1}"#)
    }

    @Test func theOrderDoesNotCountForEquality() {
        let a: JSONObject = ["x": 1, "y": .object(["z": true])]
        let b: JSONObject = ["y": .object(["z": true]), "x": 1]
        #expect(a == b)
        #expect(Set([a, b]).count == 1)
        #expect(a != ["x": 1])
        #expect(a != ["x": 1, "y": .object(["z": false])])
    }

    @Test func aNameIsThereOnceAtItsFirstPlace() {
        var object: JSONObject = ["a": 1, "b": 2, "a": 3]
        #expect(object.keys == ["a", "b"])
        #expect(object["a"] == 3)
        object["a"] = 4
        object["c"] = 5
        object["b"] = nil
        object["none"] = nil
        #expect(JSON.object(object).text == #"{"a":4,"c":5}"#)
    }

    /// Few members are searched, many are indexed: both alike.
    @Test(arguments: [1, 11, 12, 13, 14, 100])
    func membersAreFoundHoweverManyThereAre(count: Int) {
        var object = JSONObject((0..<count).map { ("k\($0)", JSON.integer(Int64($0))) })
        #expect((0..<count).allSatisfy { object["k\($0)"] == .integer(Int64($0)) })
        #expect(object["k\(count)"] == nil)
        object["k0"] = nil
        #expect(object.count == count - 1)
        #expect((1..<count).allSatisfy { object["k\($0)"] == .integer(Int64($0)) })
        object["k0"] = "again"
        #expect(object.keys.last == "k0")
        #expect(object["k0"] == "again")
    }
}
