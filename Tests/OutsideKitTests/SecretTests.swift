import Foundation
import JobKit
import Testing

@testable import OutsideKit

@Suite struct SecretTests {
    @Test func `A secret prints as dots, wherever it is printed`() {
        let secret = Secret("hunter2hunter2")
        var dumped = ""
        dump(secret, to: &dumped)
        struct Holder { var key: Secret }
        for text in ["\(secret)", String(reflecting: secret), "\(Holder(key: secret))", "\([secret])", dumped] {
            #expect(!text.contains("hunter2"), "\(text)")
        }
        #expect(secret.reveal == "hunter2hunter2")
    }

    @Test func `It comes from a file's first line or from the environment`() throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("secret-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        try "abc123 \nsecond line\n".write(toFile: path, atomically: true, encoding: .utf8)
        #expect(try Secret(from: "file:\(path)", key: "api_key").reveal == "abc123")
        setenv("OUTSIDE_TEST_KEY", "fromenv", 1)
        defer { unsetenv("OUTSIDE_TEST_KEY") }
        #expect(try Secret(from: "env:OUTSIDE_TEST_KEY", key: "api_key").reveal == "fromenv")
    }

    @Test func `A credential written into the settings is refused without repeating it`() {
        for (source, reason) in [
            ("NhqPtmdSJYdKjVHjA7PZ",
             "api_key: write \"file:\" and a path or \"env:\" and the name of a variable, not the credential itself"),
            ("file:/nowhere/key", "api_key: cannot read the file /nowhere/key"),
            ("env:NO_SUCH_VARIABLE", "api_key: the environment has no NO_SUCH_VARIABLE; list it in the plugin's env"),
        ] {
            let failure = #expect(throws: JobFailure.self) { _ = try Secret(from: source, key: "api_key") }
            #expect(failure?.text == reason)
        }
    }

    @Test func `Texts of others lose credentials and signatures`() {
        let redactor = Redactor([Secret("k3y/with+signs"), Secret("k3y/with+signs-longer"), Secret("abc")])
        for (text, expected) in [
            ("key k3y/with+signs.", "key •••."),
            ("k3y/with+signs-longer", "•••"),
            ("sent k3y%2Fwith%2Bsigns", "sent •••"),
            ("GET /api?symbol=X&signature=9f8e&timestamp=1", "GET /api?symbol=X&signature=•••&timestamp=1"),
            ("\"apiKey=zz\" refused", "\"apiKey=•••\" refused"),
            ("abc is too short to be one; design=blue", "abc is too short to be one; design=blue"),
        ] {
            #expect(redactor.redact(text) == expected)
        }
    }
}
