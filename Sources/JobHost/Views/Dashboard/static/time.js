// Instants as people read them. Everything is counted on the host's clock: a laptop whose own
// clock is wrong shows the right countdown.

let offset = 0;
let best = Infinity;
let isLocal = read("jobhost.zone") === "local";

function read(key) {
  try { return localStorage.getItem(key); } catch { return null; }
}

/** The host said `text` in an answer that took from `sent` to `received` (ms of this machine). */
export function learnClock(text, sent, received) {
  const trip = received - sent;
  const measured = instant(text) - (sent + received) / 2;
  // The quickest answer tells best; a slow one only corrects what is plainly off.
  if (trip <= best || Math.abs(measured - offset) > trip / 2 + 1000) {
    best = Math.max(trip, 5);
    offset = measured;
  }
}

/** Milliseconds since the epoch on the host's clock. */
export function now() { return Date.now() + offset; }

/** RFC 3339 → milliseconds since the epoch; null: none. */
export function instant(text) {
  if (!text) return null;
  const value = Date.parse(text);
  return Number.isNaN(value) ? null : value;
}

export function usesLocalZone() { return isLocal; }

export function toggleZone() {
  isLocal = !isLocal;
  try { localStorage.setItem("jobhost.zone", isLocal ? "local" : "utc"); } catch { /* only for now, then */ }
}

const two = (number) => String(number).padStart(2, "0");

function fields(ms) {
  const date = new Date(ms);
  return isLocal
    ? [date.getFullYear(), date.getMonth(), date.getDate(), date.getHours(), date.getMinutes(), date.getSeconds()]
    : [date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate(), date.getUTCHours(), date.getUTCMinutes(), date.getUTCSeconds()];
}

export function zoneName() {
  if (!isLocal) return "UTC";
  const part = new Intl.DateTimeFormat("en", { timeZoneName: "short" }).formatToParts(new Date(now()));
  return part.find((item) => item.type === "timeZoneName")?.value ?? "local";
}

/** "14:03:22". */
export function clock(ms) {
  const [, , , hour, minute, second] = fields(ms);
  return `${two(hour)}:${two(minute)}:${two(second)}`;
}

/** "14:03". */
export function shortClock(ms) { return clock(ms).slice(0, 5); }

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** "14:03:22" today, else "20 Nov 14:03:22". */
export function when(ms) {
  if (ms === null) return "–";
  const [year, month, day] = fields(ms);
  const [thisYear, thisMonth, today] = fields(now());
  if (year === thisYear && month === thisMonth && day === today) return clock(ms);
  return `${day} ${MONTHS[month]}${year === thisYear ? "" : ` ${year}`} ${clock(ms)}`;
}

/** For a title: the whole instant, in UTC whatever is shown. */
export function exact(ms) { return ms === null ? "" : new Date(ms).toISOString().replace("T", " ").replace("Z", " UTC"); }

/** "850 ms", "12.4 s", "3 m 20 s", "2 h 05 m", "4 d 3 h": a length in microseconds. */
export function span(us) {
  if (us === null || us === undefined) return "–";
  if (us < 1000) return `${us} µs`;
  if (us < 999_500) return `${us < 9_950 ? (us / 1000).toFixed(1) : Math.round(us / 1000)} ms`;
  if (us < 59_950_000) return `${(us / 1e6).toFixed(us < 9_950_000 ? 2 : 1)} s`;
  return long(us / 1e6);
}

function long(seconds) {
  const s = Math.floor(seconds);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} m ${two(s % 60)} s`;
  if (s < 86_400) return `${Math.floor(s / 3600)} h ${two(Math.floor(s / 60) % 60)} m`;
  return `${Math.floor(s / 86_400)} d ${Math.floor(s / 3600) % 24} h`;
}

/** Whole seconds of a length in milliseconds: "12 s", "3 m 20 s". */
export function age(ms) { return long(Math.max(0, ms) / 1000); }

/** "12 s ago", "in 3 m 20 s". */
export function relative(ms) {
  if (ms === null) return "–";
  const delta = ms - now();
  if (Math.abs(delta) < 1000) return delta < 0 ? "just now" : "now";
  return delta < 0 ? `${age(-delta)} ago` : `in ${age(delta)}`;
}

const UNITS = { s: 1, m: 60, h: 3600, d: 86_400 };

/**
 * What somebody writes for an instant → milliseconds since the epoch, or null: "now", "2h ago",
 * "in 90m", "02:13" (today), "2026-11-21 02:13:05" in the zone that is shown, or RFC 3339.
 */
export function parseTime(text) {
  const written = text.trim();
  if (written === "now") return now();
  const ago = /^(?:in )?((?:\d+\s*[smhd]\s*)+)(?: ?ago)?$/.exec(written);
  if (ago && written.startsWith("in ") !== written.endsWith("ago")) {
    let seconds = 0;
    for (const [, number, unit] of ago[1].matchAll(/(\d+)\s*([smhd])/g)) seconds += Number(number) * UNITS[unit];
    return now() + (written.startsWith("in ") ? seconds : -seconds) * 1000;
  }
  const parts = /^(?:(\d{4})-(\d\d)-(\d\d)(?:[ T]|$))?(?:(\d\d?):(\d\d)(?::(\d\d))?)?$/.exec(written);
  if (parts && written !== "") {
    const today = fields(now());
    const [year, month, day] = parts[1] ? [Number(parts[1]), Number(parts[2]) - 1, Number(parts[3])] : today;
    const rest = [Number(parts[4] ?? 0), Number(parts[5] ?? 0), Number(parts[6] ?? 0)];
    const value = isLocal ? new Date(year, month, day, ...rest).getTime() : Date.UTC(year, month, day, ...rest);
    return Number.isNaN(value) ? null : value;
  }
  return /^\d{4}-\d\d-\d\dT/.test(written) ? instant(written) : null;
}

/** The other way: "2026-05-04 14:03:22". */
export function timeText(ms) {
  const [year, month, day] = fields(ms);
  return `${String(year).padStart(4, "0")}-${two(month + 1)}-${two(day)} ${clock(ms)}`;
}
