// The two ways to show clips, behind one face: meshes on a stage, or videos.
//
// A picture has: clock, frames, fps, hasSound; show(time) draws that moment; play(), pause(), setRate(rate)
// for what runs beside the clock; dispose().

import { MediaClock, SilentClock, fillElement } from "./clock.js";
import { loadMesh, loadVideo } from "./store.js";

/** Meshes, on the stage already: all follow one clock, that of the first clip's sound. */
export class MeshPicture {
  constructor(stage, meshes, clock) {
    this.stage = stage;
    this.clock = clock;
    this.hasSound = meshes[0].sound !== null;
    this.frames = meshes[0].motion.frames;
    this.fps = meshes[0].motion.fps;
  }

  show(time) {
    this.stage.showTime(time);
    this.stage.draw();
  }

  setHeat(heat) {
    this.stage.setHeat(heat);
  }

  async play() {
    await this.clock.play();
  }

  pause() {
    this.clock.pause();
  }

  setRate(rate) {
    this.clock.setRate(rate);
  }

  dispose() {
    this.clock.dispose();
    this.stage.clearFaces();
  }
}

/** Videos: the first has the sound and is the clock, the others follow it. */
export class VideoPicture {
  constructor(place, elements, fps) {
    this.place = place;
    this.elements = elements;
    this.clock = new MediaClock(elements[0], elements[0].duration);
    this.followers = elements.slice(1);
    this.hasSound = true;
    this.fps = fps;
    this.frames = Math.max(1, Math.round(elements[0].duration * fps));
    place.replaceChildren(...elements);
  }

  show(time) {
    // Two videos drift apart by a frame or so: the silent one is set right when it does.
    for (const video of this.followers) {
      if (Math.abs(video.currentTime - time) > 1 / this.fps && !video.seeking) video.currentTime = time;
    }
  }

  setHeat() {} // a video is what it is

  async play() {
    await this.clock.play();
    for (const video of this.followers) video.play().catch(() => {}); // a refusal is the first video's to report
  }

  pause() {
    this.clock.pause();
    for (const video of this.followers) video.pause();
  }

  setRate(rate) {
    this.clock.setRate(rate);
    for (const video of this.followers) video.playbackRate = rate;
  }

  dispose() {
    this.clock.dispose();
    for (const video of this.followers) URL.revokeObjectURL(video.src);
    this.place.replaceChildren();
  }
}

/**
 * @param {() => import("./stage.js").Stage} openStage called while the clips are on their way; may throw PlayerError
 * @param {import("./store.js").Source[]} sources @param {number | null} heat see `Stage.setFaces`
 * @param {(i: number) => import("./store.js").Progress} progress
 * @param {() => boolean} stale whether nobody wants it any more
 * @returns {Promise<MeshPicture | null>} null if stale
 */
export async function openMesh(openStage, sources, heat, progress, stale) {
  const loading = Promise.all(sources.map((source, i) => loadMesh(source, progress(i))));
  loading.catch(() => {}); // reported below; this only says that somebody will look
  const stage = openStage();
  const meshes = await loading;
  if (stale()) return null;
  const pictureDuration = Math.max(...meshes.map(({ motion }) => motion.frames / motion.fps));
  const { sound } = meshes[0];
  const element = sound && new Audio();
  const filled = sound && fillElement(element, sound, "sound");
  filled?.catch(() => {}); // reported below
  stage.setFaces(meshes, heat); // the browser decodes the sound meanwhile
  stage.draw();
  await filled;
  const clock = sound ? new MediaClock(element, pictureDuration) : new SilentClock(pictureDuration);
  if (!stale()) return new MeshPicture(stage, meshes, clock);
  clock.dispose();
  return null;
}

/** @returns {Promise<VideoPicture | null>} null if stale; see `openMesh` */
export async function openVideo(place, sources, progress, stale) {
  const blobs = await Promise.all(sources.map((source, i) => loadVideo(source, progress(i))));
  if (stale()) return null;
  const elements = blobs.map((_, i) => {
    return Object.assign(document.createElement("video"), { playsInline: true, muted: i > 0 });
  });
  await Promise.all(elements.map((element, i) => fillElement(element, blobs[i], "video")));
  return stale() ? null : new VideoPicture(place, elements, sources[0].frames_per_second);
}
