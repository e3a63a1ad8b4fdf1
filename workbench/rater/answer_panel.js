// The answer panel: an emotion and its intensity, or what is wrong; Save, Undo; hotkeys.
//
// The choice lives here until the server says that it is stored: a click costs no round trip, and a lost connection
// or a restarted server loses nothing. Save is repeated until an outcome for exactly this answer comes back; the
// server stores an answer once however often it arrives.
const RETRY_MS = 4000;
const DRAFT = "eavanet-draft";
const HOTKEYS = { KeyH: "happy", KeyA: "angry", KeyS: "sadness", KeyN: "neutral" };
const panels = new WeakMap();

class Panel {
  constructor(root) {
    this.root = root;
    this.form = root.querySelector(".panel");
    this.shown = null; // the key of the clip that the choice belongs to
    this.pending = null; // what is on its way to the server
    this.seenOutcome = null;
    this.form.addEventListener("submit", (event) => { event.preventDefault(); this.save(); });
    this.form.addEventListener("change", (event) => this.changed(event.target));
    this.form.addEventListener("input", (event) => { if (event.target.type === "text") this.refresh(); });
    // After a click or a tap the keyboard belongs to the page again, so that Space plays the clip.
    this.form.addEventListener("pointerdown", () => { this.byPointer = true; });
    this.form.addEventListener("keydown", () => { this.byPointer = false; });
    this.one(".undo").addEventListener("click", () => this.ask("undo"));
    this.one(".leave").addEventListener("click", () => this.ask("leave"));
    this.onKey = (event) => this.hotkey(event);
    this.onOnline = () => { if (this.pending) this.send(); };
    this.onPlayer = ({ detail }) => this.played(detail);
  }

  one(selector) { return this.form.querySelector(selector); }

  open() {
    document.addEventListener("keydown", this.onKey);
    document.addEventListener("eavanet-player", this.onPlayer);
    window.addEventListener("online", this.onOnline);
  }

  close() {
    document.removeEventListener("keydown", this.onKey);
    document.removeEventListener("eavanet-player", this.onPlayer);
    window.removeEventListener("online", this.onOnline);
    clearTimeout(this.timer);
  }

  // ---- what the server says

  update(data, trigger) {
    this.data = data;
    this.trigger = trigger;
    this.open();
    this.label();
    this.hear(data.outcome);
    if (data.key !== this.shown && !this.pending) this.show();
    else if (this.pending && data.key !== this.pending.key) this.send(); // a new connection: did it arrive?
    this.refresh();
  }

  // The clip was played to its end; that is remembered with the choice, and sent with the answer.
  played({ id, type, plays, coverage, watched_s: seconds }) {
    if (type !== "ended" || id !== this.data.clip || this.data.key !== this.shown) return;
    const before = this.watched ?? { plays: 0, coverage: 0, watched_s: 0 };
    this.watched = { plays: Math.max(before.plays, plays), coverage: Math.max(before.coverage, coverage),
      watched_s: Math.max(before.watched_s, seconds) };
    this.refresh();
  }

  hear(outcome) {
    if (!outcome || outcome.id === this.seenOutcome) return;
    this.seenOutcome = outcome.id;
    const mine = this.pending && outcome.key === this.pending.key;
    if (mine) {
      clearTimeout(this.timer);
      this.pending = null;
    }
    const notice = this.one(".notice");
    notice.textContent = outcome.message || "";
    notice.hidden = !outcome.message;
    const parts = [this.data.texts.saved, outcome.progress].filter(Boolean);
    this.say(outcome.saved ? `✓ ${parts.join(" · ")}` : "");
    if (mine && outcome.settled) {
      forget(outcome.key);
      this.shown = null; // whatever comes next is shown afresh
    }
  }

  show() {
    const { key, answer } = this.data;
    this.shown = key;
    this.asked = false;
    this.watched = remembered(key)?.watched ?? null;
    this.fill(answer || remembered(key)?.choice || {});
  }

  fill({ emotion = null, intensity = null, reason = null, words = "" }) {
    for (const input of this.form.querySelectorAll("input[type=radio]")) {
      input.checked = input.value === String({ emotion, intensity, reason }[input.name] ?? "");
    }
    this.one(".words input").value = words;
    this.one("details").open = Boolean(reason);
  }

  label() {
    const { texts, language } = this.data;
    const labelled = JSON.stringify([language, this.data.revising]);
    if (labelled === this.labelled) return;
    this.labelled = labelled;
    const chosen = this.choice(); // a change of language keeps the choice
    this.form.lang = language;
    this.one(".emotion legend").textContent = texts.question;
    this.one(".emotion .choices").replaceChildren(
      ...this.data.emotions.map(({ key, word, hotkey }) => choice("emotion", key, word, hotkey)));
    this.one(".intensity legend").textContent = texts.how_strongly;
    this.one(".intensity .choices").replaceChildren(...[1, 2, 3, 4, 5].map((level) => {
      const end = { 1: texts.low, 5: texts.high }[level];
      return choice("intensity", level, String(level), null, end ? `${level}, ${end}` : String(level));
    }));
    this.one(".low").textContent = `1 = ${texts.low}`;
    this.one(".high").textContent = `5 = ${texts.high}`;
    this.one("summary").textContent = texts.problem;
    this.one(".reasons").replaceChildren(...this.data.reasons.map(({ problem, reasons }) => {
      const group = element("fieldset", {}, element("legend", {}, texts[problem]));
      group.append(...reasons.map((reason) => element("label", { class: "reason" },
        element("input", { type: "radio", name: "reason", value: reason }), element("span", {}, texts[reason]))));
      return group;
    }));
    this.one(".words span").textContent = texts.words;
    this.one(".words input").placeholder = texts.words_placeholder;
    this.one(".save").replaceChildren(this.data.revising ? texts.save_change : texts.save, kbd("Enter"));
    this.one(".undo").replaceChildren(texts.undo, kbd("U"));
    this.one(".undo").title = texts.undo_help;
    this.one(".leave").textContent = texts.leave;
    this.fill(chosen);
  }

  // ---- what the rater does

  choice() {
    const value = (name) => this.form.querySelector(`input[name=${name}]:checked`)?.value ?? null;
    const intensity = value("intensity");
    return { emotion: value("emotion"), intensity: intensity && Number(intensity), reason: value("reason"),
      words: this.one(".words input").value.trim() };
  }

  changed(input) {
    if (input.name === "reason") this.clear("emotion", "intensity");
    else if (input.name) this.clear("reason");
    if (this.byPointer && input.type === "radio") input.blur();
    this.asked = false;
    this.say("");
    this.one(".notice").hidden = true;
    this.refresh();
  }

  clear(...names) {
    for (const name of names) for (const input of this.form.querySelectorAll(`input[name=${name}]`)) input.checked = false;
  }

  pick(name, value) {
    const input = this.form.querySelector(`input[name=${name}][value="${value}"]`);
    if (!input || this.pending) return;
    input.checked = true;
    this.changed(input);
    // Whatever was clicked before has the focus still: Enter and Space now mean Save and Play, not that button.
    let focused = document.activeElement;
    while (focused?.shadowRoot?.activeElement) focused = focused.shadowRoot.activeElement;
    focused?.blur();
  }

  problemOf(reason) {
    return this.data.reasons.find(({ reasons }) => reasons.includes(reason))?.problem ?? null;
  }

  // Why Save does not work yet, or null.
  missing() {
    const { texts, watching_optional: optional } = this.data;
    const { emotion, intensity, reason, words } = this.choice();
    const broken = this.problemOf(reason) === "broken_clip";
    if (!this.watched?.plays && !optional && !broken) return texts.watch_first;
    if (reason) return reason === "something_else" && !words ? texts.say_what : null;
    if (emotion && intensity) return null;
    if (emotion) return texts.choose_intensity;
    if (intensity) return texts.choose_emotion;
    return this.one("details").open ? texts.choose_reason : texts.choose_both;
  }

  refresh() {
    const { texts } = this.data;
    const missing = this.missing();
    const why = this.one(".why");
    why.textContent = this.pending ? "" : missing ?? texts.ready;
    why.classList.toggle("asked", Boolean(this.asked && missing));
    this.one(".save").setAttribute("aria-disabled", String(Boolean(missing || this.pending)));
    this.one(".undo").hidden = !this.data.can_undo;
    this.one(".leave").hidden = !this.data.revising;
    this.form.classList.toggle("revising", this.data.revising);
    for (const input of this.form.querySelectorAll("input")) input.disabled = Boolean(this.pending);
    if (!this.pending && this.shown) remember(this.shown, this.choice(), this.watched);
  }

  save() {
    if (this.pending) return;
    const missing = this.missing();
    if (missing) {
      this.asked = true;
      this.refresh();
      this.say("");
      // Announced even if it is the same sentence as a moment ago.
      this.one(".notice").hidden = true;
      return;
    }
    const { reason, ...rest } = this.choice();
    this.pending = { key: this.shown, ...rest, reason, problem: this.problemOf(reason), watched: this.watched };
    this.refresh();
    this.say(this.data.texts.saving);
    this.send();
  }

  send() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.say(this.data.texts.waiting, true);
      this.send();
    }, RETRY_MS);
    try {
      this.trigger("save", this.pending);
    } catch (error) {
      console.warn("eavanet: not sent, will be repeated", error);
    }
  }

  ask(what) {
    const button = this.one(`.${what}`);
    if (this.pending || button.hidden) return;
    forget(this.shown);
    this.say("");
    this.trigger(what, { key: this.shown });
  }

  say(text, waiting = false) {
    const status = this.one(".status");
    status.textContent = text;
    status.classList.toggle("waiting", waiting);
  }

  hotkey(event) {
    if (event.defaultPrevented || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
    if (document.querySelector("[role=dialog]")) return;
    const target = event.composedPath()[0];
    const inside = event.composedPath().includes(this.form);
    if (target.isContentEditable || target.tagName === "TEXTAREA" || target.tagName === "SELECT") return;
    if (target.tagName === "INPUT" && !["radio", "range", "checkbox"].includes(target.type)) return;
    if (event.key === "Enter") {
      // Inside the form and on buttons and links the browser knows what Enter means.
      if (inside || target.closest?.("button, a, summary, [role=button], [role=option]")) return;
      this.save();
    } else {
      const code = letter(event);
      if (HOTKEYS[code]) this.pick("emotion", HOTKEYS[code]);
      else if (/^(Digit|Numpad)[1-5]$/.test(event.code) && /^[1-5]$/.test(event.key)) this.pick("intensity", event.key);
      else if (code === "KeyU") this.ask("undo");
      else return;
    }
    event.preventDefault();
  }
}

// The letter on the key as "KeyX": by what is printed on it, or by its place where the keyboard writes Hangul or the like.
function letter(event) {
  return /^[a-z]$/i.test(event.key) ? `Key${event.key.toUpperCase()}` : /^[\x00-\x7f]$/.test(event.key) ? null : event.code;
}

function element(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function kbd(text) { return element("kbd", { "aria-hidden": "true" }, text === "Enter" ? "⏎" : text); }

function choice(name, value, word, hotkey, spoken = word) {
  const input = element("input", { type: "radio", name, value, "aria-label": spoken, "aria-keyshortcuts": hotkey ?? word });
  const card = element("span", { class: "card" }, element("span", {}, word), ...(hotkey ? [kbd(hotkey)] : []));
  return element("label", { class: "choice" }, input, card);
}

// The unsaved choice survives a reload of this tab.
function remember(key, choice, watched) {
  try { sessionStorage.setItem(DRAFT, JSON.stringify({ key, choice, watched })); } catch { /* not vital */ }
}

function remembered(key) {
  try {
    const draft = JSON.parse(sessionStorage.getItem(DRAFT));
    return draft?.key === key ? draft : null;
  } catch { return null; }
}

function forget(key) {
  if (remembered(key)) sessionStorage.removeItem(DRAFT);
}

export default function ({ data, parentElement, setTriggerValue }) {
  const panel = panels.get(parentElement) ?? new Panel(parentElement);
  panels.set(parentElement, panel);
  panel.update(JSON.parse(new TextDecoder().decode(data)), setTriggerValue);
  // Streamlit calls a clean-up late when runs overtake each other; only that of the newest run may close the panel.
  const run = (panel.run = (panel.run ?? 0) + 1);
  return () => { if (panel.run === run) panel.close(); };
}
