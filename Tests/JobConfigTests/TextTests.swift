import JobConfig
import JobCore
import NearestName
import Testing

@Suite struct TextTests {
    @Test(arguments: [
        ("300ms", 300_000), ("45s", 45_000_000), ("5m", 300_000_000), ("1h", 3_600_000_000), ("1d", 86_400_000_000), ("250us", 250),
        ("1h30m", 5_400_000_000), ("1d2h3m4s5ms6us", 93_784_005_006), ("1.5s", 1_500_000), ("0.25h", 900_000_000), ("0s", 0), ("106751991d", 9_223_372_022_400_000_000),
    ])
    func aDurationIsNumbersWithUnits(text: String, microseconds: Int64) {
        #expect(parseDuration(text) == .microseconds(microseconds))
    }

    @Test(arguments: [
        "", "5", "s", "5 s", " 5s", "5s ", "-5s", "+5s", "5S", "5min", "5s5s", "5m1h", "1.s", ".5s", "1..5s", "0.1us", "1e3s", "106751992d",
        "9999999999999999d", "5sm", "٥s", "1w",
    ])
    func whatIsNoDurationIsRefused(text: String) {
        #expect(parseDuration(text) == nil)
    }

    @Test(arguments: ["0s", "300ms", "1h30m", "1d2h3m4s5ms6us", "45s"])
    func aDurationIsWrittenAsItIsRead(text: String) throws {
        #expect(durationText(try #require(parseDuration(text))) == text)
    }

    @Test(arguments: [
        ("512B", 512), ("1kB", 1_000), ("1KB", 1_000), ("256MB", 256_000_000), ("256MiB", 268_435_456), ("1.5GB", 1_500_000_000), ("2TiB", 2_199_023_255_552),
        ("0B", 0),
    ] as [(String, UInt64)])
    func aSizeIsANumberWithAUnit(text: String, bytes: UInt64) {
        #expect(parseSize(text) == bytes)
    }

    @Test(arguments: ["", "256", "256M", "256mb", "MB", "-1MB", "0.1B", "99999999TiB", "1 MB", "1MBx"])
    func whatIsNoSizeIsRefused(text: String) {
        #expect(parseSize(text) == nil)
    }

    @Test func aSizeIsWrittenInItsLargestUnit() {
        #expect([0, 512, 256_000_000, 1 << 28, 1_500_000].map { sizeText($0) } == ["0B", "512B", "256MB", "256MiB", "1500kB"])
    }

    @Test(arguments: [
        ("timout", "timeout"), ("tiemout", "timeout"), ("Timeout", "timeout"), ("timeouts", "timeout"), ("retyr", "retry"), ("kill-grace", "kill_grace"),
        ("jiter", "jitter"),
    ])
    func theNearestNameIsFound(name: String, nearest: String) {
        #expect(nearestName(name, among: ["retry", "timeout", "kill_grace", "jitter", "timezone"]) == nearest)
    }

    @Test(arguments: ["", "x", "schedule", "zzzzzzz", String(repeating: "timeout", count: 20)])
    func whatIsFarHasNoNearestName(name: String) {
        #expect(nearestName(name, among: ["retry", "timeout", "kill_grace", "jitter"]) == nil)
    }

    @Test func aTieGoesToTheFirst() {
        #expect(nearestName("caf", among: ["cat", "car"]) == "cat")
    }
}

@Suite struct SystemZonesTests {
    private let zones = SystemZones(environment: [:])

    @Test func zonesComeFromTheSystem() throws {
        let berlin = try zones.zone(named: "Europe/Berlin")
        #expect(berlin.offset(at: try #require(Instant(rfc3339: "2026-07-01T00:00:00Z"))) == 7_200)
        #expect(try zones.zone(named: "Europe/Berlin") == berlin)
        #expect(try zones.zone(named: "UTC").offset(at: .epoch) == 0)
    }

    @Test(arguments: ["", "../passwd", "/etc/passwd", "Europe/../../etc/passwd", "Europe", "Europe/", "/Europe/Berlin", ".", "tzdata.zi", "zone.tab", "Europe//Berlin", "Eu rope", "Europe/Berlin\u{0}"])
    func noNameLeadsOutOfTheDatabase(name: String) {
        #expect(throws: ZoneError.self) { try zones.zone(named: name) }
    }

    @Test func aMisspeltNameGetsASuggestion() {
        #expect(throws: ZoneError.unknown(name: "Europe/Berln", nearest: "Europe/Berlin")) { try zones.zone(named: "Europe/Berln") }
        #expect(zones.names().contains("America/New_York"))
    }

    @Test func aFileThatIsNoZoneIsRefused() {
        #expect(throws: ZoneError.self) { try SystemZones(folder: "/etc").zone(named: "passwd") }
        #expect(throws: ZoneError.self) { try SystemZones(folder: "/nowhere").zone(named: "Europe/Berlin") }
        #expect(throws: Never.self) { try SystemZones(folder: "/nowhere").zone(named: "UTC") }
    }
}
