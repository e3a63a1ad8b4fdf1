// Reads what db/playback.py writes; that file describes the bytes.

import { PlayerError } from "./errors.js";

const BASE_STEPS = 4;
const CURVE_BITS = 10;

/**
 * A clip's movement, decoded but for the last step, which is done frame by frame while playing. Its vertices come
 * along the Morton curve, where neighbours are near each other: that is quicker to read, shade and draw.
 *
 * @typedef {object} Motion
 * @property {number} frames
 * @property {number} vertices
 * @property {number} fps
 * @property {Uint32Array} order the corpus's number of each vertex, in the order in which `read` gives them
 * @property {(frame: number, out: Float32Array) => void} read fills `out` (3V) with the frame's coordinates
 */

/** @param {Uint8Array} data @returns {Promise<Motion>} */
export async function decodePlayback(data) {
  const reader = new Reader(await gunzip(data), "EPB1");
  const [frames, vertices] = [reader.uint32(), reader.uint32()];
  const [fps, step] = [reader.float64(), reader.float64()];
  const differenced = reader.uint8() === 1;
  const base = new Int32Array(3 * vertices);
  reader.row(base);
  if (differenced) for (let i = 3; i < base.length; i++) base[i] += base[i - 3];
  const order = curve(base);
  const resting = new Float32Array(base.length);
  order.forEach((vertex, i) => {
    for (let axis = 0; axis < 3; axis++) resting[3 * i + axis] = base[3 * vertex + axis] * (step / BASE_STEPS);
  });

  const segments = [];
  const row = new Int32Array(3 * vertices);
  for (let left = reader.uint32(), first = 0; left > 0; left--) {
    const segment = readSegment(reader, row);
    segments.push({ first, ...segment });
    first += segment.frames;
  }
  const counted = segments.reduce((sum, segment) => sum + segment.frames, 0);
  if (counted !== frames || frames === 0 || !reader.atEnd()) throw damaged("frames are missing");

  const read = (frame, out) => {
    const segment = segments.findLast((candidate) => candidate.first <= frame);
    out.set(resting);
    addMotions(segment, frame - segment.first, step, out);
    addRemainder(segment, frame - segment.first, step, out);
  };
  return { frames, vertices, fps, order, read };
}

/**
 * The triangles and colours that all clips of a corpus share.
 *
 * @typedef {object} Topology
 * @property {Uint16Array | Uint32Array} faces three vertices each
 * @property {number} largest the largest index among them
 * @property {Uint8Array | null} colours sRGB, 3 per vertex
 */

/** @param {Uint8Array} data @returns {Promise<Topology>} */
export async function decodeTopology(data) {
  const reader = new Reader(await gunzip(data), "EPT1");
  const [count, coloured, width] = [reader.uint32(), reader.uint32(), reader.uint8()];
  const bytes = reader.take(3 * count * width).slice().buffer;
  const faces = width === 2 ? new Uint16Array(bytes) : new Uint32Array(bytes);
  const largest = faces.reduce((most, index) => Math.max(most, index), 0);
  return { faces, largest, colours: coloured ? reader.take(3 * coloured).slice() : null };
}

/** One segment; its motions go from all x, all y, all z to x, y, z in turn. */
function readSegment(reader, row) {
  const [frames, rank] = [reader.uint32(), reader.uint32()];
  const weights = new Float32Array(reader.take(4 * frames * rank).slice().buffer);
  const motions = [];
  for (let r = 0; r < rank; r++) {
    reader.row(row);
    const motion = new Float32Array(row.length);
    for (let axis = 0, i = 0, sum = 0; axis < 3; axis++) {
      for (let at = axis; at < row.length; at += 3) motion[at] = sum += row[i++];
    }
    motions.push(motion);
  }
  const bits = reader.uint8();
  const bytes = reader.take(Math.ceil((frames * row.length * bits) / 8));
  const Kind = { 8: Int8Array, 16: Int16Array, 32: Int32Array }[bits];
  return { frames, weights, motions, bits, remainder: Kind ? new Kind(bytes.slice().buffer) : bytes };
}

/** out += sum of weight x motion, in steps of `step`; four motions at a time, since memory is the limit. */
function addMotions({ weights, motions }, frame, step, out) {
  const rank = motions.length;
  const weight = (r) => weights[frame * rank + r] * step;
  let r = 0;
  for (; r + 4 <= rank; r += 4) {
    const [a, b, c, d] = [motions[r], motions[r + 1], motions[r + 2], motions[r + 3]];
    const [wa, wb, wc, wd] = [weight(r), weight(r + 1), weight(r + 2), weight(r + 3)];
    for (let i = 0; i < out.length; i++) out[i] += wa * a[i] + wb * b[i] + wc * c[i] + wd * d[i];
  }
  for (; r < rank; r++) {
    const [motion, w] = [motions[r], weight(r)];
    for (let i = 0; i < out.length; i++) out[i] += w * motion[i];
  }
}

function addRemainder({ bits, remainder }, frame, step, out) {
  if (bits === 0) return;
  let i = frame * out.length;
  for (let axis = 0; axis < 3; axis++) {
    for (let at = axis; at < out.length; at += 3, i++) {
      if (bits > 4) out[at] += remainder[i] * step;
      else out[at] += (((i & 1 ? remainder[i >> 1] : remainder[i >> 1] >> 4) & 15) - 8) * step;
    }
  }
}

/** Smallest and largest x, y and z. @param {ArrayLike<number>} coordinates x, y, z in turn */
export function extent(coordinates) {
  const low = [Infinity, Infinity, Infinity];
  const high = [-Infinity, -Infinity, -Infinity];
  for (let axis = 0; axis < 3; axis++) {
    for (let i = axis; i < coordinates.length; i += 3) {
      if (coordinates[i] < low[axis]) low[axis] = coordinates[i];
      if (coordinates[i] > high[axis]) high[axis] = coordinates[i];
    }
  }
  return { low, high };
}

/** The vertices in the order of the Morton curve through the resting shape, as `morton_order` in db/playback.py. */
function curve(base) {
  const count = base.length / 3;
  const { low, high } = extent(base);
  const range = Math.max(high[0] - low[0], high[1] - low[1], high[2] - low[2]);
  const shift = Math.max(0, 32 - Math.clz32(range) - CURVE_BITS);
  const keys = new Float64Array(count); // key x count + vertex: sorts by key, then by vertex
  for (let v = 0; v < count; v++) {
    let key = 0;
    for (let axis = 0; axis < 3; axis++) {
      const cell = (base[3 * v + axis] - low[axis]) >> shift;
      for (let bit = 0; bit < CURVE_BITS; bit++) key |= ((cell >> bit) & 1) << (3 * bit + axis);
    }
    keys[v] = key * count + v;
  }
  return Uint32Array.from(keys.sort(), (key) => key % count);
}

/** @param {Uint8Array} data packed or not @returns {Promise<Uint8Array>} */
async function gunzip(data) {
  const unpacker = new Unpacker();
  unpacker.write(data);
  return unpacker.end();
}

/**
 * Collects bytes in pieces, and unpacks them on the way if they are gzipped: a clip is unpacked while it still
 * arrives. (A proxy may have unpacked it already; then it starts with its own magic word.)
 */
export class Unpacker {
  constructor() {
    this.pieces = [];
    this.writer = null;
  }

  write(piece) {
    if (this.writer === null && this.pieces.length === 0 && piece[0] === 0x1f && piece[1] === 0x8b) {
      const stream = new DecompressionStream("gzip");
      this.writer = stream.writable.getWriter();
      this.unpacked = new Response(stream.readable).arrayBuffer();
      this.unpacked.catch(() => {}); // told at the end
    }
    if (this.writer) this.writer.write(piece).catch(() => {});
    else this.pieces.push(piece);
  }

  /** @returns {Promise<Uint8Array>} rejects with PlayerError "data" if they cannot be unpacked */
  async end() {
    if (!this.writer) return new Uint8Array(await new Blob(this.pieces).arrayBuffer());
    try {
      this.writer.close().catch(() => {});
      return new Uint8Array(await this.unpacked);
    } catch {
      throw damaged("cannot be unpacked");
    }
  }
}

const damaged = (detail) => new PlayerError("data", { detail });

/** Takes numbers off the front of the bytes; every lack of bytes is a PlayerError. */
class Reader {
  constructor(bytes, magic) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.at = 0;
    const found = String.fromCharCode(...bytes.subarray(0, 4));
    if (found !== magic) throw damaged(`it does not start with ${magic}`);
    this.at = 4;
  }

  take(count) {
    if (this.at + count > this.bytes.length) throw damaged("its end is missing");
    this.at += count;
    return this.bytes.subarray(this.at - count, this.at);
  }

  number(kind, size) {
    this.take(size);
    return this.view[kind](this.at - size, true);
  }

  uint8 = () => this.number("getUint8", 1);
  uint32 = () => this.number("getUint32", 4);
  float64 = () => this.number("getFloat64", 8);
  atEnd = () => this.at === this.bytes.length;

  /** Fills `out` with zigzag-coded whole numbers, whose bytes lie in planes. */
  row(out) {
    const planes = Array.from({ length: this.uint8() }, () => this.take(out.length));
    const [low, high] = planes;
    if (planes.length === 1) for (let i = 0; i < out.length; i++) out[i] = unzigzag(low[i]);
    else if (planes.length === 2) for (let i = 0; i < out.length; i++) out[i] = unzigzag(low[i] | (high[i] << 8));
    else {
      out.fill(0);
      planes.forEach((bytes, plane) => bytes.forEach((byte, i) => (out[i] |= byte << (8 * plane))));
      for (let i = 0; i < out.length; i++) out[i] = unzigzag(out[i]);
    }
  }
}

const unzigzag = (coded) => (coded >>> 1) ^ -(coded & 1);
