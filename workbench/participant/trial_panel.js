// One trial of a study: a film, or two of which one plays at a time (film.js); questions; Save.
//
// Films are fetched whole before they play, those of the next trial while this one is answered, so that a slow network
// shows as "loading" and not as a face that stops. Answers may be given when every film has been played to its end; the
// server checks that again. Save is repeated until an outcome for this very trial comes back; the server stores an
// answer once however often it arrives. What was played is told as sums since the tab was opened, so a message that is
// lost or doubled does no harm.
const RETRY_MS = 4000;
const DRAFT = "eavanet-trial";
const panels = new WeakMap();

class Panel {
  constructor(root) {
    this.form = root.querySelector(".trial");
    this.films = [];
    this.form.addEventListener("submit", (event) => { event.preventDefault(); this.save(); });
    this.form.addEventListener("change", () => { this.asked = false; this.say(""); this.refresh(); });
    this.form.addEventListener("pointerdown", () => { this.byPointer = true; });
    this.form.addEventListener("keydown", () => { this.byPointer = false; });
    this.form.addEventListener("click", (event) => {
      // After a click or a tap the keyboard belongs to the page again, so that Space plays.
      if (this.byPointer && event.target.matches?.("input[type=radio], .play")) event.target.blur();
    });
    this.onKey = (event) => this.hotkey(event);
    this.onVisible = () => this.visibility();
    this.onOnline = () => { if (this.pending) this.send(); };
  }

  one(selector) { return this.form.querySelector(selector); }

  open() {
    document.addEventListener("keydown", this.onKey);
    document.addEventListener("visibilitychange", this.onVisible);
    window.addEventListener("online", this.onOnline);
  }

  close() {
    document.removeEventListener("keydown", this.onKey);
    document.removeEventListener("visibilitychange", this.onVisible);
    window.removeEventListener("online", this.onOnline);
    clearTimeout(this.timer);
    for (const film of this.films) film.stop();
  }

  // ---- what the server says

  update(data, trigger) {
    const before = this.data;
    this.data = data;
    this.trigger = trigger;
    this.open();
    this.hear(data.outcome);
    if (data.key !== this.shown && !this.pending) this.show();
    else if (this.shown === data.key) this.renewed(before);
    if (this.pending && data.key !== this.pending.key) this.send(); // a new connection: did it arrive?
    if (data.key === this.shown) this.acknowledged = data.reported;
    this.label();
    this.refresh();
    this.fetchAhead();
  }

  // A new connection has other names for the same films: those in memory play on, and sums begin anew.
  renewed(before) {
    if (before.tab === this.data.tab) return;
    for (const film of this.films) {
      const known = this.acknowledged?.[film.side] ?? {};
      for (const name of COUNTS) film.counts[name] = Math.max(0, film.counts[name] - (known[name] ?? 0));
      if (film.state === "error" || film.state === "loading") film.load(this.data.films[film.side]);
    }
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
    this.say(outcome.saved ? `✓ ${this.data.texts.saved}` : "");
    if (mine && outcome.watch_again) for (const film of this.films) film.watched = false;
    if (mine && outcome.settled) {
      forget();
      this.shown = null; // whatever comes next is shown afresh
    }
  }

  show() {
    const { key, films } = this.data;
    this.shown = key;
    this.asked = false;
    this.labelled = null;
    for (const film of this.films) film.stop();
    const kept = remembered(key);
    this.films = Object.keys(films).map((side) => new Film(this, side));
    this.one(".films").replaceChildren(...this.films.map((film) => film.root));
    this.one(".films").classList.toggle("one", this.films.length === 1);
    this.label();
    for (const film of this.films) {
      film.watched = this.data.may_answer || Boolean(kept?.watched?.[film.side]);
      film.load(films[film.side]);
    }
    this.fill(kept?.answers ?? {});
    if (this.everShown) this.form.scrollIntoView({ block: "nearest" });
    this.everShown = true;
  }

  fill(answers) {
    for (const input of this.form.querySelectorAll("input[type=radio]")) {
      input.checked = String(answers[input.name] ?? "") === input.value;
    }
  }

  fetchAhead() {
    const { films, ahead } = this.data;
    forgetFilms([...Object.values(films), ...ahead, ...this.films.map((film) => film.address)]);
    if (this.films.every((film) => film.state !== "loading")) for (const address of ahead) fetchFilm(address).catch(() => {});
    else this.fetchLater = true;
  }

  label() {
    const { texts, language, questions } = this.data;
    const labelled = JSON.stringify([language, questions]);
    if (labelled === this.labelled) return;
    this.labelled = labelled;
    const chosen = this.answers();
    this.form.lang = language;
    const host = this.one(".questions");
    host.classList.toggle("several", questions.length > 1);
    host.replaceChildren(...questions.map((question, place) => this.fieldset(question, place)));
    put(this.one(".save"), texts.save, "⏎");
    this.fill(chosen);
  }

  fieldset(question, place) {
    const { texts, scale } = this.data;
    const choices = question.choices.map(([value, text], index) => {
      const words = scale ? String(value) : texts[`choice_${value}`];
      return choice(question.key, value, words, this.hotkeyOf(place, index, value), scale && text ? `${value}, ${text}` : words);
    });
    const made = element("fieldset", {}, element("legend", {}, question.text), element("div", { class: "choices" }, ...choices));
    const [first, last] = [question.choices.at(0), question.choices.at(-1)];
    if (scale) made.append(element("p", { class: "ends", "aria-hidden": "true" },
      element("span", {}, `${first[0]} = ${first[1]}`), element("span", { class: "high" }, `${last[0]} = ${last[1]}`)));
    return made;
  }

  // A scale's own digits where there is one question; otherwise the digits in turn, as long as they last.
  hotkeyOf(place, index, value) {
    const { questions, scale } = this.data;
    if (scale && questions.length === 1) return Number(value) >= 0 && Number(value) <= 9 ? String(value) : null;
    const number = place * questions[0].choices.length + index + 1;
    return number <= 9 ? String(number) : null;
  }

  // ---- what the participant does

  silenceAllBut(film) {
    for (const other of this.films) if (other !== film) other.stop();
  }

  answers() {
    const chosen = {};
    for (const input of this.form.querySelectorAll("input[type=radio]:checked")) {
      chosen[input.name] = this.data.scale ? Number(input.value) : input.value;
    }
    return chosen;
  }

  get mayAnswer() { return this.films.length > 0 && this.films.every((film) => film.watched); }

  // Why Save does not work yet, or null.
  missing() {
    const { texts, questions } = this.data;
    if (!this.mayAnswer) return this.films.length > 1 ? texts.watch_both : texts.watch_one;
    const chosen = this.answers();
    return questions.every(({ key }) => key in chosen) ? null : questions.length > 1 ? texts.answer_all : texts.answer_one;
  }

  refresh() {
    if (!this.data) return;
    const { texts } = this.data;
    const next = this.films.find((film) => !film.watched);
    for (const film of this.films) film.label(texts, film === next, this.films.length === 1);
    const missing = this.missing();
    const why = this.one(".why");
    const words = this.pending ? "" : missing ?? texts.ready;
    if (why.textContent !== words) why.textContent = words;
    why.classList.toggle("asked", Boolean(this.asked && missing));
    this.one(".save").setAttribute("aria-disabled", String(Boolean(missing || this.pending)));
    for (const group of this.form.querySelectorAll("fieldset")) group.disabled = !this.mayAnswer || Boolean(this.pending);
    if (this.fetchLater && this.films.every((film) => film.state !== "loading")) {
      this.fetchLater = false;
      this.fetchAhead();
    }
    if (!this.pending && this.shown) remember(this.shown, this.answers(), this.films);
  }

  visibility() {
    const film = this.films.find((one) => ["playing", "stalled"].includes(one.state)) ?? this.films.find((one) => !one.watched)
      ?? this.films[0];
    if (document.hidden) {
      this.hiddenSince = performance.now();
      this.hiddenFilm = film;
      for (const one of this.films) one.stop();
    } else if (this.hiddenSince !== undefined) {
      if (this.hiddenFilm) this.hiddenFilm.counts.hidden_ms += performance.now() - this.hiddenSince;
      this.hiddenSince = undefined;
    }
  }

  played() {
    return Object.fromEntries(this.films.map((film) => [film.side,
      Object.fromEntries(COUNTS.map((name) => [name, Math.round(film.counts[name])]))]));
  }

  report() {
    if (this.pending) return;
    this.tell("watched", { key: this.shown, tab: this.data.tab, played: this.played() });
  }

  save() {
    if (this.pending) return;
    if (this.missing()) {
      this.asked = true;
      this.say("");
      this.refresh();
      return;
    }
    for (const film of this.films) film.stop();
    this.pending = { key: this.shown, answers: this.answers(), viewport: `${innerWidth}x${innerHeight}`,
      browser: navigator.userAgent };
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
    this.tell("answer", { ...this.pending, tab: this.data.tab, played: this.played() });
  }

  tell(what, message) {
    try {
      this.trigger(what, message);
    } catch (error) {
      console.warn("eavanet: not sent, will be repeated", error);
    }
  }

  say(text, waiting = false) {
    const status = this.one(".status");
    status.textContent = text;
    status.classList.toggle("waiting", waiting);
  }

  pick(digit) {
    const input = [...this.form.querySelectorAll("input[type=radio]")].find((one) => one.dataset.key === digit);
    if (!input || input.matches(":disabled")) {
      this.asked = !this.mayAnswer;
      this.refresh();
      return;
    }
    input.checked = true;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  }

  hotkey(event) {
    if (event.defaultPrevented || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
    if (document.querySelector("[role=dialog]")) return;
    const target = event.composedPath()[0];
    if (target.isContentEditable || ["TEXTAREA", "SELECT"].includes(target.tagName)) return;
    if (target.tagName === "INPUT" && !["radio", "checkbox"].includes(target.type)) return;
    const onControl = target.closest?.("button, a, summary, input, [role=button], [role=option]");
    const code = letter(event);
    if (event.key === "Enter") {
      if (onControl) return; // the browser knows what Enter means there
      this.save();
    } else if (event.key === " ") {
      if (onControl) return;
      (this.films.find((film) => ["playing", "paused", "stalled"].includes(film.state))
        ?? this.films.find((film) => !film.watched) ?? this.films[0])?.toggle();
    } else if (code === "KeyA") this.films[0]?.toggle();
    else if (code === "KeyD") this.films[1]?.toggle();
    else if (/^[0-9]$/.test(event.key)) this.pick(event.key);
    else return;
    event.preventDefault();
  }
}

// The letter on the key as "KeyX": by what is printed on it, or by its place where the keyboard writes Hangul or the like.
function letter(event) {
  return /^[a-z]$/i.test(event.key) ? `Key${event.key.toUpperCase()}` : /^[\x00-\x7f]$/.test(event.key) ? null : event.code;
}

function choice(name, value, words, key, spoken) {
  const input = element("input", { type: "radio", name, value, "aria-label": spoken });
  if (key) {
    input.dataset.key = key;
    input.setAttribute("aria-keyshortcuts", key);
  }
  const shown = key && key !== words ? [element("kbd", { "aria-hidden": "true" }, key)] : [];
  return element("label", { class: "choice" }, input, element("span", { class: "card" }, element("span", {}, words), ...shown));
}

// What was chosen and seen, but not saved yet, survives a reload of this tab.
function remember(key, answers, films) {
  const watched = Object.fromEntries(films.map((film) => [film.side, Boolean(film.watched)]));
  try { sessionStorage.setItem(DRAFT, JSON.stringify({ key, answers, watched })); } catch { /* not vital */ }
}

function remembered(key) {
  try {
    const draft = JSON.parse(sessionStorage.getItem(DRAFT));
    return draft?.key === key ? draft : null;
  } catch { return null; }
}

function forget() {
  try { sessionStorage.removeItem(DRAFT); } catch { /* not vital */ }
}

export default function ({ data, parentElement, setTriggerValue }) {
  const panel = panels.get(parentElement) ?? new Panel(parentElement);
  panels.set(parentElement, panel);
  panel.update(JSON.parse(new TextDecoder().decode(data)), setTriggerValue);
  // Streamlit calls a clean-up late when runs overtake each other; only that of the newest run may close the panel.
  const run = (panel.run = (panel.run ?? 0) + 1);
  return () => { if (panel.run === run) panel.close(); };
}
