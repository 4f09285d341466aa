// Before the first paint: a chosen theme, so that it does not flash, and the first question to
// the host, which is answered while the page's other files arrive. A file of its own, for the
// page's content security policy allows no inline script.
(function () {
  "use strict";
  let token = null;
  try {
    const theme = localStorage.getItem("jobhost.theme");
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
    token = sessionStorage.getItem("jobhost.token");
  } catch {
    // Storage may be forbidden; then the system's choice holds.
  }
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const first = { sent: Date.now(), received: null };
  first.response = fetch("api/v1/overview", { headers, cache: "no-store", credentials: "same-origin" }).then(
    (response) => {
      first.received = Date.now();
      return response;
    },
    () => null);
  window.firstAnswer = first;
})();
