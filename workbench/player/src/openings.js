// Scanned faces have holes for the eyes and the mouth. Seen against the bright background they glow, and lips are
// hard to read; so each hole gets a dark hollow behind it: its rim, drawn to a point inside the head.

/** How far behind the rim the point lies, as a share of the face's height, and how far the rim is drawn back. */
const DEPTH = 0.07;
const INSET = 0.004;
const LONGEST_RIM = 0.5; // of the outline: a longer rim is another edge of the mesh, not an opening

/**
 * Rims of the openings of a mesh: closed chains of vertices along edges with one triangle. The longest chain is the
 * outline of the face and left out.
 *
 * @param {ArrayLike<number>} faces three vertices each @returns {number[][]} vertices of each rim, in order
 */
export function openings(faces) {
  const next = new Map(); // along the border, against the triangle's own direction
  const key = (a, b) => a * 0x4000000 + b;
  const bordering = borderVertices(faces);
  const edges = [];
  for (let t = 0; t < faces.length; t += 3) {
    for (let side = 0; side < 3; side++) {
      const [a, b] = [faces[t + side], faces[t + ((side + 1) % 3)]];
      if (bordering[a] && bordering[b]) edges.push([a, b]);
    }
  }
  const known = new Set(edges.map(([a, b]) => key(a, b)));
  for (const [a, b] of edges) if (!known.has(key(b, a))) next.set(b, a);
  const rims = [];
  while (next.size) {
    const rim = [];
    for (let vertex = next.keys().next().value; next.has(vertex); ) {
      rim.push(vertex);
      const following = next.get(vertex);
      next.delete(vertex);
      vertex = following;
    }
    if (rim.length > 2) rims.push(rim);
  }
  rims.sort((a, b) => b.length - a.length);
  const outline = rims[0]?.length ?? 0;
  return rims.slice(1).filter((rim) => rim.length >= 8 && rim.length < LONGEST_RIM * outline);
}

/**
 * Which vertices lie on the border of a mesh; the others need no search for their edges' opposites.
 *
 * Around an inner vertex every neighbour is reached by one edge and left by another: what the one adds, the other
 * takes away. A neighbour counts with a number that mixes its bits, so that different ones do not cancel out.
 *
 * @param {ArrayLike<number>} faces @returns {Int32Array} 0 for inner vertices
 */
function borderVertices(faces) {
  let count = 0;
  for (let i = 0; i < faces.length; i++) if (faces[i] >= count) count = faces[i] + 1;
  const sums = new Int32Array(count);
  for (let t = 0; t < faces.length; t += 3) {
    for (let side = 0; side < 3; side++) {
      const [a, b] = [faces[t + side], faces[t + ((side + 1) % 3)]];
      sums[a] += mixed(b);
      sums[b] -= mixed(a);
    }
  }
  return sums;
}

const mixed = (vertex) => Math.imul(Math.imul(vertex + 1, 0x9e3779b1) ^ ((vertex + 1) >>> 7), 0x85ebca6b);

/** The hollows behind the openings: triangles, and their coordinates for any frame. */
export class Hollows {
  /** @param {number[][]} rims @param {number} height of the face */
  constructor(rims, height) {
    this.rims = rims;
    this.height = height;
    this.positions = new Float32Array(3 * rims.reduce((sum, rim) => sum + rim.length + 1, 0));
    const faces = [];
    let first = 0;
    for (const rim of rims) {
      rim.forEach((_, i) => faces.push(first + i, first + ((i + 1) % rim.length), first + rim.length));
      first += rim.length + 1;
    }
    this.faces = new Uint32Array(faces);
  }

  /** Follows the face's `positions`, whose front is towards +z. */
  follow(positions) {
    const out = this.positions;
    let at = 0;
    for (const rim of this.rims) {
      const centre = [0, 0, 0];
      for (const vertex of rim) {
        for (let axis = 0; axis < 3; axis++) {
          const value = positions[3 * vertex + axis];
          centre[axis] += value / rim.length;
          out[at++] = axis === 2 ? value - INSET * this.height : value;
        }
      }
      centre[2] -= DEPTH * this.height;
      for (const value of centre) out[at++] = value;
    }
  }
}
