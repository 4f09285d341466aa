// Before the first paint: a chosen theme, so that it does not flash, and the first question to
// the host, which is answered while the page's other files arrive. Where reading needs no token its answer stands at
// the document's end (PageDocument.swift), and nothing is asked. This script stands in the document itself
// (PageBundle.swift); the page's content security policy allows it there and no other.
(function () {
  "use strict";
  const kept = (storage, name) => {
    // Storage may be forbidden; then the system's choice holds.
    try { return window[storage].getItem(`jobhost.${name}`); } catch { return null; }
  };
  const theme = kept("localStorage", "theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  // The table of jobs shows what is in sight first: with a thousand jobs the rest would be waited for. Above its rows
  // (JobsPage.rowHeight) stand 150 pixels at least; a window that is not seen has no height.
  const isJobs = /^#?\/?(\?|$)/.test(location.hash);
  const rows = Math.max(10, Math.ceil((innerHeight - 150) / (innerWidth > 760 ? 34 : 64)));
  const first = { where: `/overview${isJobs ? `?first=${rows}` : ""}`, sent: Date.now(), received: null, response: null };
  window.firstAnswer = first;
  if (isJobs && rows <= Number(document.documentElement.dataset.first)) return;
  const token = kept("sessionStorage", "token");
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  first.response = fetch("api/v1" + first.where, { headers, cache: "no-store", credentials: "same-origin" }).then(
    (response) => {
      first.received = Date.now();
      return response;
    },
    () => null);
})();
