import CLinux
import Glibc
import JobCore

/// One process, one plugin, one run at a time.
///
/// `jobhost-worker --fd N`: descriptor N (default 3) is a stream socket to the supervisor,
/// stdout and stderr become the run's log. Two threads: the main one belongs to the plugin;
/// the reader always listens to the supervisor, so that a cancellation arrives and the
/// supervisor's death is noticed whatever the plugin does.
@main
enum Worker {
    static func main() {
        guard let socket = socketArgument(), clw_is_stream_socket(socket) == 1 else {
            complain("usage: jobhost-worker --fd N\nStarted by jobhost; N is a socket to it.\n")
            quit(.usage)
        }
        _ = clw_become_subreaper()
        clw_line_buffered_output()
        guard let channel = Channel(takingOver: socket), let inbox = Inbox() else { quit(.resources) }
        guard Reader.start(channel, inbox) else { quit(.resources) }

        guard case .load(let request) = inbox.next() else { quit(.protocolError) }
        let output = Output(channel)
        do throws(Refusal) {
            let plugin = try LoadedLibrary.load(request)
            try output.announce(plugin.descriptor)
            Executor(plugin: plugin, name: request.plugin, inbox: inbox, output: output).serve()
        } catch {
            output.refuse(error)
            quit(.refused)
        }
    }

    private static func socketArgument() -> Int32? {
        let arguments = CommandLine.arguments.dropFirst()
        if arguments.isEmpty { return 3 }
        guard arguments.count == 2, arguments.first == "--fd" else { return nil }
        return arguments.last.flatMap { Int32($0) }
    }

    private static func complain(_ text: StaticString) {
        _ = write(STDERR_FILENO, text.utf8Start, text.utf8CodeUnitCount)
    }
}

/// Ends the process at once, from any thread: no exit handlers, which are the plugin's and
/// may hang or crash.
func quit(_ reason: WorkerExit) -> Never {
    _exit(reason.rawValue)
}
