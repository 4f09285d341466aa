/// Pieces of a config.
enum Toml {
    static func plugin(_ name: String, _ keys: String = "") -> String {
        "[plugins.\(name)]\nlibrary = \"lib\(name).so\"\n\(keys)\n"
    }

    /// A job of the plugin's only entry.
    static func job(_ name: String, of plugin: String, _ keys: String = "schedule = \"none\"", entry: String = "run") -> String {
        "[jobs.\(name)]\nplugin = \"\(plugin)\"\nentry = \"\(entry)\"\n\(keys)\n"
    }

    /// One attempt, no breaker, by hand only.
    static let once = "schedule = \"none\"\nretry = { max_attempts = 1 }\nbreaker = false"

    /// Each message of an alert as a line of the test's beacon that begins with "alert".
    static let alertsToBeacon = """
        [alerts]
        gather = "0s"
        command = ["/bin/sh", "-c", "line=$(tr '\\n' ' '); echo \\"alert $line\\" > beacon"]

        """
}
