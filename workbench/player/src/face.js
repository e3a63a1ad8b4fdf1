// One moving face: its triangles, its frame in view and how light falls on it.

import {
  BufferAttribute,
  BufferGeometry,
  Color,
  DoubleSide,
  DynamicDrawUsage,
  Mesh,
  MeshBasicMaterial,
} from "three";

import { extent } from "./decode.js";
import { skin } from "./lighting.js";
import { Hollows, openings } from "./openings.js";

const HOLLOW = "#33221e"; // behind the eyes and the mouth

export class Face {
  /** @param {import("./store.js").Mesh} mesh @param {boolean} heated whether colours will be given, frame by frame */
  constructor({ motion, topology }, heated = false) {
    this.motion = motion;
    this.faces = alongCurve(topology.faces, motion.order);
    this.positions = new Float32Array(3 * motion.vertices);
    this.normals = new Float32Array(3 * motion.vertices);
    this.frame = -1;
    this.geometry = new BufferGeometry();
    this.geometry.setIndex(new BufferAttribute(this.faces, 1));
    for (const [name, array] of [
      ["position", this.positions],
      ["normal", this.normals],
    ]) {
      this.geometry.setAttribute(name, new BufferAttribute(array, 3).setUsage(DynamicDrawUsage));
    }
    const coloured = topology.colours !== null && topology.colours.length >= this.positions.length;
    if (coloured && !heated) this.geometry.setAttribute("color", linearColours(topology.colours, motion.order));
    this.material = skin(motion.vertices, coloured || heated);
    this.object = new Mesh(this.geometry, this.material);
    this.object.frustumCulled = false; // it moves, and is always in view
    motion.read(0, this.positions);
    if (!coloured) this.addHollows(); // a coloured mesh brings its own eyes and teeth
    this.show(0);
  }

  addHollows() {
    const { low, high } = extent(this.positions);
    this.hollows = new Hollows(openings(this.faces), high[1] - low[1]);
    const geometry = new BufferGeometry();
    geometry.setIndex(new BufferAttribute(this.hollows.faces, 1));
    geometry.setAttribute("position", new BufferAttribute(this.hollows.positions, 3).setUsage(DynamicDrawUsage));
    this.dark = new Mesh(geometry, new MeshBasicMaterial({ color: HOLLOW, side: DoubleSide }));
    this.dark.frustumCulled = false;
    this.object.add(this.dark);
  }

  /** Moves the vertices to frame `k`, held within the clip. @returns {boolean} whether anything changed */
  show(k) {
    const frame = Math.max(0, Math.min(this.motion.frames - 1, k));
    if (frame === this.frame) return false;
    this.frame = frame;
    this.motion.read(frame, this.positions);
    vertexNormals(this.positions, this.faces, this.normals);
    this.geometry.attributes.position.needsUpdate = true;
    this.geometry.attributes.normal.needsUpdate = true;
    if (this.dark) {
      this.hollows.follow(this.positions);
      this.dark.geometry.attributes.position.needsUpdate = true;
    }
    return true;
  }

  /**
   * From how far in front the frame in view is seen whole, through a lens of these slopes (half width and half height
   * at distance 1).
   */
  framing(slopeX, slopeY) {
    const { low, high } = extent(this.positions);
    const centre = low.map((value, axis) => (value + high[axis]) / 2);
    let distance = 0;
    for (let i = 0; i < this.positions.length; i += 3) {
      const x = Math.abs(this.positions[i] - centre[0]) / slopeX;
      const y = Math.abs(this.positions[i + 1] - centre[1]) / slopeY;
      distance = Math.max(distance, Math.max(x, y) + this.positions[i + 2] - centre[2]);
    }
    const radius = Math.hypot(...low.map((value, axis) => (high[axis] - value) / 2)) || 1;
    return { centre, distance: Math.max(distance, 2 * radius), radius };
  }

  dispose() {
    this.geometry.dispose();
    this.material.dispose();
    this.dark?.geometry.dispose();
    this.dark?.material.dispose();
  }
}

/**
 * The triangles with the vertices' numbers along the curve, and in their order: what is drawn together lies together.
 *
 * @param {Uint16Array | Uint32Array} faces @param {Uint32Array} order
 */
function alongCurve(faces, order) {
  const rank = new Uint32Array(order.length);
  for (let i = 0; i < order.length; i++) rank[order[i]] = i;
  const count = faces.length / 3;
  const keys = new Float64Array(count); // first vertex x count + triangle
  for (let t = 0; t < count; t++) {
    keys[t] = Math.min(rank[faces[3 * t]], rank[faces[3 * t + 1]], rank[faces[3 * t + 2]]) * count + t;
  }
  keys.sort();
  const out = new faces.constructor(faces.length);
  for (let i = 0; i < count; i++) {
    const t = keys[i] % count;
    for (let corner = 0; corner < 3; corner++) out[3 * i + corner] = rank[faces[3 * t + corner]];
  }
  return out;
}

/** sRGB bytes as the linear colours that shading needs. @param {Uint8Array} colours @param {Uint32Array} order */
function linearColours(colours, order) {
  const colour = new Color();
  const table = Float32Array.from({ length: 256 }, (_, value) => colour.setRGB(value / 255, 0, 0, "srgb").r);
  const linear = Float32Array.from({ length: 3 * order.length }, (_, i) => {
    return table[colours[3 * order[Math.floor(i / 3)] + (i % 3)]];
  });
  return new BufferAttribute(linear, 3);
}

/** Normals of all vertices: the sum of their triangles' normals, each as long as its triangle is large. */
function vertexNormals(positions, faces, normals) {
  normals.fill(0);
  for (let t = 0; t < faces.length; t += 3) {
    const a = 3 * faces[t];
    const b = 3 * faces[t + 1];
    const c = 3 * faces[t + 2];
    const ux = positions[b] - positions[a];
    const uy = positions[b + 1] - positions[a + 1];
    const uz = positions[b + 2] - positions[a + 2];
    const vx = positions[c] - positions[a];
    const vy = positions[c + 1] - positions[a + 1];
    const vz = positions[c + 2] - positions[a + 2];
    const nx = uy * vz - uz * vy;
    const ny = uz * vx - ux * vz;
    const nz = ux * vy - uy * vx;
    normals[a] += nx;
    normals[a + 1] += ny;
    normals[a + 2] += nz;
    normals[b] += nx;
    normals[b + 1] += ny;
    normals[b + 2] += nz;
    normals[c] += nx;
    normals[c + 1] += ny;
    normals[c + 2] += nz;
  }
  for (let i = 0; i < normals.length; i += 3) {
    const [x, y, z] = [normals[i], normals[i + 1], normals[i + 2]];
    const scale = 1 / (Math.sqrt(x * x + y * y + z * z) || 1);
    normals[i] = x * scale;
    normals[i + 1] = y * scale;
    normals[i + 2] = z * scale;
  }
}
