// A heat map: how far each vertex of one face is from where it is in another, as colours on the one.

import { BufferAttribute, Color, DynamicDrawUsage } from "three";

import { PlayerError } from "./errors.js";

// ColorBrewer's YlOrRd (Apache 2.0, colorbrewer2.org): light where nothing is off, readable without colour vision.
const STOPS = ["#ffffcc", "#ffeda0", "#fed976", "#feb24c", "#fd8d3c", "#fc4e2a", "#e31a1c", "#bd0026", "#800026"];
const STEPS = 256;

/** The colours from no distance to the limit, for CSS. */
export const GRADIENT = `linear-gradient(to right, ${STOPS.join(", ")})`;

export class Heat {
  /**
   * @param {import("./face.js").Face} reference the face that is right
   * @param {import("./face.js").Face} face the one that is coloured; both of the same corpus
   * @param {number} limit the distance at the end of the colours, in corpus units
   * Throws PlayerError "data" for faces of different corpora.
   */
  constructor(reference, face, limit) {
    if (reference.motion.vertices !== face.motion.vertices) {
      const detail = `${face.motion.vertices} vertices beside ${reference.motion.vertices}`;
      throw new PlayerError("data", { detail });
    }
    this.reference = reference.positions;
    this.face = face.positions;
    this.limit = limit;
    // Each clip has its vertices in an order of its own: where in the reference is each vertex of the face?
    const place = new Uint32Array(reference.motion.order.length);
    for (let i = 0; i < place.length; i++) place[reference.motion.order[i]] = 3 * i;
    this.there = Uint32Array.from(face.motion.order, (vertex) => place[vertex]);
    this.attribute = new BufferAttribute(new Float32Array(face.positions.length), 3).setUsage(DynamicDrawUsage);
    face.geometry.setAttribute("color", this.attribute);
    this.table = colourTable();
  }

  /** Colours the face for the frames that both show now. */
  update() {
    const { reference, face, there, table } = this;
    const colours = this.attribute.array;
    for (let i = 0, at = 0; i < there.length; i++, at += 3) {
      const other = there[i];
      const [x, y, z] = [face[at] - reference[other], face[at + 1] - reference[other + 1], face[at + 2] - reference[other + 2]];
      const share = Math.min(1, Math.sqrt(x * x + y * y + z * z) / this.limit);
      const step = 3 * Math.round(share * (STEPS - 1));
      colours[at] = table[step];
      colours[at + 1] = table[step + 1];
      colours[at + 2] = table[step + 2];
    }
    this.attribute.needsUpdate = true;
  }
}

/** Linear colours (3 x STEPS) along the stops. */
function colourTable() {
  const stops = STOPS.map((stop) => new Color(stop));
  const table = new Float32Array(3 * STEPS);
  const mixed = new Color();
  for (let step = 0; step < STEPS; step++) {
    const along = (step / (STEPS - 1)) * (stops.length - 1);
    const below = Math.min(stops.length - 2, Math.floor(along));
    mixed.lerpColors(stops[below], stops[below + 1], along - below).toArray(table, 3 * step);
  }
  return table;
}
