import Dispatch
import JobHost

// Not `await` here: the runtime would have its first thread before the first statement.
JobHostCommand.passOverEarlySignals()
// Of the priority that threads have by default: with that of the first thread, which is above it, this and all that the host
// starts would have a niceness of its own.
Task(priority: .medium) { await JobHostCommand.main(operations: .live) }
dispatchMain()
