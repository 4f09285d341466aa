import JobConfig
import Testing

@testable import JobHost

@Suite("Secrets in what plugins say") struct SecretMaskTests {
    @Test("Every one is hidden, the longer first; the rest stays byte for byte", arguments: [
        ("login with hunter2-and-more failed", "login with *** failed"),
        ("hunter2-a hunter2-and-more", "*** ***"),
        ("hunter2-", "hunter2-"), ("", ""), ("no secret, héllo", "no secret, héllo"),
        ("hhunter2-a", "h***"), ("hunter2-ahunter2-a", "******"),
        ("-----BEGIN KEY-----", "***"), ("the rest of the key", "***"),
        ("short", "short"),
    ])
    func hidden(_ text: String, _ shown: String) {
        let mask = SecretMask(Secrets(["hunter2-a", "hunter2-and-more", "short", "-----BEGIN KEY-----\r\nthe rest of the key\n"]))
        #expect(mask.hiding(text) == shown)
        #expect(mask.hiding(Array(text.utf8)) == Array(shown.utf8))
    }

    @Test func withoutSecretsNothingIsLookedAt() { #expect(SecretMask().hiding("a") == "a") }
}
