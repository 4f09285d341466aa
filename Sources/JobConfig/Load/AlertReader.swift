import JobCore

/// `[alerts]`: who is told, and when.
struct AlertReader {
    private let run: LoadRun
    private let section: SectionReader

    init(_ table: ConfigTable?, run: LoadRun) {
        self.run = run
        section = SectionReader(table ?? ConfigTable(), title: "[alerts]", keys: AlertKeys.all, faults: run.faults)
    }

    func alerts() -> AlertSettings {
        var alerts = AlertSettings()
        for webhook in section.strings(AlertKeys.webhooks) ?? [] {
            do {
                alerts.webhooks.append(try WebhookURL(webhook.text))
            } catch {
                run.faults.add(webhook.position, "'webhooks': \(error.message)", hint: error.hint)
            }
        }
        alerts.command = (section.strings(AlertKeys.command) ?? []).map(\.text)
        alerts.secret = secret()
        if let word = section.word(AlertKeys.level) { alerts.level = word == "critical" ? .critical : .warning }
        if let value = section.duration(AlertKeys.gather) { alerts.gather = value }
        switch section.limit(AlertKeys.again) {
        case .unlimited: alerts.again = nil
        case .duration(let value): alerts.again = value
        case nil: break
        }
        return alerts
    }

    private func secret() -> AccessToken? {
        guard let value = section.value(AlertKeys.secret) else { return nil }
        guard case .string(let text) = value.content, text.hasPrefix("file:"), text.count > 5 else {
            run.faults.add(value.position, "'secret' must be \"file:\" and the path of a file that holds it")
            return nil
        }
        let path = Paths.absolute(String(text.dropFirst(5)), in: run.folder)
        do {
            let bytes = try run.machine.readFile(path, 4_096)
            var secret = Substring(String(decoding: bytes, as: UTF8.self))
            while let last = secret.last, last.isWhitespace { secret.removeLast() }
            if secret.isEmpty { run.faults.add(value.position, "the secret's file \(path) is empty") }
            return AccessToken(name: "alerts", secret: String(secret))
        } catch {
            run.faults.add(value.position, "cannot read the secret's file \(path): \(error.reason)")
            return nil
        }
    }
}
