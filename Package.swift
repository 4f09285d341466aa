// swift-tools-version: 6.2
import PackageDescription

// Every target of ours: Swift 6 language mode (the tools version's default), and a
// warning is an error, so that main never carries one.
let strict: [SwiftSetting] = [.treatAllWarnings(as: .error)]

/// A plugin is a dynamic library of its own; `swift build` leaves it beside the
/// host's binaries as `lib<name>.so`.
func plugin(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(
        name: name,
        dependencies: [.target(name: "JobKit")] + dependencies,
        path: "Plugins/\(name)",
        exclude: ["sql"],
        swiftSettings: strict,
        plugins: ["Embed"]
    )
}

/// Tests of one room, mirroring `Sources`.
func tests(_ name: String, _ dependencies: [Target.Dependency], path: String? = nil, exclude: [String] = []) -> Target {
    .testTarget(name: name, dependencies: dependencies, path: path, exclude: exclude, swiftSettings: strict)
}

let package = Package(
    name: "jobhost",
    products: [
        .executable(name: "jobhost", targets: ["JobHostMain"]),
        .executable(name: "jobhost-worker", targets: ["JobWorker"]),
        .library(name: "JobKit", targets: ["JobKit"]),
        .library(name: "OutsideKit", targets: ["OutsideKit"]),
        .library(name: "Arena", type: .dynamic, targets: ["Arena"]),
        .library(name: "Candles", type: .dynamic, targets: ["Candles"]),
        .library(name: "Competitions", type: .dynamic, targets: ["Competitions"]),
        .library(name: "Deposits", type: .dynamic, targets: ["Deposits"]),
        .library(name: "MarginCheck", type: .dynamic, targets: ["MarginCheck"]),
        .library(name: "MintQueue", type: .dynamic, targets: ["MintQueue"]),
        .library(name: "OrderExpiry", type: .dynamic, targets: ["OrderExpiry"]),
        .library(name: "Reconciler", type: .dynamic, targets: ["Reconciler"]),
        .library(name: "Tickers", type: .dynamic, targets: ["Tickers"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-extras.git", from: "1.34.1"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        // SQL and the page's files, made part of the binaries by the build.
        .plugin(name: "Embed", capability: .buildTool, path: "BuildTools/Embed"),

        // The contract with plugins: one header.
        .target(name: "JobABI", path: "Sources/JobABI"),

        // JSON, for the host and for plugins: small, because each plugin carries it.
        .target(name: "JobJSON", swiftSettings: strict),

        // What was probably meant by a name that is none.
        .target(name: "NearestName", swiftSettings: strict),

        // Pure values and state machines.
        .target(name: "JobCore", dependencies: ["JobJSON", "NearestName"], swiftSettings: strict),

        // Config.
        .target(
            name: "CTOML", path: "Sources/CTOML",
            cxxSettings: [.unsafeFlags(["-std=c++17"])]
        ),
        .target(name: "JobConfig", dependencies: ["CTOML", "JobCore", "JobJSON", "NearestName"], swiftSettings: strict),

        // Stores.
        .systemLibrary(
            name: "CSQLite", path: "Sources/CSQLite", pkgConfig: "sqlite3",
            providers: [.apt(["libsqlite3-dev"])]
        ),
        // libpq is loaded at the first postgresql:// URL, not linked: who stays on SQLite needs and pays nothing.
        .target(name: "CPostgres", path: "Sources/CPostgres"),
        .target(name: "SQL", dependencies: ["CPostgres", "CSQLite"], swiftSettings: strict),
        // Its callers go on where they were: an answer costs one wake-up of the host's loop, no detour by a pool's thread.
        .target(
            name: "JobStore", dependencies: ["CLinux", "JobCore", "JobJSON", "SQL"],
            swiftSettings: strict + [.enableUpcomingFeature("NonisolatedNonsendingByDefault")]),

        // The supervisor.
        .target(name: "CLinux", path: "Sources/CLinux"),
        .target(
            name: "JobHost",
            dependencies: [
                "CLinux", "JobConfig", "JobCore", "JobJSON", "JobStore", "NearestName",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOHTTPTypes", package: "swift-nio-extras"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ],
            exclude: ["Views/Dashboard/static"],
            swiftSettings: strict,
            plugins: ["Embed"]
        ),
        .executableTarget(name: "JobHostMain", dependencies: ["JobHost"], swiftSettings: strict),

        // The worker: brings no runtime to the plugin, neither Swift's nor C++'s, and exports no symbol. (lld takes from
        // archives in whatever order they stand; gold would not find all of C++'s.)
        .executableTarget(
            name: "JobWorker",
            dependencies: ["CLinux", "JobABI", "JobCore", "JobJSON"],
            exclude: ["link"],
            swiftSettings: strict,
            linkerSettings: [
                .unsafeFlags([
                    "-static-stdlib", "-use-ld=lld", "-L", "\(Context.packageDirectory)/Sources/JobWorker/link",
                    "-Xclang-linker", "-static-libgcc", "-Xlinker", "--no-export-dynamic", "-Xlinker", "--exclude-libs=ALL",
                    "-Xlinker", "--gc-sections",
                ]),
                .unsafeFlags(["-Xlinker", "--strip-all"], .when(configuration: .release)),
            ]
        ),

        // What plugins are written with.
        .target(name: "JobKit", dependencies: ["JobABI", "JobJSON"], swiftSettings: strict),
        .target(name: "OutsideKit", dependencies: ["JobCore", "JobKit"], swiftSettings: strict),
        .target(
            name: "ExchangeKit", dependencies: ["JobCore", "JobKit", "SQL"], exclude: ["sql"], swiftSettings: strict,
            plugins: ["Embed"]),
        plugin("Arena", ["ExchangeKit", "JobCore", "OutsideKit", "SQL"]),
        plugin("Candles", ["ExchangeKit", "SQL"]),
        plugin("Competitions", ["ExchangeKit", "SQL"]),
        plugin("Deposits", ["CLinux", "ExchangeKit", "OutsideKit", "SQL"]),
        plugin("MarginCheck", ["ExchangeKit", "SQL"]),
        plugin("MintQueue", ["ExchangeKit", "JobCore", "OutsideKit", "SQL"]),
        plugin("OrderExpiry", ["ExchangeKit", "SQL"]),
        plugin("Reconciler", ["ExchangeKit", "JobCore", "OutsideKit", "SQL"]),
        plugin("Tickers", ["ExchangeKit", "SQL"]),

        // Tests.
        .target(
            name: "ExchangeTestKit", dependencies: ["ExchangeKit", "JobKit", "PostgresTestKit", "SQL"], path: "Tests/ExchangeTestKit",
            swiftSettings: strict),
        .target(name: "JobTestKit", dependencies: ["JobCore", "JobStore"], path: "Tests/JobTestKit", swiftSettings: strict),
        .target(
            name: "PostgresTestKit", dependencies: ["SQL"], path: "Tests/PostgresTestKit", swiftSettings: strict),
        .target(name: "OutsideTestKit", path: "Tests/OutsideTestKit", swiftSettings: strict),
        .target(
            name: "StoreSuite", dependencies: ["JobCore", "JobStore", "SQL"], path: "Tests/StoreSuite",
            swiftSettings: strict),
        tests("JobABITests", ["JobABI"]),
        tests("JobCoreTests", ["JobCore", "JobJSON"]),
        tests("JobJSONTests", ["JobCore", "JobJSON"]),
        tests("WireTests", ["JobCore"]),
        tests("JobConfigTests", ["CTOML", "JobConfig", "JobCore", "JobJSON", "NearestName"]),
        tests("SQLTests", ["PostgresTestKit", "SQL"]),
        tests("JobStoreTests", ["JobCore", "JobJSON", "JobStore", "PostgresTestKit", "SQL", "StoreSuite"]),
        tests("JobKitTests", ["JobABI", "JobKit"]),
        tests("JobWorkerTests", ["CLinux", "JobCore"]),
        tests(
            "DispatchTests", ["JobConfig", "JobCore", "JobHost", "JobStore", "JobTestKit", .product(name: "Logging", package: "swift-log")],
            path: "Tests/JobHostTests/Dispatch", exclude: ["Simulation/Simulate.swift"]),
        tests("ProcessTests", ["CLinux", "JobConfig", "JobCore", "JobHost", "JobJSON", "JobTestKit"], path: "Tests/JobHostTests/Process"),
        tests("ReloadTests", ["JobConfig", "JobCore", "JobHost", "JobStore"], path: "Tests/JobHostTests/Reload"),
        tests("MaintainTests", ["JobConfig", "JobCore", "JobHost"], path: "Tests/JobHostTests/Maintain"),
        tests(
            "SupervisorTests", ["JobConfig", "JobCore", "JobHost", "JobStore", "JobTestKit", .product(name: "Logging", package: "swift-log")],
            path: "Tests/JobHostTests/Supervisor"),
        tests(
            "ViewsTests",
            [
                "JobConfig", "JobCore", "JobHost", "JobJSON", "JobStore", "JobTestKit", "SQL",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            path: "Tests/JobHostTests/Views"),
        tests("ExchangeKitTests", ["ExchangeKit", "ExchangeTestKit", "JobCore", "JobKit", "SQL"]),
        tests("CandlesTests", ["Candles", "ExchangeKit", "ExchangeTestKit", "JobCore", "JobKit", "SQL"]),
        tests("CompetitionsTests", ["Competitions", "ExchangeKit", "ExchangeTestKit", "JobCore", "JobKit", "SQL"]),
        // With a chain in Python (scripts/evm).
        .testTarget(
            name: "DepositsTests",
            dependencies: [
                "Deposits", "ExchangeKit", "ExchangeTestKit", "JobCore", "JobKit", "OutsideKit", "OutsideTestKit", "SQL",
            ],
            exclude: ["Ethereum/evm"], swiftSettings: strict),
        tests("MarginCheckTests", ["ExchangeKit", "ExchangeTestKit", "JobKit", "MarginCheck", "SQL"]),
        .testTarget(
            name: "MintQueueTests",
            dependencies: [
                "ExchangeKit", "ExchangeTestKit", "JobKit", "MintQueue", "OutsideKit", "OutsideTestKit", "Reconciler", "SQL",
            ],
            swiftSettings: strict,
            linkerSettings: [.unsafeFlags(["-Xlinker", "--allow-multiple-definition"])]),
        tests("OrderExpiryTests", ["ExchangeKit", "ExchangeTestKit", "JobKit", "OrderExpiry", "SQL"]),
        tests("OutsideKitTests", ["JobCore", "JobKit", "OutsideKit", "OutsideTestKit"]),
        tests("TickersTests", ["ExchangeKit", "ExchangeTestKit", "JobCore", "JobKit", "SQL", "Tickers"]),
        // On the real binaries, which a test build makes too.
        tests("EndToEnd", ["CLinux", "JobJSON", "SQL"]),
        // The test bundle holds several plugins, each with its `job_plugin_v1`; no test calls it.
        .testTarget(
            name: "ReconcilerTests",
            dependencies: [
                "Arena", "ExchangeKit", "ExchangeTestKit", "JobCore", "JobKit", "OutsideKit", "OutsideTestKit", "Reconciler", "SQL",
            ],
            swiftSettings: strict,
            linkerSettings: [.unsafeFlags(["-Xlinker", "--allow-multiple-definition"])]),
        .testTarget(
            name: "ArenaTests",
            dependencies: [
                "Arena", "Candles", "Competitions", "Deposits", "ExchangeKit", "ExchangeTestKit", "JobCore", "JobKit", "MarginCheck",
                "MintQueue", "OrderExpiry", "OutsideKit", "OutsideTestKit", "Reconciler", "SQL", "Tickers",
            ],
            swiftSettings: strict,
            linkerSettings: [.unsafeFlags(["-Xlinker", "--allow-multiple-definition"])]),
    ]
)

// `make fuzz`: libFuzzer brings a main of its own and wants everything instrumented, so that this
// is built apart and only when asked for.
if Context.environment["JOBHOST_FUZZ"] != nil {
    package.targets.append(
        .executableTarget(
            name: "Fuzz", dependencies: ["JobConfig", "JobCore", "JobJSON"], path: "Fuzz",
            exclude: ["seeds"],
            swiftSettings: strict + [.unsafeFlags(["-parse-as-library"])]))
}

// `scripts/soak days`: the simulation as a program, in release mode. A file has one target, so it stands for the tests.
if Context.environment["JOBHOST_SIMULATE"] != nil {
    package.targets.removeAll { $0.name == "DispatchTests" }
    package.targets.append(
        .executableTarget(
            name: "Simulate", dependencies: ["JobConfig", "JobCore", "JobHost", "JobStore"], path: "Tests/JobHostTests/Dispatch/Simulation",
            swiftSettings: strict + [.unsafeFlags(["-parse-as-library"])]))
}
