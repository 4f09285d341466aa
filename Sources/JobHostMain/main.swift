import JobHost

await JobHostCommand.main(operations: .live)
