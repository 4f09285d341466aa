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

    @Test func `It is what the setting holds, or what the variable does that it names`() throws {
        #expect(try Secret(from: "abc123", key: "api_key").reveal == "abc123")
        setenv("OUTSIDE_TEST_KEY", "fromenv", 1)
        defer { unsetenv("OUTSIDE_TEST_KEY") }
        #expect(try Secret(from: "env:OUTSIDE_TEST_KEY", key: "api_key").reveal == "fromenv")
    }

    @Test func `Without a credential it is said what is missing`() {
        for (setting, reason) in [
            ("", "api_key: there is none; write \"file:\" and a path, or \"env:\" and the name of a variable"),
            ("file:keys/binance", "api_key: \"file:\" is read by the host, which has not; here the credential itself is expected"),
            ("env:NO_SUCH_VARIABLE", "api_key: the environment has no NO_SUCH_VARIABLE; list it in the plugin's env"),
        ] {
            let failure = #expect(throws: JobFailure.self) { _ = try Secret(from: setting, key: "api_key") }
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
