// What says which moment of the clip it is. The sound does where there is one: the picture follows it, never the
// other way round, so a slow picture loses frames and stays in step.
//
// All clocks have: time, duration, playing, ended; play(), pause(), seek(time), setRate(rate), setVolume(volume),
// dispose(). play() rejects with a DOMException "NotAllowedError" where the browser wants a click first.

import { PlayerError } from "./errors.js";

/** A clock without sound. */
export class SilentClock {
  constructor(duration) {
    this.duration = duration;
    this.playing = false;
    this.rate = 1;
    this.start = 0; // time of the clip ...
    this.since = 0; // ... at this time of the computer, in ms
  }

  get time() {
    const passed = this.playing ? ((performance.now() - this.since) / 1000) * this.rate : 0;
    return Math.min(this.duration, this.start + passed);
  }

  get ended() {
    return this.time >= this.duration;
  }

  async play() {
    this.seek(this.time);
    this.playing = true;
  }

  pause() {
    this.seek(this.time);
    this.playing = false;
  }

  seek(time) {
    this.start = Math.max(0, Math.min(this.duration, time));
    this.since = performance.now();
  }

  setRate(rate) {
    this.seek(this.time);
    this.rate = rate;
  }

  setVolume() {}

  dispose() {
    this.playing = false;
  }
}

/**
 * The clock of an <audio> or <video> element.
 *
 * A corpus may have a few frames more than sound: from the end of the sound on, a silent clock carries the picture
 * to the last frame.
 */
export class MediaClock {
  /** @param {HTMLMediaElement} element with its metadata loaded @param {number} pictureDuration in seconds */
  constructor(element, pictureDuration) {
    this.element = element;
    this.soundDuration = element.duration;
    this.duration = Math.max(pictureDuration, this.soundDuration);
    this.wantsToPlay = false;
    this.rate = 1;
    this.tail = null;
    this.onEnded = () => this.beginTail(this.soundDuration);
    element.preservesPitch = true;
    element.addEventListener("ended", this.onEnded);
  }

  beginTail(time) {
    if (this.duration - this.soundDuration < 0.001) return;
    this.tail = new SilentClock(this.duration);
    this.tail.setRate(this.rate);
    this.tail.seek(time);
    if (this.wantsToPlay) this.tail.play();
  }

  get time() {
    return this.tail ? this.tail.time : Math.min(this.duration, this.element.currentTime);
  }

  get ended() {
    return this.tail ? this.tail.ended : this.element.ended && this.duration - this.soundDuration < 0.001;
  }

  get playing() {
    return this.tail ? this.tail.playing : this.wantsToPlay && !this.element.paused;
  }

  async play() {
    this.wantsToPlay = true;
    if (this.tail) return this.tail.play();
    try {
      await this.element.play();
    } catch (error) {
      this.wantsToPlay = false;
      if (error.name === "AbortError") return; // paused again before it began
      throw error;
    }
  }

  pause() {
    this.wantsToPlay = false;
    this.tail?.pause();
    this.element.pause();
  }

  seek(time) {
    this.tail = null;
    const inTail = time > this.soundDuration && this.duration - this.soundDuration >= 0.001;
    if (inTail) {
      this.element.pause();
      this.beginTail(time);
      return;
    }
    this.element.currentTime = Math.max(0, Math.min(this.soundDuration, time));
    if (this.wantsToPlay && this.element.paused) this.element.play().catch(() => this.pause());
  }

  setRate(rate) {
    this.rate = rate;
    this.element.playbackRate = rate;
    this.element.defaultPlaybackRate = rate; // or the next source resets it
    this.tail?.setRate(rate);
  }

  setVolume(volume) {
    this.element.volume = volume;
  }

  dispose() {
    this.pause();
    this.element.removeEventListener("ended", this.onEnded);
    URL.revokeObjectURL(this.element.src);
    this.element.removeAttribute("src");
    this.element.load();
  }
}

/**
 * Fills a media element from memory and waits until it can play.
 *
 * @param {HTMLMediaElement} element @param {Blob} blob @param {"sound" | "video"} kind for the error
 */
export function fillElement(element, blob, kind) {
  return new Promise((resolve, reject) => {
    const fail = () => {
      URL.revokeObjectURL(element.src);
      reject(new PlayerError(kind, { detail: element.error?.message || "unknown format" }));
    };
    element.addEventListener("error", fail, { once: true });
    // Where the first moment is decoded: a video shows its first frame, a broken sound has failed.
    element.addEventListener(
      "loadeddata",
      () => {
        element.removeEventListener("error", fail);
        if (Number.isFinite(element.duration)) resolve();
        else fail();
      },
      { once: true },
    );
    element.preload = "auto";
    element.src = URL.createObjectURL(blob);
    element.load();
  });
}
