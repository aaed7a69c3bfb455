// Keeps relative times true between answers of the server, and says when it stops answering.
"use strict";
(function () {
  function span(seconds) {
    seconds = Math.abs(seconds);
    if (seconds < 1) return "0 s";
    if (seconds < 60) return Math.round(seconds) + " s";
    const minutes = Math.floor(seconds / 60), hours = Math.floor(seconds / 3600), days = Math.floor(seconds / 86400);
    if (hours < 1) return minutes + " min";
    if (days < 1) {
      const rest = minutes - hours * 60;
      return hours < 10 && rest ? hours + " h " + rest + " min" : hours + " h";
    }
    const rest = hours - days * 24;
    return days < 10 && rest ? days + " d " + rest + " h" : days + " d";
  }

  function tick() {
    const now = Date.now();
    for (const time of document.querySelectorAll("time[datetime]")) {
      const seconds = (now - Date.parse(time.dateTime)) / 1000;
      if (Number.isNaN(seconds)) continue;
      let text = span(seconds);
      if (!time.hasAttribute("data-age")) {
        text = Math.abs(seconds) < 1 ? "now" : seconds > 0 ? text + " ago" : "in " + text;
      }
      if (time.textContent !== text) time.textContent = text;
    }
  }

  function alive(yes) {
    for (const pulse of document.querySelectorAll("[data-pulse]")) {
      pulse.classList.toggle("mm-lost", !yes);
      pulse.lastElementChild.textContent = yes ? "live" : "no answer, trying again";
    }
  }

  setInterval(tick, 1000);
  document.addEventListener("htmx:afterRequest", function (event) {
    if (event.target.hasAttribute("data-live")) alive(event.detail.successful);
  });
  // A page nobody looks at asks for nothing; a click into the table is not pulled away by an answer.
  document.addEventListener("htmx:beforeRequest", function (event) {
    const live = event.target;
    if (!live.hasAttribute("data-live")) return;
    const selection = document.getSelection();
    const reading = selection && !selection.isCollapsed && live.contains(selection.anchorNode);
    if (document.hidden || reading) event.preventDefault();
  });
})();
