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
            let isFile = webhook.text.hasPrefix("file:")
            guard let text = isFile ? content(of: webhook.text, at: webhook.position, "'webhooks'", "the webhook's file") : webhook.text else { continue }
            do {
                var url = try WebhookURL(text)
                url.isSecret = isFile
                alerts.webhooks.append(url)
            } catch {
                run.faults.add(webhook.position, "'webhooks': \(isFile ? "the content of \(webhook.text.dropFirst(5)): " : "")\(error.message)", hint: error.hint)
            }
        }
        alerts.caFile = caFile()
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
        guard case .string(let text) = value.content else {
            run.faults.add(value.position, "'secret' must be \"file:\" and the path of a file that holds it")
            return nil
        }
        return content(of: text, at: value.position, "'secret'", "the secret's file").map { AccessToken(name: "alerts", secret: $0) }
    }

    private func caFile() -> String? {
        guard let value = section.value(AlertKeys.caFile), let text = section.string(AlertKeys.caFile) else { return nil }
        let path = Paths.absolute(text, in: run.folder)
        do {
            let bytes = try run.machine.readFile(path, 4 << 20)
            if !String(decoding: bytes, as: UTF8.self).contains("-----BEGIN CERTIFICATE-----") {
                run.faults.add(value.position, "there is no certificate in \(path)", hint: "'ca_file' wants PEM: -----BEGIN CERTIFICATE-----")
            }
        } catch {
            run.faults.add(value.position, "cannot read \(path): \(error.reason)", isOfHost: error.isOfHost)
        }
        return path
    }

    /// Of `file:PATH`, without the space behind it; nil, and a fault, if there is none.
    private func content(of text: String, at position: SourcePosition, _ key: String, _ what: String) -> String? {
        guard text.hasPrefix("file:"), text.count > 5 else {
            run.faults.add(position, "\(key) must be \"file:\" and the path of a file that holds it")
            return nil
        }
        let path = Paths.absolute(String(text.dropFirst(5)), in: run.folder)
        do {
            let bytes = try run.machine.readFile(path, 4_096)
            var content = Substring(String(decoding: bytes, as: UTF8.self))
            while let last = content.last, last.isWhitespace { content.removeLast() }
            if content.isEmpty {
                run.faults.add(position, "\(what) \(path) is empty")
                return nil
            }
            return String(content)
        } catch {
            run.faults.add(position, "cannot read \(what) \(path): \(error.reason)", isOfHost: error.isOfHost)
            return nil
        }
    }
}
