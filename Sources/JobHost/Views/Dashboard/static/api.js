// Requests to the host. Every failure becomes an `APIError` with a sentence and what to do.

import { learnClock } from "./time.js";

const BASE = "api/v1";
/** A request that nothing answers is given up after this, in milliseconds. */
const PATIENCE = 15_000;
/** What builds and probes libraries first takes as long as those do. */
export const LONG = 180_000;

export class APIError extends Error {
  constructor(message, { status = 0, code = "unreachable", hint = null } = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.hint = hint;
  }
}

/** null: not looked for yet. The storage is not opened before there is something to see. */
let known = null;
let askForToken = null;

function token() {
  if (known === null) {
    try { known = sessionStorage.getItem("jobhost.token") ?? ""; } catch { known = ""; }
  }
  return known;
}

/** For this tab, until it is closed. "": none. */
export function setToken(text) {
  known = text;
  try {
    if (text) sessionStorage.setItem("jobhost.token", text);
    else sessionStorage.removeItem("jobhost.token");
  } catch { /* only until the page is left, then */ }
}

export function hasToken() { return token() !== ""; }

/**
 * After a 401: a token that the host no longer knows is forgotten, or a tab left open would show it for ever, where
 * reading may need none. Not if another has been given meanwhile.
 */
function forget(shown) {
  if (shown && shown === token()) setToken("");
}

/** `ask(problem, method)` → a promise of whether there is a token now. */
export function onTokenNeeded(ask) { askForToken = ask; }

export function headers(more = {}) {
  return token() ? { ...more, Authorization: `Bearer ${token()}` } : more;
}

export function query(parameters) {
  const pairs = Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined && value !== "");
  if (pairs.length === 0) return "";
  return "?" + pairs.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&");
}

export function path(...parts) { return "/" + parts.map((part) => encodeURIComponent(part)).join("/"); }

/** Where early.js asked already, or the document answers; null: that has been read. */
export function firstPlace() { return window.firstAnswer?.where ?? null; }

/** What early.js asked for already, or what stands in the document; once. */
async function firstAnswer(method, where) {
  const first = window.firstAnswer;
  if (!first || method !== "GET" || first.where !== where) return null;
  window.firstAnswer = null;
  if (!first.response) return standing();
  const response = await first.response;
  return response?.ok ? { response, sent: first.sent, received: first.received } : null;
}

/** The answer at the document's end; null: it was not there in time. */
function standing() {
  const element = document.getElementById("first");
  if (!element) return null;
  element.remove();
  const [entry] = performance.getEntriesByType("navigation");
  return {
    answer: JSON.parse(element.textContent),
    sent: performance.timeOrigin + (entry?.requestStart ?? 0), received: performance.timeOrigin + (entry?.responseEnd || performance.now()),
  };
}

/** What the host said; its clock is learned from it. */
function learned(answer, sent, received) {
  const clock = answer.host?.now ?? answer.now;
  if (clock) learnClock(clock, sent, received);
  return answer;
}

async function send(method, where, body, mayAsk, patience = PATIENCE) {
  let sent = Date.now();
  let received = null;
  let response;
  let shown;
  try {
    const first = await firstAnswer(method, where);
    if (first?.answer) return learned(first.answer, first.sent, first.received);
    shown = token();
    if (first) ({ response, sent, received } = first);
    else response = await fetch(BASE + where, {
      method, headers: headers(body === undefined ? {} : { "Content-Type": "application/json" }),
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store", credentials: "same-origin", signal: AbortSignal.timeout(patience),
    });
  } catch (error) {
    throw unanswered(method, error.name === "TimeoutError" ? patience : null);
  }
  if (response.ok) {
    let answer;
    try { answer = await response.json(); } catch { throw new APIError("the answer broke off"); }
    return learned(answer, sent, received ?? Date.now());
  }
  let problem = {};
  try { problem = await response.json(); } catch { /* no problem details: the status has to do */ }
  const error = new APIError(problem.detail ?? `the host answered ${response.status} ${response.statusText}`, {
    status: response.status, code: problem.code ?? "refused", hint: problem.hint ?? null,
  });
  if (response.status === 401 && method === "GET" && shown) {
    forget(shown);
    // Of several that were asked together the first one forgets; each asks again. One without a token does not.
    if (shown !== token()) return send(method, where, body, mayAsk, patience);
  }
  // A token that may only read is refused otherwise than one that is not known.
  const wantsToken = response.status === 401 || (response.status === 403 && method === "POST" && hasToken());
  if (wantsToken && mayAsk && askForToken && (await askForToken(error, method))) {
    return send(method, where, body, false, patience);
  }
  throw error;
}

/** `waited`: milliseconds; null: the connection failed. */
function unanswered(method, waited) {
  if (method === "GET") {
    return new APIError(waited === null ? "the host does not answer" : "the host did not answer in time", { hint: "the page tries again by itself" });
  }
  return new APIError(waited === null ? "the host does not answer; it may have done it" : `the host has not answered after ${waited / 1000} s; it may still do it`,
    { hint: "look at the audit before you press again" });
}

export function get(where) { return send("GET", where, undefined, true); }
/** For what runs by itself: never opens a question. */
export function quietly(where) { return send("GET", where, undefined, false); }
/** Never tried again by itself: it may have been done. */
export function post(where, body = {}, patience = PATIENCE) { return send("POST", where, body, true, patience); }

/**
 * Server-sent events, read with fetch so that they carry the token. Calls `onOpen()`, then
 * `onEvent({ id, type, data })` for each. Ends, by return or error, with the stream.
 */
export async function stream(where, lastId, { onOpen, onEvent, signal }) {
  const shown = token();
  const response = await fetch(BASE + where, {
    headers: headers({ Accept: "text/event-stream", ...(lastId ? { "Last-Event-ID": lastId } : {}) }),
    cache: "no-store", credentials: "same-origin", signal,
  });
  const type = response.headers.get("Content-Type") ?? "";
  if (!response.ok || !type.startsWith("text/event-stream")) {
    if (response.status === 401) forget(shown);
    throw new APIError(`no events: ${response.status}`, { status: response.status });
  }
  onOpen();
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let event = { id: null, type: "message", data: [] };
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop();
    for (const line of lines) {
      if (line === "") {
        onEvent({ id: event.id, type: event.type, data: event.data.join("\n") });
        event = { id: null, type: "message", data: [] };
        continue;
      }
      const colon = line.indexOf(":");
      const field = colon < 0 ? line : line.slice(0, colon);
      const text = colon < 0 ? "" : line.slice(colon + (line[colon + 1] === " " ? 2 : 1));
      if (field === "id") event.id = text;
      else if (field === "event") event.type = text;
      else if (field === "data") event.data.push(text);
    }
  }
}
