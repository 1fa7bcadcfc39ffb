// The console of a guest: xterm.js, and the WebSocket to it. See panel/console.rs for what is sent.

const room = document.getElementById("console");
const part = (name) => document.getElementById(`console-${name}`);
const [bar, word, said, screen, connect, reader, size, leave, stty] = ["bar", "word", "said", "screen", "connect", "reader", "size", "leave", "stty"].map(part);

// xterm.js makes <style> elements and style attributes, which the page's policy forbids. So style elements that this page makes fill
// style sheets made by script instead, and spans take their styles one by one. Both are allowed, for they cannot come out of
// somebody's text. (Its option documentOverride does not reach all of its parts.)
const make = document.createElement.bind(document);
function styleElement() {
  const stand = make("div");
  const sheet = new CSSStyleSheet();
  stand.hidden = true;
  document.adoptedStyleSheets.push(sheet);
  Object.defineProperty(stand, "textContent", { set: (text) => sheet.replaceSync(text) });
  stand.remove = () => {
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter((one) => one !== sheet);
    Element.prototype.remove.call(stand);
  };
  return stand;
}
function setAttribute(name, value) {
  if (name === "style") this.style.cssText = value;
  else Element.prototype.setAttribute.call(this, name, value);
}
document.createElement = (name) => {
  if (name === "style") return styleElement();
  const element = make(name);
  if (name === "span") element.setAttribute = setAttribute;
  return element;
};

const { Terminal } = await import(room.dataset.terminal);
const terminal = new Terminal({
  cols: 80,
  rows: 24,
  scrollback: 5000,
  cursorBlink: !matchMedia("(prefers-reduced-motion: reduce)").matches,
  fontFamily: 'ui-monospace, "Cascadia Mono", "JetBrains Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace',
  minimumContrastRatio: 4.5,
  theme: { background: "#14171a", foreground: "#e4e8eb", cursor: "#6cc9bd", selectionBackground: "#31536b" },
  // What a guest prints leads nowhere.
  linkHandler: { activate() {} },
});
bar.hidden = leave.hidden = false;

const keep = (name, value) => {
  try {
    localStorage.setItem(`console-${name}`, value);
  } catch {
    // A browser that keeps nothing asks again.
  }
};
const kept = (name) => {
  try {
    return localStorage.getItem(`console-${name}`);
  } catch {
    return null;
  }
};

// Letters are as large as the window allows; what is wider than it is scrolled.
function fit() {
  const [cols, rows] = size.value.split("x").map(Number);
  const room = screen.clientWidth - 28;
  const fontSize = Math.max(6, Math.min(18, Math.floor((room / (cols * 0.605)) * 4) / 4));
  if (terminal.options.fontSize !== fontSize) terminal.options.fontSize = fontSize;
  if (terminal.cols !== cols || terminal.rows !== rows) terminal.resize(cols, rows);
  stty.hidden = size.value === "80x24";
  stty.querySelector("code").textContent = `stty cols ${cols} rows ${rows}`;
}
function readAloud(wanted) {
  terminal.options.screenReaderMode = wanted;
  reader.setAttribute("aria-pressed", String(wanted));
  keep("reader", wanted ? "yes" : "no");
}
if ([...size.options].some((option) => option.value === kept("size"))) size.value = kept("size");
size.addEventListener("change", () => {
  keep("size", size.value);
  fit();
});
reader.addEventListener("click", () => readAloud(reader.getAttribute("aria-pressed") !== "true"));
terminal.options.screenReaderMode = kept("reader") === "yes";
reader.setAttribute("aria-pressed", String(kept("reader") === "yes"));

fit();
terminal.open(screen);
terminal.textarea.setAttribute("aria-describedby", "console-leave");
new ResizeObserver(fit).observe(screen);

// Ctrl-] goes to the buttons above, as it leaves telnet and the command line's console.
terminal.attachCustomKeyEventHandler((event) => {
  const leaves = event.ctrlKey && !event.altKey && (event.key === "]" || event.code === "BracketRight");
  if (leaves && event.type === "keydown") {
    event.preventDefault();
    (connect.hidden ? reader : connect).focus();
  }
  return !leaves;
});

function state(tone, text, more = "") {
  word.className = `badge large ${tone}`;
  word.textContent = text;
  said.textContent = more;
}

const encoder = new TextEncoder();
const SHORT = 10_000; // A console that was lost so soon after it was opened is not fought for.
const SLOWEST = 15_000;
let socket = null;
let isConnected = false;
let isMuted = true;
let pause = 1000;
let again = 0;
let shortOnes = 0;
let seat = ""; // Which one it was, so that only our own is taken back by itself.

function type(bytes) {
  // What the terminal answers to what was printed before is no answer to anybody.
  if (!isConnected || isMuted) return;
  for (let at = 0; at < bytes.length; at += 16_384) socket.send(bytes.subarray(at, at + 16_384));
}
terminal.onData((text) => type(encoder.encode(text)));
terminal.onBinary((text) => type(Uint8Array.from(text, (letter) => letter.charCodeAt(0))));

// The terminal answers guests by itself, too: only who touches a key is there, which keeps the session.
const NOTED_EVERY = 60_000;
let noted = 0;
function isThere() {
  if (!isConnected || isMuted || Date.now() - noted < NOTED_EVERY) return;
  noted = Date.now();
  socket.send("there");
}
for (const kind of ["keydown", "paste", "input"]) terminal.textarea?.addEventListener(kind, isThere);

function later(milliseconds) {
  clearTimeout(again);
  again = setTimeout(() => open(true), milliseconds);
}

// Whether the session has ended, or the guest is gone: the answer to a WebSocket that is refused tells a script nothing.
async function whyRefused() {
  try {
    const answer = await fetch(location.pathname, { redirect: "manual" });
    if (answer.type === "opaqueredirect") return "Your session has ended: load this page anew to log in.";
    if (answer.status >= 400 && answer.status < 500) return "You cannot open it any more.";
  } catch {
    // The brain is away.
  }
  return null;
}

async function closed(event, opened) {
  isConnected = false;
  socket = null;
  connect.hidden = false;
  connect.textContent = "Connect again";
  if (event.code === 4001) return state("warn", "taken", "Somebody opened this console elsewhere.");
  if (event.code === 4003) return state("off", "ended", "Your session has ended: load this page anew to log in.");
  if (event.code === 4009) {
    state("warn", "not connected", `${event.reason}. Trying again…`);
    return later(5000);
  }
  if (event.code === 4000) {
    shortOnes = opened !== null && performance.now() - opened < SHORT ? shortOnes + 1 : 0;
    if (shortOnes > 1) return state("off", "closed", "It was closed twice at once: the guest does not run, or somebody on its host has the console.");
    state("busy", "closed", "The guest stopped, or somebody on its host took the console. Trying again…");
    return later(3000);
  }
  const why = opened === null ? await whyRefused() : null;
  if (why !== null) return state("off", "ended", why);
  state("warn", "cut", "The brain cannot be reached. Trying again…");
  later(pause);
  pause = Math.min(SLOWEST, pause * 2);
}

// Whatever was printed before may have left a full screen, colours, a keypad that says other keys, a mouse that types.
const usual = "\x1b[!p\x1b[?1049l\x1b[0m\x1b[?25h\x1b[?1l\x1b>" + [9, 1000, 1002, 1003, 1004, 1005, 1006, 1015, 1016, 2004].map((mode) => `\x1b[?${mode}l`).join("");

function open(byItself = false) {
  clearTimeout(again);
  if (socket !== null) return;
  state("busy", "connecting…");
  connect.hidden = true;
  isMuted = true;
  let opened = null;
  const address = new URL(room.dataset.socket, location.href);
  if (byItself) address.searchParams.set("again", seat);
  address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
  const mine = new WebSocket(address);
  socket = mine;
  mine.binaryType = "arraybuffer";
  let isFirst = true;
  mine.addEventListener("message", (event) => {
    // What was printed before comes anew.
    if (isFirst) terminal.reset();
    isFirst = false;
    if (event.data instanceof ArrayBuffer) {
      terminal.write(new Uint8Array(event.data));
      return;
    }
    opened = performance.now();
    isConnected = true;
    pause = 1000;
    seat = event.data.split(" ")[1];
    terminal.write(usual, () => (isMuted = false));
    state("good", "connected");
    const at = document.activeElement;
    if (at === document.body || at === connect || at?.id === "main") terminal.focus();
  });
  mine.addEventListener("close", (event) => {
    if (socket === mine) closed(event, opened);
  });
}

connect.addEventListener("click", () => {
  shortOnes = 0;
  pause = 1000;
  open();
});
window.addEventListener("pagehide", () => {
  clearTimeout(again);
  const old = socket;
  socket = null;
  isConnected = false;
  old?.close();
});
window.addEventListener("pageshow", (event) => {
  if (event.persisted) open(true);
});
open();
