// How much of a clip was really watched.

/** Played time closer together than this is one stretch: a pause stops a moment away from where it resumes. */
const JOIN_S = 0.05;
/** A clock that runs on by more than the time that passed, and this much, was moved (a media key, say). */
const SLACK_S = 0.3;

/**
 * Which frames of the present pass were played through, from their first moment to their last.
 *
 * A frame counts when the clock ran through its whole interval while playing; whether it was drawn does not matter
 * (a slow computer drops frames, the sound goes on). Scrubbing and stepping count nothing.
 */
export class Coverage {
  constructor(frames, fps) {
    this.plays = 0; // complete passes
    this.watched = 0; // seconds in front of the playing clip
    this.restart(frames, fps);
  }

  /** A new pass begins, of the mesh or of the video; complete passes and watched time stay. */
  restart(frames = this.frames, fps = this.fps) {
    this.frames = frames;
    this.fps = fps;
    this.seen = new Uint8Array(this.frames);
    this.from = null; // start of the present stretch of played time
    this.to = null;
    this.over = false;
  }

  /** The clock starts to run at `time`. */
  begin(time) {
    if (this.over) this.restart();
    if (this.to === null || Math.abs(time - this.to) > JOIN_S) this.from = time;
    else this.from = Math.min(this.from, time);
    this.to = time;
  }

  /** The clock has run on to `time` at `rate`; `elapsed` real seconds passed. */
  advance(time, elapsed, rate = 1) {
    this.watched += elapsed;
    if (this.to === null || time < this.to || time - this.to > elapsed * rate + SLACK_S) {
      this.from = this.to = time;
      return;
    }
    this.to = time;
    const tolerance = 1e-3 / this.fps;
    const first = Math.max(0, Math.ceil(this.from * this.fps - tolerance));
    const end = Math.min(this.frames, Math.floor(this.to * this.fps + tolerance));
    if (end > first) this.seen.fill(1, first, end);
  }

  /** The position was moved: what is played from there on is another stretch. */
  jump() {
    this.from = null;
    this.to = null;
  }

  /** The clip ended, and with it this pass: what is played after this belongs to the next. */
  end() {
    if (this.share === 1) this.plays += 1;
    this.over = true;
  }

  /** Share of the frames that the present pass has played through, 0..1. */
  get share() {
    return this.seen.reduce((sum, seen) => sum + seen, 0) / this.frames;
  }
}
