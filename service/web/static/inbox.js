// Keeps the inbox current: listens for `seen` marks, fetches the list again, keeps focus and place. Without this
// script every form and link of the page works too. Own script instead of htmx: two behaviours, 4 KB instead of 52.
"use strict";
(() => {
  const list = document.getElementById("list");
  const mark = document.getElementById("mark");
  const markText = document.getElementById("mark-text");
  const said = document.getElementById("said");
  let done = state().dataset.done, latest = "", busy = false, again = false, source = null;

  function state() { return document.getElementById("state"); }

  function show(live) {
    document.getElementById("plain").hidden = true;
    mark.hidden = false;
    mark.classList.toggle("live", live);
    const text = live ? "Live" : "Reconnecting…";
    if (markText.textContent !== text) markText.textContent = text;
  }

  function address() {
    const query = new URLSearchParams(location.search);
    query.delete("done");
    query.delete("auto");
    if (done) query.set("done", done);
    return "/inbox/list?" + query;
  }

  // The first card that can be seen is what the eye rests on: it stays where it is.
  function anchor() {
    if (scrollY < 60) return null;
    for (const card of list.querySelectorAll(".alert")) {
      const top = card.getBoundingClientRect().top;
      if (top >= 0) return { id: card.id, top };
    }
    return null;
  }

  function swap(html) {
    const before = Number.parseInt(state().dataset.new, 10), known = new Set([...list.querySelectorAll(".alert")].map((a) => a.id));
    const focused = list.contains(document.activeElement) ? document.activeElement.id : "", place = anchor();
    list.replaceChildren(...new DOMParser().parseFromString(html, "text/html").body.childNodes);
    done = state().dataset.done;
    const now = state().dataset.new;
    document.title = (now === "0" ? "" : `(${now}) `) + "Inbox - Enlace";
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
    const card = place && document.getElementById(place.id);
    if (card) scrollBy(0, card.getBoundingClientRect().top - place.top);
    const fresh = [...list.querySelectorAll(".alert.new")].filter((a) => !known.has(a.id)).length;
    if (fresh && Number.parseInt(now, 10) > before) said.textContent = `${fresh} new alert${fresh > 1 ? "s" : ""}. ${now} in all.`;
  }

  async function refresh() {
    if (busy) { again = true; return; }
    busy = true;
    try {
      const answer = await fetch(address(), { headers: { "X-Fragment": "1" } });
      if (answer.status === 401) { location.assign("/"); return; }
      if (answer.ok) swap(await answer.text());
    } catch { show(false); }
    finally {
      busy = false;
      if (again) { again = false; refresh(); }
    }
  }

  function connect() {
    source = new EventSource("/inbox/events");
    source.onopen = () => show(true);
    source.addEventListener("seen", (event) => {
      latest = event.data;
      if (latest !== state().dataset.seen) refresh();
    });
    source.addEventListener("ended", () => { source.close(); location.assign("/"); });
    source.onerror = () => {
      show(false);
      if (source.readyState !== EventSource.CLOSED) return;
      setTimeout(() => { refresh(); connect(); }, 5000);
    };
  }

  // A form of the list, sent without leaving the page; where that fails it is sent as a plain form.
  list.addEventListener("submit", async (event) => {
    const form = event.target.closest("form[data-act]");
    if (!form) return;
    event.preventDefault();
    const button = form.querySelector("button");
    if (button.getAttribute("aria-disabled") === "true") return;
    button.setAttribute("aria-disabled", "true");
    const item = form.closest("li"), next = item?.nextElementSibling ?? item?.previousElementSibling;
    const nextId = next?.querySelector("button")?.id;
    try {
      const body = new URLSearchParams(new FormData(form));
      const answer = await fetch(form.action, { method: "POST", body, headers: { "X-Fragment": "1" } });
      if (!answer.ok || answer.redirected) throw new Error("not done");
      swap(await answer.text());
      const id = button.id, other = id.startsWith("un") ? id.slice(2) : "un" + id;
      const goal = document.getElementById(other.startsWith("un") && nextId ? nextId : other) ?? document.getElementById("done-text") ?? document.getElementById("tab-new");
      goal.focus({ preventScroll: true });
      said.textContent = id.startsWith("un") ? "Acknowledgement taken back." : "Acknowledged.";
    } catch { form.submit(); }
  });

  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  addEventListener("pagehide", () => source?.close());
  show(false);
  connect();
})();
