// Keeps what a page shows true: told by the server which charge points and campaigns have changed,
// it asks for the page anew and swaps the parts that differ. Without it the page works all the same.
"use strict";

(() => {
  const REFRESH_MS = 1000;
  const live = document.querySelector("main[data-live-url]");
  const indicator = document.getElementById("live");
  const storeDown = document.getElementById("store-down");

  // Where one is, on a screen too narrow for all of a navigation ------------------------------

  for (const current of document.querySelectorAll("nav a[aria-current]")) {
    const nav = current.parentElement;
    const [all, here] = [nav.getBoundingClientRect(), current.getBoundingClientRect()];
    nav.scrollLeft += here.left - all.left - (all.width - here.width) / 2;
  }

  // A field that is wrong is shown, even in what is folded away: a browser would say nothing -----

  document.addEventListener("invalid", ({ target }) => {
    for (let folded = target.closest("details"); folded; folded = folded.parentElement.closest("details")) {
      folded.open = true;
    }
  }, true);

  // Ages -------------------------------------------------------------------------------------

  function span(seconds) {
    if (seconds < 60) return `${Math.floor(seconds)} s`;
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
    if (seconds < 86400) return `${Math.floor(seconds / 3600)} h`;
    return `${Math.floor(seconds / 86400)} d`;
  }

  function age(seconds) {
    return seconds < 5 ? "just now" : `${span(seconds)} ago`;
  }

  function left(seconds) {
    return seconds < 1 ? "now" : `in ${span(seconds)}`;
  }

  function showAges() {
    for (const time of document.querySelectorAll("time[data-ago], time[data-until]")) {
      const seconds = (Date.now() - Date.parse(time.dateTime)) / 1000;
      const text = "until" in time.dataset ? left(-seconds) : age(seconds);
      if (time.textContent !== text) time.textContent = text;
    }
  }

  showAges();
  setInterval(showAges, 5000);
  if (!live) return;

  // Swapping ---------------------------------------------------------------------------------

  const TOKENS = new Set(["csrf_token", "once"]);
  // What somebody may be typing into while all around it changes.
  const TYPED = "input:not([type=hidden], [type=checkbox], [type=radio], [type=file]), textarea";

  // Ages are words of this script, and form tokens new in every answer: neither is a difference.
  function content(part) {
    const copy = part.cloneNode(true);
    for (const time of copy.querySelectorAll("time[data-ago], time[data-until]")) time.textContent = "";
    for (const hidden of copy.querySelectorAll("input[type=hidden]")) {
      if (TOKENS.has(hidden.name)) hidden.setAttribute("value", "");
    }
    for (const details of copy.querySelectorAll("details[data-key]")) {
      details.removeAttribute("open");
    }
    return copy;
  }

  // What a control is, whatever else has come or gone around it: never its place, since where one
  // transaction has ended the button that stops it must not become that of another.
  function identity(control) {
    const form = control.form ?? control.closest("form");
    const fields = Array.from(form?.querySelectorAll("input[type=hidden]") ?? [])
      .filter(({ name }) => !TOKENS.has(name)).map(({ name, value }) => [name, value]);
    return JSON.stringify([
      control.tagName, control.getAttribute("href"), control.getAttribute("name"),
      control.closest("[data-key]")?.dataset.key, form?.getAttribute("action"), fields,
    ]);
  }

  function keyOfFocus(part) {
    const control = document.activeElement;
    if (!part.contains(control)) return null;
    const wanted = identity(control);
    const focusable = "a, button, input, select, textarea, summary, [tabindex]";
    return (fresh) => Array.from(fresh.querySelectorAll(focusable))
      .find((candidate) => identity(candidate) === wanted);
  }

  function find(root, selector, name, value) {
    return Array.from(root.querySelectorAll(selector)).find((e) => e.dataset[name] === value);
  }

  function swap(part, fresh) {
    if (content(part).isEqualNode(content(fresh))) return;
    const refocus = keyOfFocus(part);
    for (const details of part.querySelectorAll("details[data-key]")) {
      const same = find(fresh, "details[data-key]", "key", details.dataset.key);
      if (same) same.open = details.open;
    }
    const typed = Array.from(part.querySelectorAll(TYPED))
      .filter(({ value, defaultValue }) => value !== defaultValue)
      .map((field) => [identity(field), field.value]);
    const nodes = Array.from(document.importNode(fresh, true).childNodes);
    const x = window.scrollX, y = window.scrollY;
    part.replaceChildren(...nodes);
    for (const field of part.querySelectorAll(TYPED)) {
      const same = typed.find(([is]) => is === identity(field));
      if (same) field.value = same[1];
    }
    if (refocus) {
      // What had the focus may be gone: then the keyboard goes on from its part, not from the top.
      part.tabIndex = -1;
      (refocus(part) ?? part).focus({ preventScroll: true });
    }
    window.scrollTo(x, y);
  }

  let running = false, again = false;

  async function refresh() {
    if (running) {
      again = true;
      return;
    }
    running = true;
    try {
      const answer = await fetch(live.dataset.liveUrl, {
        headers: { "X-Live": "1" }, credentials: "same-origin", cache: "no-store",
      });
      if (answer.status === 401) return location.reload();
      storeDown.hidden = answer.status !== 503;
      if (answer.ok) {
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
        for (const part of live.querySelectorAll("[data-part]")) {
          const same = find(fresh, "[data-part]", "part", part.dataset.part);
          if (same) swap(part, same);
        }
        showAges();
      } else if (answer.status === 404) {
        location.reload();
      }
    } catch {
      // The server is away; the event stream says so, and asks again when it is back.
    } finally {
      setTimeout(() => {
        running = false;
        if (again) {
          again = false;
          refresh();
        }
      }, REFRESH_MS);
    }
  }

  // Listening --------------------------------------------------------------------------------

  function concerns(ids) {
    const watch = live.dataset.watch;
    if (watch === "*") return ids.length > 0;
    if (watch !== "shown") return ids.includes(watch);
    const named = new Set(ids);
    return Array.from(live.querySelectorAll("[data-charge-point], [data-campaign]"))
      .some(({ dataset }) => named.has(dataset.chargePoint ?? `campaign:${dataset.campaign}`));
  }

  function show(word, tone) {
    indicator.hidden = false;
    indicator.className = `live ${tone}`;
    if (indicator.textContent !== word) indicator.textContent = word;
  }

  const since = encodeURIComponent(live.dataset.liveSince);
  const events = new EventSource(`${live.dataset.events}?since=${since}`);
  events.addEventListener("open", () => show("Live", "good"));
  events.addEventListener("error", () => {
    show(events.readyState === EventSource.CLOSED ? "Not live" : "Reconnecting", "bad");
  });
  events.addEventListener("changed", (event) => {
    if (concerns(JSON.parse(event.data))) refresh();
  });
  events.addEventListener("resync", refresh);
  events.addEventListener("store", () => { storeDown.hidden = false; });
  events.addEventListener("over", () => { events.close(); location.reload(); });
  window.addEventListener("pagehide", () => events.close());
})();
