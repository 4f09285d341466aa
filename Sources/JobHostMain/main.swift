import Dispatch
import JobHost

// Not `await` here: the runtime would have its first thread before the first statement.
JobHostCommand.passOverEarlySignals()
Task { await JobHostCommand.main(operations: .live) }
dispatchMain()
