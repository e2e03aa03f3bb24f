// The viewer of a log. It holds a few pages of lines and draws those in view, so that a million lines cost what a thousand do.
//
// The scroll bar belongs to an empty element of the log's height, or of MAX_HEIGHT if that is less: browsers limit heights. What
// is drawn is at a position of its own, `row` and `px` below the top of that row, which follows the scroll bar.

import { listen } from "./hub.js";

const ROW = 20;
const PAGE = 500;
const MAX_PAGES = 80;
const MAX_HEIGHT = 6_000_000;
const OVERSCAN = 8;

const box = document.getElementById("log");
if (box) new Viewer(box).start();

/** Makes an element with properties and children. */
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element && name !== "role") element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** Formats milliseconds as 1:02:03.456. */
function clock(ms) {
  const two = (n) => String(n).padStart(2, "0");
  const seconds = Math.floor(ms / 1000);
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return `${h ? `${h}:${two(m)}` : m}:${two(s)}.${String(ms % 1000).padStart(3, "0")}`;
}

function Viewer(box) {
  const query = box.dataset.query;
  const base = box.dataset.log;
  const url = (path, parameters = {}) => {
    const all = new URLSearchParams(query);
    for (const [name, value] of Object.entries(parameters)) all.set(name, value);
    const text = all.toString();
    return base + path + (text ? `?${text}` : "");
  };

  let total = Number(box.dataset.total);
  let isComplete = false;
  let sections = [];
  let starts = [0];
  let nRows = 0;
  const folded = new Set();
  const pages = new Map();
  const loading = new Set();
  const drawn = new Map();

  let row = 0;
  let px = 0;
  let lastTop = 0;
  let isAtEnd = false;
  let isFollowing = false;
  let isHovered = false;
  let seen = total;
  let chosen = null;
  let anchor = null;
  let awaited = 0;
  const found = { lines: [], set: new Set(), total: 0, at: -1, mark: null, isCurrent: true };

  // The parts of the page.
  const input = make("input", { type: "search", placeholder: "Search the whole log", "aria-label": "Search the whole log", maxLength: 1000 });
  const regex = make("button", { type: "button", title: "Regular expression", "aria-label": "Regular expression", "aria-pressed": "false" }, ".*");
  const previous = make("button", { type: "button" }, "Previous");
  const next = make("button", { type: "submit" }, "Next");
  const count = make("span", { className: "found", role: "status" });
  const form = make("form", { role: "search" }, input, regex, previous, next, count);
  const toggle = (text) => make("button", { type: "button", "aria-pressed": "false" }, text);
  const follow = toggle("Follow");
  const wrap = toggle("Wrap");
  const times = toggle("Times");
  const fold = make("button", { type: "button", hidden: true }, "Fold all");
  const top = make("button", { type: "button" }, "Top");
  const end = make("button", { type: "button" }, "End");
  const raw = make("a", { className: "button plain", href: url("/raw") }, "Download");
  const controls = make("div", { className: "controls" }, form, follow, wrap, times, fold, top, end, raw);
  const rows = make("div", { className: "rows" });
  const view = make("div", { className: "window" }, rows);
  const spacer = make("div", {}, view);
  spacer.style.position = "relative";
  const scroll = make("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": "Log" }, spacer);
  const fresh = make("button", { type: "button", className: "new", hidden: true });
  const frame = make("div", { className: "frame" }, scroll, fresh);
  const said = make("div", { className: "said", role: "status" });

  const isOn = (button) => button.getAttribute("aria-pressed") === "true";
  const turn = (button, on) => button.setAttribute("aria-pressed", String(on));
  const height = () => scroll.clientHeight;
  const isExact = () => !isOn(wrap) && nRows * ROW <= MAX_HEIGHT;
  const heightOf = (at) => (isOn(wrap) && drawn.get(at)?.offsetHeight) || ROW;
  const spacerHeight = () => Math.max(Math.min(nRows * ROW, MAX_HEIGHT), height());
  const lastRow = () => Math.max(1, nRows - height() / ROW);

  /** Puts the rows together: a header for each section, if there are several, and the lines of those that are open. */
  function arrange() {
    if (sections.length === 0 || sections[0].first !== 1) sections = [{ first: 1, lines: total, title: "" }, ...sections.filter((one) => one.first > 1)];
    const last = sections[sections.length - 1];
    // Lines that came after the sections belong to the last one for now.
    last.lines = Math.max(last.lines, total - last.first + 1);
    const header = sections.length > 1 ? 1 : 0;
    starts = [0];
    for (const one of sections) starts.push(starts[starts.length - 1] + header + (folded.has(one.first) ? 0 : one.lines));
    nRows = starts[starts.length - 1];
    fold.hidden = !header;
    fold.textContent = folded.size >= sections.length ? "Unfold all" : "Fold all";
    spacer.style.height = `${spacerHeight()}px`;
    view.style.height = `${height()}px`;
  }

  /** Returns the index of the last of `n` items, in order, whose value is at most `value`. */
  function search(n, value, of) {
    let [low, high] = [0, n - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (of(middle) <= value) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  const sectionOf = (line) => search(sections.length, line, (n) => sections[n].first);

  /** Returns what is in a row: a section, and the number of a line unless it is a header. */
  function at(index) {
    const n = search(sections.length, index, (one) => starts[one]);
    const section = sections[n];
    const offset = index - starts[n];
    if (sections.length > 1) return offset === 0 ? { section } : { section, line: section.first + offset - 1 };
    return { section, line: section.first + offset };
  }

  /** Returns the row of a line. */
  function rowOf(line) {
    const n = sectionOf(line);
    const section = sections[n];
    if (folded.has(section.first)) return starts[n];
    return starts[n] + (sections.length > 1 ? 1 : 0) + line - section.first;
  }

  // Lines.

  const lineAt = (n) => pages.get(Math.floor((n - 1) / PAGE))?.[(n - 1) % PAGE];
  let missing = new Set();
  let loadTimer = 0;

  function loadSoon() {
    if (!loadTimer && missing.size) {
      loadTimer = setTimeout(() => {
        loadTimer = 0;
        for (const page of missing) load(page);
      }, 30);
    }
  }

  async function load(page) {
    if (loading.has(page) || loading.size >= 4) return;
    loading.add(page);
    try {
      const lines = pages.get(page) ?? [];
      const last = Math.min(total, (page + 1) * PAGE);
      let from = page * PAGE + lines.length + 1;
      // An answer may have fewer lines than asked for.
      while (from <= last) {
        const answer = await fetch(url("", { from, count: last - from + 1 }), { headers: { accept: "application/json" } });
        if (!answer.ok) {
          // Too many requests, mostly; the next look asks again.
          await new Promise((resolve) => setTimeout(resolve, 1000 * Number(answer.headers.get("retry-after") ?? 1)));
          break;
        }
        const got = (await answer.json()).lines;
        if (!got.length) break;
        for (const line of got) lines[line.n - 1 - page * PAGE] = line;
        from = got[got.length - 1].n + 1;
      }
      pages.delete(page);
      pages.set(page, lines);
      for (const old of pages.keys()) {
        if (pages.size <= MAX_PAGES) break;
        pages.delete(old);
      }
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 1000));
    } finally {
      loading.delete(page);
      draw();
    }
  }

  // Rows.

  function marked(parent, text) {
    let from = 0;
    if (found.mark) {
      for (const match of text.matchAll(found.mark)) {
        if (!match[0]) break;
        parent.append(text.slice(from, match.index), make("mark", {}, match[0]));
        from = match.index + match[0].length;
      }
    }
    parent.append(text.slice(from));
  }

  function header(section) {
    const isFolded = folded.has(section.first);
    const button = make(
      "button",
      { type: "button", "aria-expanded": String(!isFolded) },
      `${isFolded ? "▸" : "▾"} ${section.title || "output"}`,
      make("span", { className: "n" }, `${section.lines} ${section.lines === 1 ? "line" : "lines"}`),
    );
    button.addEventListener("click", () => {
      if (!folded.delete(section.first)) folded.add(section.first);
      arrange();
      clamp();
      draw();
      const same = [...rows.querySelectorAll(".fold")].find((one) => one.dataset.first === String(section.first));
      same?.firstChild.focus({ preventScroll: true });
    });
    return make("div", { className: "row fold", "data-first": section.first }, button);
  }

  function lineRow(n) {
    const line = lineAt(n);
    const number = make("a", { className: "ln", href: `#L${n}`, id: `L${n}`, "aria-label": `Line ${n}`, tabIndex: -1 }, String(n));
    number.addEventListener("click", (event) => {
      event.preventDefault();
      anchor = event.shiftKey && anchor ? anchor : n;
      choose(Math.min(anchor, n), Math.max(anchor, n));
    });
    const element = make("div", { className: "row" }, number);
    if (!line) {
      element.append(make("span", { className: "text of" }, "…"));
      return element;
    }
    if (isOn(times)) element.append(make("span", { className: "at" }, clock(line.at_ms)));
    const text = make("span", { className: "text" });
    const isFailure = line.kind === "failure";
    if (line.derivation && !query && !isFailure) text.append(make("span", { className: "of" }, `${line.derivation}> `));
    for (const part of line.parts ?? [{ text: line.text, style: "" }]) {
      const target = part.style ? make("span", { className: part.style }) : text;
      marked(target, part.text);
      if (target !== text) text.append(target);
    }
    if (line.is_cut) text.append(make("span", { className: "of" }, "… cut; the download has all"));
    element.append(text);
    if (isFailure) element.classList.add("failure");
    if (chosen && n >= chosen[0] && n <= chosen[1]) element.classList.add("chosen");
    if (found.set.has(n)) element.classList.add("hit");
    if (found.lines[found.at] === n) element.classList.add("now");
    return element;
  }

  let style = 0;
  const restyle = () => {
    style += 1;
  };

  function key(index) {
    const { section, line } = at(index);
    if (line === undefined) return `s${section.first}|${section.lines}|${folded.has(section.first)}|${section.title}`;
    return `${line}|${lineAt(line) ? 1 : 0}|${style}`;
  }

  /** Keeps the position within the log. */
  function clamp() {
    row = Math.max(0, Math.min(row, nRows - 1));
    if (isExact()) {
      const most = Math.max(0, nRows * ROW - height());
      const now = Math.min(row * ROW + px, most);
      row = Math.floor(now / ROW);
      px = now - row * ROW;
      isAtEnd = now >= most - 2;
    }
  }

  function draw() {
    if (!nRows) return;
    clamp();
    missing = new Set();
    const first = Math.max(0, row - OVERSCAN);
    const last = Math.min(nRows, row + Math.ceil(height() / ROW) + OVERSCAN);
    const elements = [];
    const kept = new Map();
    for (let index = first; index < last; index += 1) {
      const { section, line } = at(index);
      if (line !== undefined && !lineAt(line)) missing.add(Math.floor((line - 1) / PAGE));
      const name = key(index);
      let element = drawn.get(index);
      if (!element || element.dataset.key !== name) {
        element = line === undefined ? header(section) : lineRow(line);
        element.dataset.key = name;
      }
      kept.set(index, element);
      elements.push(element);
    }
    drawn.clear();
    for (const [index, element] of kept) drawn.set(index, element);
    const isSame = rows.children.length === elements.length && elements.every((one, n) => rows.children[n] === one);
    if (!isSame) rows.replaceChildren(...elements);
    let shift = -(row - first) * ROW - px;
    if (isOn(wrap)) {
      shift = -(drawn.get(row)?.offsetTop ?? 0) - px;
      const bottom = rows.offsetHeight + shift;
      isAtEnd = last === nRows && bottom <= height() + 2;
      if (last === nRows && bottom < height()) {
        shift = Math.min(0, height() - rows.offsetHeight);
        for (let index = first; index < last; index += 1) {
          const element = drawn.get(index);
          if (element.offsetTop + element.offsetHeight > -shift) {
            row = index;
            px = -shift - element.offsetTop;
            break;
          }
        }
      }
    } else if (!isExact()) {
      const most = nRows * ROW - height();
      isAtEnd = row * ROW + px >= most - 2;
      if (row * ROW + px > most) {
        row = Math.max(0, Math.floor(most / ROW));
        px = Math.max(0, most - row * ROW);
        shift = -(row - first) * ROW - px;
      }
    }
    rows.style.transform = `translateY(${shift}px)`;
    loadSoon();
    news();
  }

  let frameAsked = false;
  function drawSoon() {
    if (frameAsked) return;
    frameAsked = true;
    requestAnimationFrame(() => {
      frameAsked = false;
      draw();
    });
  }

  // Position.

  function syncScroll() {
    const most = spacerHeight() - height();
    scroll.scrollTop = isExact() ? row * ROW + px : Math.round(most * Math.min(1, (row + px / heightOf(row)) / lastRow()));
    lastTop = scroll.scrollTop;
  }

  function move(by) {
    px += by;
    while (px < 0 && row > 0) {
      row -= 1;
      px += heightOf(row);
    }
    while (row < nRows - 1 && px >= heightOf(row)) {
      px -= heightOf(row);
      row += 1;
    }
    px = Math.max(0, px);
  }

  let syncTimer = 0;
  function scrolled() {
    const now = scroll.scrollTop;
    const by = now - lastTop;
    if (Math.abs(by) < 1) return;
    const most = spacerHeight() - height();
    lastTop = now;
    if (isExact()) {
      row = Math.floor(now / ROW);
      px = now - row * ROW;
    } else if (now <= 0) {
      [row, px] = [0, 0];
    } else if (now >= most - 1) {
      [row, px] = [nRows - 1, 0];
    } else if (Math.abs(by) < 2 * height()) {
      move(by);
      clearTimeout(syncTimer);
      syncTimer = setTimeout(() => {
        syncScroll();
      }, 150);
    } else {
      row = Math.floor((now / most) * lastRow());
      px = 0;
    }
    if (by < 0) setFollow(false);
    draw();
    if (by > 0 && isAtEnd && !isComplete) setFollow(true);
  }

  function goTo(index, part = 0) {
    row = Math.max(0, Math.min(nRows - 1, index));
    px = 0;
    move(-Math.floor(height() * part));
    clamp();
    draw();
    // Wrapped rows are measured once they are drawn.
    if (isOn(wrap)) draw();
    syncScroll();
  }

  function goEnd() {
    goTo(nRows - 1);
    if (isOn(wrap)) draw();
  }

  function goToLine(n) {
    setFollow(false);
    const section = sections[sectionOf(n)];
    if (folded.delete(section.first)) arrange();
    goTo(rowOf(n), 1 / 3);
  }

  // Following.

  function setFollow(on) {
    isFollowing = on && !isComplete;
    turn(follow, isFollowing);
    if (isFollowing && !isHovered) seen = total;
    news();
  }

  function news() {
    if (isAtEnd) seen = total;
    const n = total - seen;
    fresh.hidden = n <= 0;
    if (n > 0) fresh.textContent = `${n} new ${n === 1 ? "line" : "lines"} ↓`;
  }

  function extend(more) {
    if (more <= total) return;
    const stays = isFollowing && !isHovered;
    const wasAtEnd = isAtEnd;
    total = more;
    arrange();
    if (awaited && total >= awaited) readHash();
    document.getElementById("log-total").textContent = `${total.toLocaleString("en")} ${total === 1 ? "line" : "lines"}`;
    if (stays) {
      seen = total;
      goEnd();
    } else {
      if (wasAtEnd) isAtEnd = false;
      draw();
    }
  }

  // The address of lines.

  function choose(first, last) {
    chosen = [first, last];
    const hash = first === last ? `#L${first}` : `#L${first}-L${last}`;
    history.replaceState(null, "", hash);
    said.textContent = first === last ? `Line ${first} chosen` : `Lines ${first} to ${last} chosen`;
    restyle();
    draw();
  }

  function readHash() {
    const match = /^#L(\d{1,15})(?:-L?(\d{1,15}))?$/.exec(location.hash);
    awaited = 0;
    if (!match) return false;
    // The hub may not have read the recording that far.
    if (Number(match[1]) > total && !isComplete) awaited = Number(match[1]);
    const first = Math.min(Math.max(1, Number(match[1])), Math.max(1, total));
    const last = Math.min(Math.max(first, Number(match[2] ?? match[1])), Math.max(1, total));
    chosen = [first, last];
    anchor = first;
    restyle();
    goToLine(first);
    return true;
  }

  // Search.

  function markOf(text) {
    const source = isOn(regex) ? text : text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
    const flags = /\p{Lu}/u.test(text) ? "gu" : "giu";
    try {
      return new RegExp(source, flags);
    } catch {
      // The hub knows forms that a browser does not; the lines are marked all the same.
      return null;
    }
  }

  let searched = "";
  async function find() {
    const text = input.value;
    const asks = `${isOn(regex)}${text}`;
    const current = asks === searched ? found.lines[found.at] : undefined;
    searched = asks;
    Object.assign(found, { lines: [], set: new Set(), total: 0, at: -1, mark: null, isCurrent: true });
    if (text) {
      if (current === undefined) count.textContent = "…";
      try {
        const answer = await fetch(url("/search", { q: text, regex: isOn(regex) }));
        const body = await answer.json();
        if (!answer.ok) {
          count.textContent = body.error?.message ?? "failed";
          return;
        }
        Object.assign(found, { lines: body.lines, set: new Set(body.lines), total: body.total, mark: markOf(text), isCurrent: body.is_current });
      } catch {
        count.textContent = "no answer";
        return;
      }
    }
    found.at = found.lines.indexOf(current);
    restyle();
    draw();
    tellFound();
    // The hub still reads the recording: there may be more.
    const asked = searched;
    if (!found.isCurrent) setTimeout(() => asked === searched && find(), 2000);
  }

  function tellFound() {
    const all = found.total > found.lines.length ? `${found.total.toLocaleString("en")} (first ${found.lines.length.toLocaleString("en")} shown)` : found.total.toLocaleString("en");
    const said = found.total ? `${(found.at + 1).toLocaleString("en")} of ${all}` : "not found";
    count.textContent = input.value ? said + (found.isCurrent ? "" : " so far") : "";
  }

  async function step(by) {
    if (searched !== `${isOn(regex)}${input.value}`) {
      await find();
      if (!found.lines.length) return;
      // The first one at or below what is in view.
      const { line, section } = at(Math.min(row, nRows - 1));
      const here = line ?? section.first;
      const after = found.lines.findIndex((n) => n >= here);
      found.at = after < 0 ? 0 : after;
      if (by < 0) found.at = (found.at - 1 + found.lines.length) % found.lines.length;
    } else if (found.lines.length) {
      found.at = (found.at + by + found.lines.length) % found.lines.length;
    } else {
      return;
    }
    restyle();
    goToLine(found.lines[found.at]);
    tellFound();
  }

  // News.

  let isFetching = false;
  let isAsked = false;
  async function fetchSections() {
    isAsked = true;
    if (isFetching) return;
    isFetching = true;
    isAsked = false;
    try {
      const answer = await fetch(url("/sections"));
      if (!answer.ok) return;
      const body = await answer.json();
      const line = at(Math.min(row, Math.max(0, nRows - 1))).line;
      sections = body.sections;
      extend(body.total);
      arrange();
      if (awaited && total >= awaited) readHash();
      else if (line !== undefined && !isFollowing) row = rowOf(line);
      if (isFollowing && !isHovered) goEnd();
      else draw();
      syncScroll();
    } catch {
      // Without sections there are only lines.
    } finally {
      isFetching = false;
      if (isAsked) fetchSections();
    }
  }

  function watch() {
    let sectionsTimer = 0;
    const stop = listen(() => url("/events", { text: false, since: total }), () => {}, {
      extent: (event) => {
        extend(JSON.parse(event.data).total);
        sectionsTimer ||= setTimeout(() => {
          sectionsTimer = 0;
          fetchSections();
        }, 2000);
      },
      end: (event) => {
        stop();
        clearTimeout(sectionsTimer);
        extend(JSON.parse(event.data).total);
        fetchSections();
        isComplete = true;
        if (awaited) readHash();
        follow.disabled = true;
        setFollow(false);
      },
    });
  }

  this.start = () => {
    // The part of the log that was there for readers without scripts goes.
    box.replaceChildren(controls, frame, said);
    arrange();
    syncScroll();
    draw();
    scroll.addEventListener("scroll", scrolled, { passive: true });
    scroll.addEventListener("mouseenter", () => {
      isHovered = true;
    });
    scroll.addEventListener("mouseleave", () => {
      isHovered = false;
      if (isFollowing) goEnd();
    });
    new ResizeObserver(() => {
      arrange();
      if (isFollowing && !isHovered) goEnd();
      else drawSoon();
    }).observe(scroll);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      step(1);
    });
    input.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && event.shiftKey) {
        event.preventDefault();
        step(-1);
      }
    });
    input.addEventListener("search", () => {
      if (!input.value) find();
    });
    previous.addEventListener("click", () => step(-1));
    regex.addEventListener("click", () => turn(regex, !isOn(regex)));
    wrap.addEventListener("click", () => {
      turn(wrap, !isOn(wrap));
      frame.classList.toggle("wrap", isOn(wrap));
      goTo(row);
    });
    times.addEventListener("click", () => {
      turn(times, !isOn(times));
      restyle();
      goTo(row);
    });
    fold.addEventListener("click", () => {
      if (folded.size >= sections.length) folded.clear();
      else for (const one of sections) folded.add(one.first);
      arrange();
      goTo(0);
    });
    top.addEventListener("click", () => {
      setFollow(false);
      goTo(0);
    });
    const toEnd = () => {
      goEnd();
      seen = total;
      setFollow(true);
    };
    end.addEventListener("click", toEnd);
    fresh.addEventListener("click", toEnd);
    follow.addEventListener("click", () => {
      setFollow(!isFollowing);
      if (isFollowing) goEnd();
    });
    addEventListener("hashchange", readHash);
    document.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select")) return;
      const actions = {
        "/": () => input.focus(),
        n: () => step(1),
        N: () => step(-1),
        f: () => follow.click(),
        w: () => wrap.click(),
        t: () => times.click(),
        g: () => top.click(),
        G: () => end.click(),
      };
      if (!actions[event.key]) return;
      event.preventDefault();
      actions[event.key]();
    });
    const hasHash = readHash();
    const from = Number(new URLSearchParams(location.search).get("from") ?? 0);
    if (hasHash) isFollowing = false;
    else if (from > 0) goToLine(Math.min(from, Math.max(1, total)));
    else setFollow(true);
    if (isFollowing) goEnd();
    fetchSections();
    watch();
  };
}
