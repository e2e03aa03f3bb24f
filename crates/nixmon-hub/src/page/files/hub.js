// Keeps a page up to date: when the hub says that something has changed, the page is fetched again and its parts are put in
// place. Without this script a page is complete and stays as it was.

const root = document.documentElement;
const connection = document.getElementById("connection");

/** Puts a new part of the page in the place of an old one, and keeps what the reader has opened or focused. */
function replace(old, fresh) {
  if (old.innerHTML === fresh.innerHTML) return;
  const open = new Set([...old.querySelectorAll("details[open][id]")].map((one) => one.id));
  const scrolled = new Map();
  for (const [n, one] of old.querySelectorAll(".lines").entries()) scrolled.set(n, [one.scrollTop, one.scrollLeft]);
  const focused = old.contains(document.activeElement) ? document.activeElement : null;
  const href = focused?.getAttribute("href");
  for (const one of fresh.querySelectorAll("details[id]")) one.open = open.has(one.id);
  old.replaceChildren(...fresh.childNodes);
  for (const [n, one] of old.querySelectorAll(".lines").entries()) {
    const at = scrolled.get(n);
    if (at) [one.scrollTop, one.scrollLeft] = at;
  }
  if (href) {
    const same = [...old.querySelectorAll("a[href]")].find((one) => one.getAttribute("href") === href);
    same?.focus({ preventScroll: true });
  }
}

let fetching = false;
let again = false;

async function refresh() {
  if (fetching) {
    again = true;
    return;
  }
  fetching = true;
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" } });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const old of document.querySelectorAll("[data-live]")) {
      const fresh = page.getElementById(old.id);
      if (fresh) replace(old, fresh);
    }
    if (document.title !== page.title) document.title = page.title;
    if (!page.body.dataset.events) stop?.();
  } catch {
    // The stream says whether the hub is there.
  } finally {
    fetching = false;
    if (again) {
      again = false;
      later();
    }
  }
}

let timer = 0;

/** Refreshes soon: many events in a second are one change for a reader. */
function later() {
  if (!timer) {
    timer = setTimeout(() => {
      timer = 0;
      refresh();
    }, 700);
  }
}

/** Says whether news comes. */
export function tell(state) {
  if (!connection) return;
  const words = { on: "Live", off: "Reconnecting…", over: "" };
  if (connection.textContent !== words[state]) connection.textContent = words[state];
  connection.className = `live ${state}`;
}

/**
 * Listens to a stream while the page is in view. A browser opens six connections to a host, so that a few pages in the
 * background would leave none for the page that is looked at. `address` is called for each new connection; `open` after it,
 * and what happened in between is for it to fetch. Returns a function that ends the listening.
 */
export function listen(address, open, handlers) {
  let stream = null;
  const begin = () => {
    if (stream) return;
    stream = new EventSource(address());
    stream.onopen = () => {
      tell("on");
      open();
    };
    stream.onerror = () => tell("off");
    for (const [kind, handler] of Object.entries(handlers)) stream.addEventListener(kind, handler);
  };
  const end = () => {
    stream?.close();
    stream = null;
  };
  const look = () => (document.visibilityState === "hidden" ? end() : begin());
  document.addEventListener("visibilitychange", look);
  look();
  return () => {
    document.removeEventListener("visibilitychange", look);
    end();
    tell("over");
  };
}

let stop = null;
const addresses = (document.body.dataset.events ?? "").split(" ").filter(Boolean);
if (addresses.length) {
  const over = () => {
    stop?.();
    refresh();
  };
  const handlers = { run: later, host: later, removed: later, reset: later, line: later, status: later, end: over };
  const stops = addresses.map((address) => listen(() => address, later, handlers));
  stop = () => stops.forEach((end) => end());
  // Times on the page pass also if nothing happens.
  setInterval(() => {
    if (document.visibilityState === "visible" && document.querySelector(".phases [aria-current]")) later();
  }, 5000);
}

const button = document.getElementById("theme");
if (button) {
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches);
  const name = () => {
    button.textContent = isDark() ? "Light" : "Dark";
    button.setAttribute("aria-label", isDark() ? "Use light colours" : "Use dark colours");
  };
  button.hidden = false;
  name();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", name);
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    try {
      localStorage.setItem("theme", root.dataset.theme);
    } catch {
      // The choice holds for this page.
    }
    name();
  });
}

// `j` and `k` go through the runs of the board.
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select")) return;
  const step = { j: 1, k: -1 }[event.key];
  const links = [...document.querySelectorAll(".card h3 a")];
  if (!step || !links.length) return;
  const at = links.indexOf(document.activeElement);
  links[Math.max(0, Math.min(links.length - 1, at < 0 ? 0 : at + step))].focus();
  event.preventDefault();
});
