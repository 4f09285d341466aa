import JobCore

/// `health` of a job.
struct HealthReader {
    let faults: Faults

    func read(_ section: SectionReader, into policy: inout HealthPolicy) {
        if let warning = section.section(HealthKeys.warning, keys: HealthKeys.ofWarning) { read(warning, HealthKeys.ofWarning, into: &policy.warning) }
        if let critical = section.section(HealthKeys.critical, keys: HealthKeys.ofCritical) {
            read(critical, HealthKeys.ofCritical, into: &policy.critical)
        }
    }

    private func read(_ section: SectionReader, _ keys: [ConfigKey], into bounds: inout HealthBounds) {
        for key in keys {
            switch key.name {
            case "success_age": limit(section, key, &bounds.successAge)
            case "failing_for": limit(section, key, &bounds.failingFor)
            case "duration": limit(section, key, &bounds.duration)
            case "errors_per_hour": if let value = section.integer(key) { bounds.errorsPerHour = value == 0 ? nil : value }
            case "breaker":
                if let word = section.word(key) { bounds.breaker = HealthBounds.BreakerState(rawValue: word) }
            default: if let table = section.subtable(key) { bounds.metrics = metrics(table) }
            }
        }
    }

    private func limit(_ section: SectionReader, _ key: ConfigKey, _ value: inout Duration?) {
        switch section.limit(key) {
        case .unlimited: value = nil
        case .duration(let limit): value = limit
        case nil: break
        }
    }

    private func metrics(_ table: ConfigTable) -> [String: Double] {
        var metrics: [String: Double] = [:]
        for (name, entry) in table.sorted {
            switch entry.value.content {
            case .integer(let number): metrics[name] = Double(number)
            case .float(let literal) where Double(literal)?.isFinite == true: metrics[name] = Double(literal)
            default: faults.add(entry.value.position, "the bound of '\(shownName(name))' must be a finite number, found \(entry.value.found)")
            }
        }
        return metrics
    }
}
