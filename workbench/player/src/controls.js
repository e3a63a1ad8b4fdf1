// What the visitor sees around the picture: buttons, sliders, and the states while loading and on error.

import { fill } from "./errors.js";
import { GRADIENT } from "./heat.js";
import css from "./player.css";

const ICONS = {
  play: "M8 5v14l11-7z",
  pause: "M6 5h4v14H6zM14 5h4v14h-4z",
  replay: "M12 5V1L7 6l5 5V7a6 6 0 1 1-6 6H4a8 8 0 1 0 8-8z",
  step_back: "M18 6v12l-8.500-6zM6 6h2v12H6z",
  step_forward: "M6 6v12l8.500-6zM16 6h2v12h-2z",
  volume: "M3 9v6h4l5 5V4L7 9zM16 8.500a4.500 4.500 0 0 1 0 7z",
  reset_view: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM3 9V3h6v2H5v4zM15 3h6v6h-2V5h-4zM21 15v6h-6v-2h4v-4zM9 21H3v-6h2v4h4z",
  fullscreen: "M5 5h5v2H7v3H5zM14 5h5v5h-2V7h-3zM17 14h2v5h-5v-2h3zM5 14h2v3h3v2H5z",
};
const RATES = { speed_full: 1, speed_half: 0.5, speed_quarter: 0.25 };
const VOLUME_KEY = "eavanet-player-volume";

/** Makes an element. `make("button.big", { title: "Play" }, child, ...)` */
function make(selector, properties = {}, ...children) {
  const [tag, ...classes] = selector.split(".");
  const element = document.createElement(tag);
  element.className = classes.join(" ");
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
}

function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

/**
 * Builds the player's elements and keeps them in step with its state. Knows nothing of clips or clocks: what the
 * visitor does goes to `actions`, by the name of the button.
 */
export class Controls {
  /** @param {Record<string, string>} texts @param {Record<string, Function>} actions */
  constructor(texts, actions) {
    this.texts = texts;
    this.actions = actions;
    this.canvas = null;
    this.videos = make("div.videos", { hidden: true });
    this.labels = make("div.labels", { hidden: true });
    this.scale = make("div.scale", { hidden: true }, make("span"), make("i"), make("span"));
    this.scale.querySelector("i").style.background = GRADIENT;
    this.buildOverlays();
    this.stage = make("div.stage", {}, this.videos, this.labels, this.loading, this.start, this.error);
    this.buildBar();
    this.root = make("div.player", { role: "group" }, make("style", { textContent: css }));
    this.root.append(this.stage, this.scale, make("div.line", {}, this.scrub, this.time), this.bar);
    this.newCanvas();
  }

  button(name, ...content) {
    const element = make("button", { type: "button", onclick: () => this.actions[name]() }, ...content);
    this.name(element, name);
    return element;
  }

  name(element, text) {
    element.title = this.texts[text];
    element.setAttribute("aria-label", this.texts[text]);
  }

  /** A fresh canvas: one that has lost its graphics for good cannot be used again. */
  newCanvas() {
    this.canvas?.remove();
    this.canvas = make("canvas", { tabIndex: 0, role: "img", "aria-label": this.texts.view });
    this.stage.prepend(this.canvas);
    return this.canvas;
  }

  buildOverlays() {
    this.loadingText = make("p");
    this.meter = make("div.meter.unknown", { "aria-hidden": "true" }, make("i"));
    this.loading = make("div.over.loading", { hidden: true, role: "status" }, this.loadingText, this.meter);
    this.big = make("button.big", { type: "button", onclick: () => this.actions.play() }, icon("play"));
    this.name(this.big, "play");
    this.start = make("div.over.start", { hidden: true }, this.big);
    this.errorText = make("p");
    this.errorVideo = make("button", { type: "button", onclick: () => this.actions.view() }, this.texts.show_video);
    this.error = make(
      "div.over.error",
      { hidden: true, role: "alert" },
      make("h3", {}, this.texts.error_title),
      this.errorText,
      make("button", { type: "button", onclick: () => this.actions.retry() }, this.texts.retry),
      this.errorVideo,
    );
  }

  buildBar() {
    this.play = this.button("play", icon("play"));
    this.playing = false;
    this.scrub = make("input", {
      type: "range", min: 0, max: 0, step: 1, value: 0, "aria-label": this.texts.position,
      oninput: () => this.actions.scrub(Number(this.scrub.value)),
    });
    this.time = make("span.time", { "aria-hidden": "true" });
    this.speed = make("select", { onchange: () => this.actions.speed(RATES[this.speed.value]) });
    this.name(this.speed, "speed");
    for (const [name, rate] of Object.entries(RATES)) {
      this.speed.append(make("option", { value: name, "aria-label": this.texts[name] }, `${rate}×`));
    }
    this.volume = make("input", {
      type: "range", min: 0, max: 1, step: 0.05, "aria-label": this.texts.volume,
      oninput: () => this.changeVolume(),
    });
    setSlider(this.volume, rememberedVolume());
    this.volumeBox = make("label.volume", { title: this.texts.volume }, icon("volume"), this.volume);
    this.resetView = this.button("reset_view", icon("reset_view"));
    this.view = make("button", { type: "button", hidden: true, onclick: () => this.actions.view() });
    this.fullscreen = this.button("fullscreen", icon("fullscreen"));
    this.fullscreen.hidden = !document.fullscreenEnabled;
    this.needClip = [this.play, this.button("replay", icon("replay"))];
    this.needClip.push(this.button("step_back", icon("step_back")), this.button("step_forward", icon("step_forward")));
    const settings = [this.speed, this.volumeBox, this.view, this.resetView, this.fullscreen];
    this.bar = make("div.bar", {}, make("div", {}, ...this.needClip), make("div", {}, ...settings));
  }

  changeVolume() {
    const volume = Number(this.volume.value);
    setSlider(this.volume, volume);
    try {
      localStorage.setItem(VOLUME_KEY, String(volume));
    } catch {
      // Storage may be forbidden; then the choice lasts as long as the page.
    }
    this.actions.volume(volume);
  }

  /** @param {"loading" | "ready" | "playing" | "paused" | "ended" | "error"} state */
  showState(state, { started = false } = {}) {
    this.root.dataset.state = state;
    const busy = state === "loading" || state === "error";
    this.stage.classList.toggle("waiting", busy);
    this.loading.hidden = state !== "loading";
    this.error.hidden = state !== "error";
    this.start.hidden = busy || started || state === "playing";
    for (const element of [...this.needClip, this.scrub]) element.disabled = busy;
    this.playing = state === "playing";
    this.play.replaceChildren(icon(this.playing ? "pause" : "play"));
    this.name(this.play, this.playing ? "pause" : "play");
  }

  /** @param {number} loaded @param {number} total bytes; total 0 while unknown */
  showProgress(loaded, total) {
    const known = total > 0 && loaded <= total;
    const megabytes = (bytes) => (bytes / 1e6).toFixed(1);
    const values = { loaded: megabytes(loaded), total: megabytes(total) };
    this.loadingText.textContent = known ? fill(this.texts.loading_progress, values) : this.texts.loading;
    this.meter.classList.toggle("unknown", !known);
    this.meter.style.setProperty("--share", known ? loaded / total : 0);
  }

  showNote(text) {
    this.loadingText.textContent = text;
    this.meter.classList.add("unknown");
  }

  showError(message, hasVideo) {
    this.errorText.textContent = message;
    this.errorVideo.hidden = !hasVideo;
  }

  /** @param {number} time @param {number} duration in seconds @param {number} frame */
  showTime(time, duration, frame) {
    const values = { time: time.toFixed(2), duration: duration.toFixed(2) };
    this.time.textContent = `${values.time} / ${values.duration} s`;
    setSlider(this.scrub, frame);
    this.scrub.setAttribute("aria-valuetext", fill(this.texts.time, values));
    this.root.dataset.frame = frame;
  }

  /** Which of mesh and video is shown, and what of both there is. */
  showKind(kind, { mesh, video }, hasSound) {
    this.root.dataset.kind = kind;
    this.canvas.hidden = kind !== "mesh";
    this.videos.hidden = kind !== "video";
    this.resetView.hidden = kind !== "mesh";
    this.volumeBox.hidden = !hasSound;
    this.view.hidden = !(mesh && video);
    this.view.textContent = this.texts[kind === "mesh" ? "show_video" : "show_mesh"];
  }

  showLabels(labels, count) {
    this.stage.classList.toggle("pair", count > 1);
    this.labels.hidden = count < 2;
    this.labels.replaceChildren(...Array.from({ length: count }, (_, i) => make("span", {}, labels?.[i] ?? "")));
  }

  /** How the clips share the stage. */
  showColumns(columns) {
    this.stage.style.setProperty("--columns", columns);
    this.stage.classList.toggle("rows", columns < this.labels.childElementCount);
  }

  /** What the colours of a heat map stand for, at both ends; null: there is none. */
  showScale(labels) {
    this.scale.hidden = !labels;
    this.scale.querySelectorAll("span").forEach((end, i) => (end.textContent = labels?.[i] ?? ""));
  }

  showFullscreen(on) {
    this.name(this.fullscreen, on ? "leave_fullscreen" : "fullscreen");
  }
}

/** Moves a slider and the coloured part of its track. */
function setSlider(slider, value) {
  slider.value = value;
  slider.style.setProperty("--share", Number(slider.max) > 0 ? value / Number(slider.max) : 0);
}

function rememberedVolume() {
  try {
    const stored = Number.parseFloat(localStorage.getItem(VOLUME_KEY) ?? "1");
    return stored >= 0 && stored <= 1 ? stored : 1;
  } catch {
    return 1;
  }
}
