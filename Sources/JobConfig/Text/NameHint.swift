import NearestName

/// "did you mean 'x'?", else "allowed: a, b, c", else nil.
func nameHint(_ name: String, among allowed: [String]) -> String? {
    if let nearest = nearestName(name, among: allowed) { return "did you mean '\(nearest)'?" }
    guard !allowed.isEmpty else { return nil }
    let shown = allowed.sorted().prefix(30)
    return "allowed: " + shown.joined(separator: ", ") + (allowed.count > shown.count ? ", …" : "")
}
