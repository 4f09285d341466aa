// swift-tools-version: 6.2
import PackageDescription

// A plugin of one's own, outside of the host's repository: `swift build -c release` leaves
// libHelloSwift.so in .build/release.
let package = Package(
    name: "hello-swift",
    products: [.library(name: "HelloSwift", type: .dynamic, targets: ["HelloSwift"])],
    dependencies: [.package(name: "jobhost", path: "../..")],
    targets: [
        .target(name: "HelloSwift", dependencies: [.product(name: "JobKit", package: "jobhost")])
    ]
)
