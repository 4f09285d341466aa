import CLinux
import Glibc
import JobCore

/// One process, one plugin, one run at a time.
///
/// `jobhost-worker --fd N [--slate N] [--cgroup PATH] [--user NAME] [--sandbox [--read PATH]…
/// [--write PATH]… [--files] [--no-network] [--nice N]]`: descriptor N (default 3) is a stream
/// socket to the supervisor, that of the slate what it shares with it, stdout and stderr become
/// the run's log; the process moves into that control group, becomes that user and enters its
/// sandbox before anything of the plugin is loaded. Two threads: the main one belongs to the plugin;
/// the reader always listens to the supervisor, so that a cancellation arrives and the
/// supervisor's death is noticed whatever the plugin does.
@main
enum Worker {
    static func main() {
        if CommandLine.arguments.dropFirst().elementsEqual(["--version"]) {
            // Not by print(): quitting flushes no buffer, and into a pipe it would have one.
            say("jobhost-worker \(releaseVersion)\n", to: STDOUT_FILENO)
            quit(.shutdown)
        }
        guard let arguments = arguments(), clw_is_stream_socket(arguments.socket) == 1 else {
            say(
                "usage: jobhost-worker --fd N [--slate N] [--cgroup PATH] [--user NAME] [--sandbox …]\nStarted by jobhost; N is a socket to it.\n",
                to: STDERR_FILENO)
            quit(.usage)
        }
        // While it still may. The supervisor can kill it without, too.
        if let group = arguments.group, clw_join_group(group) != 0 {
            say("cannot join the control group \(group): \(String(cString: strerror(errno)))\n", to: STDERR_FILENO)
        }
        if let user = arguments.user, clw_become_user(user) != 0 {
            say(refusal(toBecome: user, errno) + "\n", to: STDERR_FILENO)
            quit(.refused)
        }
        if let problem = arguments.confinement.apply() {
            say(problem + "\n", to: STDERR_FILENO)
            quit(.refused)
        }
        let socket = arguments.socket
        _ = clw_become_subreaper()
        clw_line_buffered_output()
        let slate = Slate(descriptor: arguments.slate)
        guard let channel = Channel(takingOver: socket), let inbox = Inbox(slate) else { quit(.resources) }
        // Without them it does what it can when it comes to that.
        _ = clw_keep_descriptors(Channel.lowestDescriptor)
        let output = Output(channel, slate)
        guard Reader.start(channel, inbox, output) else { quit(.resources) }

        guard case .load(let request) = inbox.next() else { quit(.protocolError) }
        do throws(Refusal) {
            let plugin = try LoadedLibrary.load(request)
            try output.announce(plugin.descriptor)
            Executor(plugin: plugin, name: request.plugin, inbox: inbox, output: output, slate: slate).serve()
        } catch {
            output.refuse(error)
            quit(.refused)
        }
    }

    /// With the way out.
    private static func refusal(toBecome user: String, _ code: Int32) -> String {
        let wayOut = switch code {
        case EPERM: "the host must run as root for that, or leave `user` out of the plugin"
        case ENOENT: "this machine has no such user: make it, or leave `user` out of the plugin"
        default: "`user` of the plugin"
        }
        return "cannot become user '\(user)': \(String(cString: strerror(code))) (\(wayOut))"
    }

    private static func arguments() -> (
        socket: Int32, slate: Int32?, group: String?, user: String?, confinement: Confinement
    )? {
        var confinement = Confinement()
        var socket: Int32 = 3
        var slate: Int32?
        var group: String?
        var user: String?
        var rest = CommandLine.arguments.dropFirst()
        while let name = rest.popFirst() {
            switch name {
            case "--sandbox": confinement.isWanted = true
            case "--files": (confinement.read, confinement.write) = (confinement.read ?? [], confinement.write ?? [])
            case "--no-network": confinement.network = false
            default: break
            }
            if ["--sandbox", "--files", "--no-network"].contains(name) { continue }
            guard let value = rest.popFirst() else { return nil }
            switch name {
            case "--fd":
                guard let number = Int32(value) else { return nil }
                socket = number
            case "--slate":
                guard let number = Int32(value) else { return nil }
                slate = number
            case "--cgroup": group = value
            case "--user": user = value
            case "--read": confinement.read = (confinement.read ?? []) + [value]
            case "--write": confinement.write = (confinement.write ?? []) + [value]
            case "--nice":
                guard let number = Int32(value) else { return nil }
                confinement.nice = number
            default: return nil
            }
        }
        return (socket, slate, group, user, confinement)
    }

    private static func say(_ text: String, to descriptor: Int32) {
        let bytes = Array(text.utf8)
        _ = write(descriptor, bytes, bytes.count)
    }
}

/// The supervisor is gone, or does not know yet that its lease is, and nobody else will kill what the
/// plugin started: all of it goes with this process, also what has a session of its own.
func endWithChildren(_ reason: WorkerExit = .supervisorGone) -> Never {
    clw_kill_descendants()
    if getpgrp() == getpid() { kill(0, SIGKILL) }
    quit(reason)
}

/// Ends the process at once, from any thread: no exit handlers, which are the plugin's and
/// may hang or crash.
func quit(_ reason: WorkerExit) -> Never {
    _exit(reason.rawValue)
}
