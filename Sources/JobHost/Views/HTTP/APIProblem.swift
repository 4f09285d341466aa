import Hummingbird
import JobCore
import JobJSON
import JobStore
import NIOCore

extension API.Problem {
    init(_ status: HTTPResponse.Status, code: String, _ detail: String, hint: String? = nil) {
        self.init(
            type: "about:blank", title: status.reasonPhrase, status: status.code, detail: detail, code: code,
            hint: hint)
    }

    static func notFound(_ detail: String, hint: String? = nil) -> Self {
        Self(.notFound, code: "not_found", detail, hint: hint)
    }
    static func invalid(_ detail: String, hint: String? = nil) -> Self {
        Self(.badRequest, code: "invalid", detail, hint: hint)
    }

    /// Whatever was thrown as an answer.
    init(describing error: any Error) {
        switch error {
        case let problem as API.Problem: self = problem
        case let error as CommandError:
            switch error.kind {
            case .notFound: self.init(.notFound, code: "not_found", error.message, hint: error.hint)
            case .invalid: self.init(.badRequest, code: "invalid", error.message, hint: error.hint)
            case .conflict: self.init(.conflict, code: "conflict", error.message, hint: error.hint)
            case .unavailable: self.init(.serviceUnavailable, code: "unavailable", error.message, hint: error.hint)
            case .needsApproval: self.init(.conflict, code: "needs_approval", error.message, hint: error.hint)
            }
        case let error as StoreError: self.init(store: error)
        case let error as FieldError: self.init(.badRequest, code: "invalid", error.description, hint: error.hint)
        case let error as JSONError: self.init(.badRequest, code: "invalid", error.description)
        case is NIOTooManyBytesError:
            self.init(
                .contentTooLarge, code: "too_large", "the body is too long",
                hint: "it may have at most \(APIRoutes.bodyLimit) bytes")
        case let error as HTTPError:
            self.init(error.status, code: "refused", error.body ?? error.status.reasonPhrase)
        default: self.init(.internalServerError, code: "broken", "\(error)")
        }
    }

    private init(store error: StoreError) {
        switch error.kind {
        case .unavailable:
            self.init(
                .serviceUnavailable, code: "unavailable", "the store does not answer: \(error.message)",
                hint: "nothing was lost; try again")
        case .notFound: self.init(.notFound, code: "not_found", error.message)
        case .incompatible, .held, .broken: self.init(.internalServerError, code: "broken", error.message)
        }
    }
}
