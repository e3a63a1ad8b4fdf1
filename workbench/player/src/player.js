// The player: brings together what is loaded, the clock, the picture, the controls and what was watched.

import { Controls } from "./controls.js";
import { Coverage } from "./coverage.js";
import { PlayerError, explain } from "./errors.js";
import { columnsFor } from "./grid.js";
import { listenToKeys } from "./keys.js";
import { openMesh, openVideo } from "./picture.js";
import { Stage } from "./stage.js";
import { keep, keepNothing, loadMesh, loadVideo } from "./store.js";

const STALL_MS = 250; // playing, and no picture for so long
const PREFETCH_MS = 150; // the clip in view comes first: its first picture is being drawn
const CLICK_PX = 4; // a pointer that moved less was a click, not a turn of the view

/**
 * @typedef {object} PlayerData
 * @property {import("./store.js").Source} source
 * @property {import("./store.js").Source[]} [compare] shown beside `source`, silent, in step with it
 * @property {import("./store.js").Source | null} [upcoming] fetched once `source` is ready
 * @property {string[] | null} [labels] above the views
 * @property {number | null} [heat] colours all faces but the first by their distance from it, up to so many units
 * @property {[string, string] | null} [heat_labels] at the ends of the scale of colours
 * @property {boolean} [autoplay]
 * @property {Record<string, string>} texts
 * @property {number | null} [height] of the picture, in CSS pixels
 * @property {boolean} [keyboard]
 * @property {string[]} [events] which types of events are reported
 *
 * @typedef {object} PlayerEvent
 * @property {string} id the clip's
 * @property {"ended" | "paused" | "error"} type
 * @property {number} plays complete passes
 * @property {number} coverage 0..1, of the present pass
 * @property {number} watched_s
 * @property {number} stalls
 * @property {number} hidden how often the page went out of sight while playing
 * @property {"mesh" | "video"} source
 * @property {string} message what is wrong, where type is "error"
 */
export class Player {
  /** @param {HTMLElement} parent @param {PlayerData} data @param {(event: PlayerEvent) => void} emit */
  constructor(parent, data, emit) {
    this.emit = emit;
    this.data = data;
    this.state = "loading";
    this.generation = 0; // of loading; what an earlier one brings is thrown away
    this.rate = 1;
    this.listeners = new AbortController();
    this.actions = this.makeActions();
    this.controls = new Controls(data.texts, this.actions);
    this.root = this.controls.root;
    parent.append(this.root);
    this.watchPage();
    this.applyLayout();
    this.load();
  }

  /** New data from the page. The same clip goes on as it is; another one is loaded. @param {PlayerData} data */
  update(data) {
    const clips = (one) => JSON.stringify(sourcesOf(one).map((source) => source.id));
    const same = clips(data) === clips(this.data);
    const recoloured = (data.heat ?? null) !== (this.data.heat ?? null);
    const renewed = data.source.playback_url !== this.data.source.playback_url
      || data.source.video_url !== this.data.source.video_url;
    this.data = data;
    this.applyLayout();
    if (!same) this.load();
    else if (this.state === "error" && this.error.kind === "expired" && renewed) this.load();
    else if (this.state === "loading" && recoloured) this.load();
    else if (this.state !== "loading" && this.state !== "error") {
      if (recoloured) this.picture.setHeat(data.heat ?? null);
      this.controls.showLabels(data.labels, this.sources.length);
      this.showScale();
      this.prefetch();
    }
  }

  dispose() {
    this.generation += 1;
    this.disposed = true;
    cancelAnimationFrame(this.tickRequest);
    this.listeners.abort();
    this.resizes.disconnect();
    this.close();
    this.stage?.dispose();
    keepNothing(this);
    this.root.remove();
  }

  get sources() {
    return sourcesOf(this.data);
  }

  /** What there is of all clips in view. */
  get available() {
    return {
      mesh: this.sources.every((source) => source.playback_url),
      video: this.sources.every((source) => source.video_url),
    };
  }

  // ---- loading ------------------------------------------------------------------------------------------------

  /** Loads the clips anew, as `kind` or as what there is, and shows the moment `time`. */
  async load(kind = null, time = 0) {
    const generation = ++this.generation;
    const stale = () => generation !== this.generation;
    this.close();
    this.error = null;
    this.kind = kind ?? (this.available.mesh && this.stage !== null ? "mesh" : "video");
    this.setState("loading");
    this.controls.showProgress(0, 0);
    this.controls.showLabels(this.data.labels, this.sources.length);
    this.controls.showKind(this.kind, this.available, true);
    this.showScale();
    keep(this, this.kind, this.sources);
    try {
      const picture = await this.open(stale);
      if (picture && !stale()) this.begin(picture, time);
    } catch (error) {
      if (stale()) return;
      if (error.kind === "webgl" && this.available.video) this.load("video", time);
      else this.fail(error);
    }
  }

  open(stale) {
    if (this.kind === "mesh" && this.available.mesh) {
      const heat = this.data.heat ?? null;
      return openMesh(() => this.stage ?? this.makeStage(), this.sources, heat, this.progress(), stale);
    }
    if (this.available.video) return openVideo(this.controls.videos, this.sources, this.progress(), stale);
    throw new PlayerError(this.available.mesh ? "webgl" : "missing");
  }

  /** Throws PlayerError "webgl" where there is none. */
  makeStage() {
    this.stage = null; // stays so if the next line throws: tried, and not there
    this.stage = new Stage(this.controls.canvas, {
      onChange: () => this.invalidate(),
      onLost: () => this.graphicsLost(),
      onRestored: () => this.graphicsRestored(),
      onGone: () => this.graphicsGone(),
    });
    this.clicks(this.controls.canvas);
    this.fit();
    return this.stage;
  }

  /** For each clip a function that takes its progress; the sum is shown. */
  progress() {
    const parts = this.sources.map(() => [0, 0]);
    const generation = this.generation;
    return (i) => (loaded, total) => {
      parts[i] = [loaded, total];
      if (generation !== this.generation) return;
      const known = parts.every((part) => part[1] > 0);
      const sum = (index) => parts.reduce((all, part) => all + part[index], 0);
      this.controls.showProgress(sum(0), known ? sum(1) : 0);
    };
  }

  /** Everything is there: shows the first picture and, where asked to, plays. */
  begin(picture, time) {
    this.picture = picture;
    this.clock = picture.clock;
    picture.setRate(this.rate);
    this.clock.setVolume(Number(this.controls.volume.value));
    this.controls.showKind(this.kind, this.available, picture.hasSound);
    this.controls.scrub.max = picture.frames - 1;
    if (this.coverage?.id === this.data.source.id) this.coverage.restart(picture.frames, picture.fps);
    else this.newRecord();
    if (time > 0) this.clock.seek(time);
    this.started = time > 0;
    this.setState("ready");
    this.fit();
    this.invalidate();
    if (this.data.autoplay && time === 0) this.play();
    this.prefetch();
  }

  newRecord() {
    this.coverage = new Coverage(this.picture.frames, this.picture.fps);
    this.coverage.id = this.data.source.id;
    this.stalls = 0;
    this.hidden = 0;
  }

  /** Fetches the next clip while this one plays; at most these two are kept. */
  prefetch() {
    const next = this.data.upcoming;
    keep(this, this.kind, [...this.sources, next]);
    const has = next && (this.kind === "mesh" ? next.playback_url : next.video_url);
    if (!has) return;
    const load = this.kind === "mesh" ? loadMesh : loadVideo;
    const begin = () => {
      if (this.disposed || next !== this.data.upcoming) return;
      load(next, undefined, "low").catch(() => {}); // it is tried again, and reported, when its turn comes
    };
    setTimeout(begin, PREFETCH_MS);
  }

  fail(error) {
    console.error(error);
    this.close();
    this.error = error;
    const message = explain(error, this.data.texts);
    this.controls.showError(message, this.kind === "mesh" && this.available.video);
    this.setState("error");
    this.report("error", message);
  }

  /** Stops, and lets go of the clips in view. */
  close() {
    this.picture?.dispose();
    this.picture = null;
    this.clock = null;
  }

  // ---- playing ------------------------------------------------------------------------------------------------

  makeActions() {
    const whenReady = (action) => (...values) => this.clock && action(...values);
    return {
      play: whenReady(() => (this.state === "playing" ? this.pause() : this.play())),
      replay: whenReady(() => this.replay()),
      step_back: whenReady(() => this.step(-1)),
      step_forward: whenReady(() => this.step(1)),
      scrub: whenReady((frame) => this.seek((frame + 0.5) / this.picture.fps)),
      speed: (rate) => this.setRate(rate),
      volume: (volume) => this.clock?.setVolume(volume),
      view: () => this.load(this.kind === "mesh" ? "video" : "mesh", this.clock?.time ?? 0),
      retry: () => this.retry(),
      reset_view: () => this.stage?.resetView(),
      zoom_in: () => this.stage?.zoom(0.9),
      zoom_out: () => this.stage?.zoom(1 / 0.9),
      fullscreen: () => (document.fullscreenElement ? document.exitFullscreen() : this.root.requestFullscreen()),
    };
  }

  retry() {
    if (this.stage === null) this.stage = undefined; // perhaps WebGL has been switched on
    this.load();
  }

  async play() {
    if (this.state === "ended" || this.clock.ended) this.rewind();
    const { clock, picture } = this;
    this.coverage.begin(clock.time);
    this.lastTick = performance.now();
    this.started = true;
    this.setState("playing");
    this.invalidate();
    try {
      await picture.play();
    } catch (error) {
      if (picture !== this.picture) return;
      if (error.name === "NotAllowedError") {
        this.started = false; // the browser wants a click first: offer the big button
        this.setState("ready");
      } else this.fail(new PlayerError(this.kind === "mesh" ? "sound" : "video", { detail: error.message }));
    }
  }

  pause() {
    if (this.state !== "playing") return;
    this.advance();
    this.picture.pause();
    this.setState("paused");
    this.invalidate();
    this.report("paused");
  }

  replay() {
    this.rewind();
    this.play();
  }

  rewind() {
    this.clock.seek(0);
    this.coverage.restart();
  }

  /** Moves to a moment, without playing on from there. */
  seek(time) {
    this.pause();
    this.coverage.jump();
    this.clock.seek(Math.min(time, this.clock.duration));
    this.started = true;
    this.setState("paused");
    this.invalidate();
  }

  step(frames) {
    const { frames: count, fps } = this.picture;
    const frame = Math.min(count - 1, Math.max(0, this.frame + frames));
    this.seek((frame + 0.5) / fps); // the middle of a frame: rounding cannot reach its neighbours
  }

  setRate(rate) {
    this.rate = rate;
    this.picture?.setRate(rate);
  }

  /** The frame of the present moment. */
  get frame() {
    const { frames, fps } = this.picture;
    return Math.min(frames - 1, Math.floor(this.clock.time * fps + 1e-6));
  }

  /** Draws at the next opportunity, whatever the frame. */
  invalidate() {
    this.dirty = true;
    this.requestTick();
  }

  requestTick() {
    if (!this.tickRequest && !this.disposed) this.tickRequest = requestAnimationFrame(() => this.tick());
  }

  tick() {
    this.tickRequest = null;
    if (!this.clock) return;
    if (this.state === "playing") this.advance();
    this.draw();
    this.dirty = false;
    if (this.state !== "playing") return;
    if (this.clock.ended) this.end(); // which draws the last moment
    else this.requestTick();
  }

  /** Takes note of the time that was played since the last time. */
  advance() {
    const now = performance.now();
    const elapsed = now - this.lastTick;
    this.lastTick = now;
    if (elapsed > STALL_MS) this.stalls += 1;
    this.coverage.advance(this.clock.time, elapsed / 1000, this.rate);
    const stoppedFromOutside = !this.clock.playing && !this.clock.ended && elapsed > 0 && this.clock.element?.paused;
    if (stoppedFromOutside && this.clock.wantsToPlay) this.pause(); // a media key, or headphones unplugged
  }

  draw() {
    const { time, duration } = this.clock;
    this.picture.show(time);
    // A new picture, or a new time, only with a new frame: each change makes the browser compose the page again.
    if (this.frame === this.shownFrame && !this.dirty) return;
    this.shownFrame = this.frame;
    this.controls.showTime(Math.min(time, duration), duration, this.frame);
  }

  end() {
    this.coverage.end();
    this.picture.pause();
    this.setState("ended");
    this.invalidate();
    this.report("ended");
  }

  setState(state) {
    this.state = state;
    this.controls.showState(state, { started: this.started });
  }

  report(type, message = "") {
    const reported = this.data.events ?? ["ended", "error"];
    if (!reported.includes(type)) return;
    this.emit({ id: this.data.source.id, type, ...this.record(), source: this.kind ?? "mesh", message });
  }

  /** What was watched of the clip in view. */
  record() {
    const { coverage } = this;
    const known = coverage?.id === this.data.source.id;
    return {
      plays: known ? coverage.plays : 0,
      coverage: known ? Math.round(coverage.share * 1e4) / 1e4 : 0,
      watched_s: known ? Math.round(coverage.watched * 100) / 100 : 0,
      stalls: known ? this.stalls : 0,
      hidden: known ? this.hidden : 0,
    };
  }

  // ---- the page around ----------------------------------------------------------------------------------------

  watchPage() {
    const { signal } = this.listeners;
    const options = { signal };
    this.resizes = new ResizeObserver(() => this.fit());
    this.resizes.observe(this.controls.stage);
    document.addEventListener("visibilitychange", () => this.pageHidden(), options);
    document.addEventListener("fullscreenchange", () => this.controls.showFullscreen(!!document.fullscreenElement), options);
    if (this.data.keyboard ?? true) listenToKeys(this.root, this.actions, signal);
  }

  pageHidden() {
    if (!document.hidden || this.state !== "playing") return;
    this.hidden += 1;
    this.pause();
  }

  applyLayout() {
    const { height } = this.data;
    if (height) this.root.style.setProperty("--height", `${height}px`);
    else this.root.style.removeProperty("--height");
  }

  /** What the colours of a heat map mean. */
  showScale() {
    const heated = this.kind === "mesh" && this.sources.length > 1 && (this.data.heat ?? null) !== null;
    this.controls.showScale(heated ? this.data.heat_labels : null);
  }

  fit() {
    const { clientWidth, clientHeight } = this.controls.stage;
    this.controls.showColumns(columnsFor(this.sources.length, clientWidth, clientHeight));
    this.stage?.resize(clientWidth, clientHeight);
    if (this.stage && this.clock) this.stage.draw(); // a new size cleared the canvas: before the browser shows it
  }

  /** A click on the picture plays or pauses; turning the view does not. */
  clicks(element) {
    let down = null;
    element.onpointerdown = (event) => (down = event.isPrimary && event.button === 0 ? event : null);
    element.onpointerup = (event) => {
      if (down && Math.hypot(event.clientX - down.clientX, event.clientY - down.clientY) < CLICK_PX) this.actions.play();
      down = null;
    };
  }

  graphicsLost() {
    if (this.kind !== "mesh") return;
    this.pause();
    this.controls.showState("loading", {});
    this.controls.showNote(this.data.texts.restoring);
  }

  graphicsRestored() {
    if (this.kind !== "mesh" || !this.clock) return;
    this.setState(this.state === "playing" ? "paused" : this.state);
    this.fit();
  }

  /** The graphics did not come back: a fresh canvas at the next try, or the video. */
  graphicsGone() {
    const time = this.clock?.time ?? 0;
    if (this.kind === "mesh") this.close();
    this.stage.dispose();
    this.stage = null;
    this.controls.newCanvas();
    if (this.kind !== "mesh") return;
    if (this.available.video) this.load("video", time);
    else this.fail(new PlayerError("webgl"));
  }
}

/** All clips in view, from left to right. @param {PlayerData} data */
function sourcesOf(data) {
  return [data.source, data.compare ?? []].flat();
}
