// What makes the panel quicker where there are scripts. Nothing depends on it.

// "/" goes to the search box, Escape leaves it.
document.addEventListener("keydown", (event) => {
  const box = document.getElementById("q");
  const isTyping = event.target instanceof Element && event.target.closest("input, textarea, select, [contenteditable]");
  if (event.key === "/" && box && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    box.focus();
    box.select();
  } else if (event.key === "Escape") {
    if (event.target === box) box.blur();
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      menu.open = false;
      if (menu.contains(event.target)) menu.querySelector("summary").focus();
    }
  }
});

// One menu is open at a time, and none once somebody looks elsewhere.
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});

// A list of what is wrong is where somebody is after sending a form.
document.querySelector(".problems")?.focus();

// A graph says what it shows at the place where the pointer is; elsewhere it says what it shows at all.
const units = ["B", "K", "M", "G", "T"];
const asBytes = (value) => {
  let unit = 0;
  for (; value >= 1000 && unit < 4; unit++) value /= 1024;
  return `${value < 10 && unit > 0 ? value.toFixed(1) : value.toFixed(0)}\u202f${units[unit]}`;
};
const inUnit = {
  processors: (value) => value.toFixed(2),
  bytes: asBytes,
  "bytes-per-second": (value) => `${asBytes(value)}/s`,
  "per-second": (value) => `${value < 10 ? value.toFixed(1) : value.toFixed(0)}/s`,
};
// They are made anew while somebody looks, so it is the page that listens.
let pointed = null;
function leave() {
  if (pointed === null) return;
  pointed.cursor.remove();
  pointed.said.textContent = pointed.usual;
  pointed = null;
}
document.addEventListener("pointermove", (event) => {
  const picture = event.target instanceof Element ? event.target.closest("[data-graph] svg.plot") : null;
  if (pointed !== null && pointed.picture !== picture) leave();
  if (picture === null) return;
  const graph = picture.closest("[data-graph]");
  if (pointed === null) {
    const cursor = document.createElementNS("http://www.w3.org/2000/svg", "line");
    cursor.setAttribute("class", "cursor");
    cursor.setAttribute("y1", "0");
    cursor.setAttribute("y2", "120");
    const said = graph.querySelector(".graph-said");
    pointed = { picture, cursor, said, usual: said.textContent };
  }
  const { cursor, said } = pointed;
  const lines = [...graph.querySelectorAll("path[data-values]")].map((path) => [path.dataset.label, path.dataset.values.split(",")]);
  const count = lines[0][1].length;
  const box = picture.getBoundingClientRect();
  const place = Math.min(count - 1, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * count)));
  const across = `${((place + 0.5) * 100) / count}%`;
  cursor.setAttribute("x1", across);
  cursor.setAttribute("x2", across);
  picture.append(cursor);
  const at = new Date(Number(graph.dataset.begins) + place * Number(graph.dataset.step));
  const when = at.toLocaleString("en-GB", { timeZone: "UTC", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
  const values = lines.map(([label, values]) => `${label} ${values[place] === "" ? "–" : inUnit[graph.dataset.graph](Number(values[place]))}`);
  said.textContent = `${when}: ${values.join(", ")}`;
});
document.addEventListener("pointerleave", leave);

// Where the parts of the panel are a row that is wider than the window, the one that is shown is seen.
const side = document.querySelector(".side");
const here = side?.querySelector("[aria-current]");
function showHere() {
  if (side.scrollWidth > side.clientWidth) side.scrollLeft = here.offsetLeft - (side.clientWidth - here.offsetWidth) / 2;
}
if (here) {
  showHere();
  window.addEventListener("resize", showHere);
}

// A form is sent once.
document.addEventListener("submit", (event) => {
  if (event.target.dataset.sent) {
    event.preventDefault();
    return;
  }
  const form = event.target;
  if (form.method !== "post") return;
  form.dataset.sent = "yes";
  // Whoever stopped the browser while it waited for the answer may send it again.
  setTimeout(() => delete form.dataset.sent, 8000);
});
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});

// What is there to be copied has a button for it, where browsers let pages write to the clipboard.
for (const code of navigator.clipboard ? document.querySelectorAll("code.copy") : []) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Copy";
  const said = document.createElement("span");
  said.setAttribute("role", "status");
  said.className = "quiet small";
  button.addEventListener("click", () => {
    navigator.clipboard.writeText(code.textContent).then(
      () => (said.textContent = "Copied."),
      () => (said.textContent = "The browser does not allow it: choose the text."),
    );
  });
  code.after(button, said);
}

// The box at the head of a table ticks all of its rows.
for (const all of document.querySelectorAll("input[data-all]")) {
  all.hidden = false;
  const boxes = () => [...document.querySelectorAll(`input[name="${all.dataset.all}"]`)];
  all.addEventListener("change", () => boxes().forEach((box) => (box.checked = all.checked)));
}

// Makes an element as another one is, and leaves alone what is alike in both: whoever has the focus there, or a menu open, keeps it.
function become(old, fresh) {
  // A menu that is open is the same menu.
  const alike = (one, other) => one.nodeName === other.nodeName && (one.isEqualNode(other) || (one.open && one.innerHTML === other.innerHTML));
  if (old.isEqualNode(fresh)) return;
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && name !== "open" && name !== "data-sent") old.removeAttribute(name);
  }
  const holdsText = (node) => [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim() !== "");
  if (!old.firstElementChild || !fresh.firstElementChild || holdsText(old) || holdsText(fresh)) {
    old.replaceChildren(...fresh.childNodes);
    return;
  }
  let at = old.firstElementChild;
  const nodes = [...fresh.children];
  for (const [place, node] of nodes.entries()) {
    if (at === null) {
      old.append(node);
      continue;
    }
    if (!alike(at, node)) {
      let found = at.nextElementSibling;
      while (found !== null && !alike(found, node)) found = found.nextElementSibling;
      if (found !== null) {
        // What stands before it is there no more.
        while (at !== found) {
          const gone = at;
          at = at.nextElementSibling;
          gone.remove();
        }
      } else if (at.nodeName !== node.nodeName || nodes.slice(place + 1).some((later) => alike(at, later))) {
        old.insertBefore(node, at);
        continue;
      } else {
        become(at, node);
      }
    }
    at = at.nextElementSibling;
  }
  while (at !== null) {
    const gone = at;
    at = at.nextElementSibling;
    gone.remove();
  }
}

// Live parts: each event is the part anew. A part in which somebody has something selected is left as it is until they have not.
// A page that nobody sees follows nothing: browsers open six connections to one place, for all of its tabs together.
function follow(part) {
  let source = null;
  let waiting = null;
  const isHeld = () => {
    const selection = document.getSelection();
    return selection && !selection.isCollapsed && part.contains(selection.anchorNode);
  };
  const put = () => {
    if (waiting === null || isHeld()) return;
    const fresh = part.cloneNode(false);
    fresh.innerHTML = waiting;
    waiting = null;
    const hadFocus = part.contains(document.activeElement);
    become(part, fresh);
    if (hadFocus && !part.contains(document.activeElement)) {
      // What had it is gone: it goes to the part, from where Tab goes on.
      part.tabIndex = -1;
      part.focus({ preventScroll: true });
    }
  };
  const close = () => {
    source?.close();
    source = null;
  };
  const open = () => {
    if (source !== null || document.hidden) return;
    source = new EventSource(part.dataset.live);
    source.addEventListener("part", (event) => {
      part.dataset.follows = "yes";
      waiting = event.data;
      put();
    });
    source.addEventListener("error", (event) => {
      // It is tried again by itself, unless the answer was no: the session has ended, or the thing is gone.
      if (event.target.readyState === EventSource.CLOSED) part.dataset.follows = "ended";
    });
  };
  document.addEventListener("selectionchange", put);
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", open);
  open();
}
for (const part of document.querySelectorAll("[data-live]")) follow(part);
