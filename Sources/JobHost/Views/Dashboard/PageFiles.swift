// Written by scripts/embed-page from static/. Edit those files, not this one.
enum PageFiles {
    static let all: [PageFile] = [
        PageFile(
            "index.html", type: "text/html; charset=utf-8", digest: "918d25f266504192", ###"""
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>jobhost</title>
<link rel="stylesheet" href="/page.css">
<script src="/page.js" defer></script>
</head>
<body>
<h1 id="host">jobhost</h1>
<p id="problems" role="status"></p>
<table>
<thead><tr><th scope="col">job</th><th scope="col">schedule</th><th scope="col">next</th><th scope="col">last</th><th scope="col">breaker</th></tr></thead>
<tbody id="jobs"></tbody>
</table>
<p>To act, use the command line: <code>jobhost --help</code>.</p>
</body>
</html>

"""###),
        PageFile(
            "page.css", type: "text/css; charset=utf-8", digest: "4211a0f3b7907eb3", ###"""
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { margin: 1rem auto; max-width: 70rem; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { border-bottom: 1px solid; padding: .25rem .5rem; text-align: left; }
#problems { white-space: pre-line; }

"""###),
        PageFile(
            "page.js", type: "text/javascript; charset=utf-8", digest: "e57c92256d81ba1b", ###"""
"use strict";
// What the host says of itself, every five seconds. Everything is set as text, never as markup.
const cell = (row, text) => { row.insertCell().textContent = text ?? "–"; };

async function show() {
  const problems = document.getElementById("problems");
  try {
    const answer = await fetch("/api/v1/status", { cache: "no-store" });
    const status = await answer.json();
    if (!answer.ok) throw new Error(status.detail + (status.hint ? ` (${status.hint})` : ""));
    document.getElementById("host").textContent =
      `${status.host.name} · ${status.host.phase} · generation ${status.host.generation}`;
    problems.textContent = status.host.problems.join("\n");
    const body = document.getElementById("jobs");
    body.replaceChildren();
    for (const job of status.jobs) {
      const row = body.insertRow();
      cell(row, job.name);
      cell(row, job.enabled ? job.schedule : job.disabled_reason);
      cell(row, job.next_fire);
      cell(row, job.last && `${job.last.outcome} ${job.last.finished_at ?? ""}`);
      cell(row, job.breaker.state);
    }
  } catch (error) {
    problems.textContent = `The host does not answer: ${error.message}`;
  }
  setTimeout(show, 5000);
}
show();

"""###),
    ]
}
