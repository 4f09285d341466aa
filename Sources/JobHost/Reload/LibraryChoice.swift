/// What an operator, or a canary, has decided about a plugin's library: the builder obeys, as long as it is about
/// what serves, or is on trial, at that moment. Pure.
public enum LibraryChoice: Hashable, Sendable {
    /// `to` serves instead of `from`, which served or was on trial, until the file changes.
    case rollBack(to: LibraryCopy, from: LibraryCopy, by: String, reason: String)
    /// An operator's: this copy, which is the file's, serves; no rollback holds any longer, no canary runs first.
    case serve(LibraryCopy)
    /// A canary's: this copy, which is on trial, has done well and serves.
    case takeOver(LibraryCopy)

    /// Why it is not obeyed; nil: it is. A reload between the decision and now may have put another library
    /// in place, of which nothing has been decided.
    func objection(of name: String, now plugin: LoadedPlugin?) -> String? {
        guard let plugin else { return "\(sentence): plugin \(name) is not in the config any more" }
        let present: [LibraryCopy?]
        let subject: LibraryCopy
        switch self {
        case .rollBack(_, let from, _, _): (subject, present) = (from, [plugin.copy, plugin.canary?.copy])
        case .serve(let copy): (subject, present) = (copy, [plugin.copy, plugin.canary?.copy, plugin.rollback?.insteadOf])
        case .takeOver(let copy): (subject, present) = (copy, [plugin.copy, plugin.canary?.copy])
        }
        if present.contains(subject) { return nil }
        let trial = plugin.canary.map { ", with \($0.copy.sha256.prefix(7)) on trial beside it" } ?? ""
        return "\(sentence): meanwhile library \(plugin.copy.sha256.prefix(7)) has come to serve\(trial)"
    }

    private var sentence: String {
        switch self {
        case .rollBack(let to, let from, let by, _):
            "the rollback by \(by) from library \(from.sha256.prefix(7)) to \(to.sha256.prefix(7)) is dropped"
        case .serve(let copy): "the decision that library \(copy.sha256.prefix(7)) serves is dropped"
        case .takeOver(let copy): "canary: library \(copy.sha256.prefix(7)) does not take over"
        }
    }
}
