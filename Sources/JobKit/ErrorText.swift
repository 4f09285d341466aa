import JobJSON

/// An error as one sentence, decoding errors with their place: `limits.max: a whole number
/// was expected, not a string`.
///
/// - Parameter shown: the place as the reader knows it.
func describe(_ error: any Error, at shown: ([any CodingKey]) -> [any CodingKey] = { $0 }) -> String {
    let context: DecodingError.Context
    switch error as? DecodingError {
    case .typeMismatch(_, let found), .valueNotFound(_, let found), .keyNotFound(_, let found), .dataCorrupted(let found):
        context = found
    default: return "\(error)"
    }
    let path = PlainRules().text(of: shown(context.codingPath))
    return path.isEmpty ? context.debugDescription : "\(path): \(context.debugDescription)"
}
