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
