import JobCore
import Testing

@testable import JobHost

struct PageFilesTests {
    private func file(_ name: String) throws -> String {
        String(decoding: try #require(PageBundle.files.first { $0.name == name }).bytes, as: UTF8.self)
    }

    @Test func aBrowserGetsOneScriptAndOneStyleSheet() throws {
        #expect(PageBundle.files.map(\.name) == ["app.js", "favicon.svg", "index.html", "style.css"])
        let script = try file("app.js")
        // Nothing is left that only a module may say, and no module is left out.
        for line in script.split(separator: "\n") { #expect(!line.hasPrefix("import") && !line.hasPrefix("export"), "\(line)") }
        for module in PageFiles.all where module.name.hasSuffix(".js") && module.name != "early.js" {
            #expect(script.contains("// \(module.name)\nconst \(PageBundle.variable(module.name)) = "), "nobody imports \(module.name)")
        }
    }

    @Test func modulesFollowWhatTheyImport() {
        let script = PageBundle.script(from: "app.js", [
            "app.js": "// The first.\nimport { one, two as other } from \"./a-b.js\";\nimport { three } from \"./c.js\";\n\none(other, three);\n",
            "a-b.js": "import { three } from \"./c.js\";\nexport async function one(a) { return three; }\nexport const two = 2;\n",
            "c.js": "export class three {}\nlet mine = 1;\n", "d.js": "export const unused = 1;\n",
        ])
        #expect(script == """
            "use strict";
            (() => {
            // c.js
            const in_c = (() => {
            class three {}
            let mine = 1;
            return { three };
            })();
            // a-b.js
            const in_a_b = (() => {
            const { three } = in_c;
            async function one(a) { return three; }
            const two = 2;
            return { one, two };
            })();
            // app.js
            const in_app = (() => {
            // The first.
            const { one, two: other } = in_a_b;
            const { three } = in_c;

            one(other, three);
            return {  };
            })();
            })();

            """)
    }

    /// What the policy in the headers would block never gets into the page.
    @Test func thePageKeepsToItsOwnPolicy() throws {
        let text = try file("index.html")
        for blocked in [" style=", "<style", " onclick=", "\"http://", "\"https://"] { #expect(!text.contains(blocked), "\(blocked)") }
        // One script stands in the document, and the policy names that one.
        #expect(text.ranges(of: "<script>").count == 1)
        let begin = try #require(text.firstRange(of: "<script>")), end = try #require(text.firstRange(of: "</script>"))
        var hash = SHA256()
        hash.update(Array(text[begin.upperBound..<end.lowerBound].utf8))
        #expect(PageBundle.earlyDigest == "sha256-" + PageBundle.base64(hash.digest()))
        #expect(StrictHeaders.policy.contains("script-src 'self' '\(PageBundle.earlyDigest)'; ") && !StrictHeaders.policy.contains("unsafe"))
    }

    @Test(arguments: [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("\u{FF}?>", "w78/Pg==")])
    func base64(_ text: String, _ encoded: String) { #expect(PageBundle.base64(Array(text.utf8)) == encoded) }
}
