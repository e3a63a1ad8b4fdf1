// A film of a trial: fetched whole, played to its end, and what of it was really played.
//
// The Python side puts this file before trial_panel.js; together they are one module.
const ENOUGH = 0.97; // of a film: players leave out the last moment
const COUNTS = ["plays", "ended", "watched_ms", "stalls", "hidden_ms"];
const fetched = new Map(); // address -> promise of the film in memory

function fetchFilm(address) {
  if (!fetched.has(address)) {
    const film = (async () => {
      const answer = await fetch(address, { cache: "no-store", credentials: "same-origin" });
      if (!answer.ok) throw Object.assign(new Error(`${answer.status}`), { status: answer.status });
      return URL.createObjectURL(new Blob([await answer.arrayBuffer()], { type: "video/mp4" }));
    })();
    fetched.set(address, film);
    film.catch(() => fetched.delete(address)); // so that "Try again" tries again
  }
  return fetched.get(address);
}

function forgetFilms(addresses) {
  for (const [address, film] of fetched) {
    if (addresses.includes(address)) continue;
    fetched.delete(address);
    film.then((url) => URL.revokeObjectURL(url), () => {});
  }
}

// One film with its button, its bar and what is to be said of it.
class Film {
  constructor(panel, side) {
    this.panel = panel;
    this.side = side;
    this.counts = Object.fromEntries(COUNTS.map((name) => [name, 0]));
    this.caption = element("figcaption", {});
    this.video = element("video", { playsinline: "", preload: "auto", disablepictureinpicture: "", disableremoteplayback: "",
      tabindex: "-1" });
    this.message = element("span", {});
    this.retry = element("button", { type: "button", class: "retry" });
    this.over = element("div", { class: "over", role: "status" }, this.message, this.retry);
    this.bar = element("span", {});
    this.play = element("button", { type: "button", class: "play" });
    this.name = element("span", {});
    this.seen = element("span", { class: "seen" });
    this.caption.append(this.name, this.seen);
    this.frame = element("div", { class: "frame" }, this.video, this.over);
    this.root = element("figure", { class: `film ${side}` }, this.caption, this.frame,
      element("div", { class: "bar", "aria-hidden": "true" }, this.bar), this.play);
    this.play.addEventListener("click", () => this.toggle());
    this.video.addEventListener("click", () => this.toggle());
    this.retry.addEventListener("click", () => this.load(this.address));
    this.listen();
  }

  listen() {
    const on = (type, handle) => this.video.addEventListener(type, handle);
    on("loadedmetadata", () => { if (this.state === "loading") this.become("ready"); });
    on("playing", () => { this.last = this.video.currentTime; this.become("playing"); this.tick(); });
    on("pause", () => { if (!this.video.ended && this.state === "playing") this.become("paused"); });
    on("waiting", () => { if (this.state === "playing") { this.counts.stalls += 1; this.become("stalled"); } });
    on("timeupdate", () => this.advance());
    on("ended", () => this.finish());
    on("error", () => { if (this.video.getAttribute("src")) this.fail("error_film"); });
    on("ratechange", () => { if (this.video.playbackRate !== 1) this.video.playbackRate = 1; });
    on("seeking", () => { if (this.video.currentTime > 0.05 && !this.video.ended) this.restart = true; });
  }

  async load(address) {
    this.address = address;
    this.video.removeAttribute("src");
    this.bar.style.width = "0";
    this.passed = 0;
    this.become("loading");
    try {
      const url = await fetchFilm(address);
      if (this.address !== address) return;
      this.video.src = url;
      this.video.load();
    } catch (error) {
      if (this.address === address) this.fail({ 403: "error_expired", 404: "error_missing" }[error.status] ?? "error_network");
    }
  }

  fail(why) {
    this.why = why;
    this.become("error");
  }

  become(state) {
    this.state = state;
    this.panel.refresh();
  }

  // What has really been played since last time; a jump is none.
  advance() {
    const step = this.video.currentTime - this.last;
    if (step > 0 && step < 1) {
      this.passed += step;
      this.counts.watched_ms += step * 1000;
    }
    this.last = this.video.currentTime;
  }

  tick() {
    if (!this.root.isConnected) this.video.pause();
    const { currentTime, duration } = this.video;
    this.bar.style.width = `${duration ? (100 * currentTime) / duration : 0}%`;
    if (!this.video.paused && !this.video.ended) requestAnimationFrame(() => this.tick());
  }

  toggle() {
    if (!["ready", "playing", "paused", "ended", "stalled"].includes(this.state)) return;
    if (!this.video.paused) { this.video.pause(); return; }
    this.panel.silenceAllBut(this);
    if (this.state !== "paused" || this.restart) this.begin();
    this.video.muted = false;
    this.video.play().catch(() => this.become("ready")); // the browser wants a click first
  }

  begin() {
    this.restart = false;
    this.video.currentTime = 0;
    this.last = 0;
    this.passed = 0;
    this.counts.plays += 1;
  }

  finish() {
    this.advance();
    this.bar.style.width = "100%";
    if (this.passed >= ENOUGH * this.video.duration) {
      this.counts.ended += 1;
      this.watched = true;
    }
    this.become("ended");
    this.panel.report();
  }

  stop() {
    if (this.state === "playing" || this.state === "stalled") this.video.pause();
  }

  label(texts, next, single) {
    const name = single ? texts.film : texts[this.side];
    this.name.textContent = single ? "" : name;
    this.video.setAttribute("aria-label", name);
    const busy = this.state === "playing" || this.state === "stalled";
    const verb = busy ? "pause" : this.state === "paused" ? "go_on" : this.watched ? "again" : "play";
    const text = single ? texts[verb] : texts[`${verb}_${this.side}`];
    put(this.play, `${busy ? "❚❚" : this.watched && verb === "again" ? "↻" : "▶"}\u2002${text}`, { left: single ? "Space" : "A", right: "D" }[this.side]);
    this.play.setAttribute("aria-label", text);
    this.play.disabled = ["loading", "error"].includes(this.state);
    this.seen.textContent = this.watched ? `✓ ${texts.watched}` : texts.not_watched;
    this.root.dataset.state = this.state;
    this.root.classList.toggle("watched", Boolean(this.watched));
    this.root.classList.toggle("playing", busy);
    this.root.classList.toggle("next", next);
    const message = { loading: texts.loading, stalled: texts.stalled, error: texts[this.why] }[this.state];
    this.over.hidden = !message;
    if (this.message.textContent !== (message ?? "")) this.message.textContent = message ?? "";
    this.retry.hidden = this.state !== "error";
    this.retry.textContent = texts.retry;
  }
}

function element(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// Words and a key on a button; left alone where nothing changed, so that a click does not fall between two versions.
function put(button, text, key) {
  if (button.dataset.text === text) return;
  button.dataset.text = text;
  button.replaceChildren(text, element("kbd", { "aria-hidden": "true" }, key));
}
