import JobJSON

/// An error as one sentence, decoding errors with their place: `limits.max: a whole number
/// was expected, not a string`.
func describe(_ error: any Error) -> String {
    let context: DecodingError.Context
    switch error as? DecodingError {
    case .typeMismatch(_, let found), .valueNotFound(_, let found), .keyNotFound(_, let found), .dataCorrupted(let found):
        context = found
    default: return "\(error)"
    }
    let path = PlainRules().text(of: context.codingPath)
    return path.isEmpty ? context.debugDescription : "\(path): \(context.debugDescription)"
}
