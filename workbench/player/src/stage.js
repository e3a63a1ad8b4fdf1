// Where meshes are shown: one WebGL context, one camera, and a view for each face, side by side or in rows.

import {
  BufferAttribute,
  BufferGeometry,
  Mesh,
  MOUSE,
  PerspectiveCamera,
  Scene,
  TOUCH,
  Vector3,
  WebGLRenderer,
} from "three";
import { OrbitControls } from "three/addons/controls/OrbitControls.js";

import { PlayerError } from "./errors.js";
import { Face } from "./face.js";
import { columnsFor } from "./grid.js";
import { Heat } from "./heat.js";
import { lamps, skin } from "./lighting.js";

const FIELD_OF_VIEW = 24; // degrees; a long lens flatters, and shows depth as people know it from portraits
const MARGIN = 1.12; // room for the jaw to open
const RESTORE_MS = 5000;

export class Stage {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {{onChange: () => void, onLost: () => void, onRestored: () => void, onGone: () => void}} events
   * onChange: must be drawn again; onLost, onRestored: the graphics were taken away and came back; onGone: they did not
   * Throws PlayerError "webgl" where there is no WebGL.
   */
  constructor(canvas, events) {
    this.canvas = canvas;
    this.events = events;
    const context = canvas.getContext("webgl2", { antialias: false, powerPreference: "high-performance" });
    if (!context) throw new PlayerError("webgl");
    this.renderer = new WebGLRenderer({ canvas, context, alpha: true });
    // Edges are smooth where a graphics card draws more pixels than are shown; without one that takes too long.
    this.pixelRatio = drawnBySoftware(context) ? 1 : 2;
    this.camera = new PerspectiveCamera(FIELD_OF_VIEW, 1, 0.1, 100);
    this.orbit = this.orbitControls();
    this.views = [];
    this.heats = [];
    this.size = [0, 0];
    this.stale = true; // what the canvas shows is not what is here
    this.listeners = new AbortController();
    this.watchContext();
    this.prepareSkin();
  }

  /**
   * Draws a fine mesh of one triangle without extent, while the clip is still on its way: building what draws such a
   * mesh, the slowest to show, takes as long as fetching one. It is kept for as long as its material.
   */
  prepareSkin() {
    const geometry = new BufferGeometry();
    for (const name of ["position", "normal"]) geometry.setAttribute(name, new BufferAttribute(new Float32Array(9), 3));
    geometry.setIndex([0, 1, 2]);
    const scene = new Scene();
    scene.add(new Mesh(geometry, skin(Infinity, false)));
    this.renderer.render(scene, this.camera);
    this.renderer.getContext().flush();
  }

  /**
   * @param {import("./store.js").Mesh[]} meshes shown from left to right
   * @param {number | null} heat colours all but the first by their distance from the first, up to so much
   */
  setFaces(meshes, heat = null) {
    this.makeFaces(meshes, heat);
    this.resetView();
  }

  makeFaces(meshes, heat) {
    this.clearFaces();
    this.meshes = meshes;
    this.views = meshes.map((mesh, i) => {
      const face = new Face(mesh, heat !== null && i > 0);
      const scene = new Scene();
      scene.add(face.object, ...lamps());
      return { face, scene };
    });
    const [first, ...others] = this.views;
    this.heats = heat === null ? [] : others.map(({ face }) => new Heat(first.face, face, heat));
    this.heats.forEach((map) => map.update());
  }

  /** Other colours for the faces in view, which stay where they are. @param {number | null} heat see `setFaces` */
  setHeat(heat) {
    const frames = this.views.map(({ face }) => face.frame);
    this.makeFaces(this.meshes, heat);
    this.views.forEach(({ face }, i) => face.show(frames[i]));
    this.heats.forEach((map) => map.update());
    this.change();
  }

  /** Something is to be drawn that was not before. */
  change() {
    this.stale = true;
    this.events.onChange();
  }

  clearFaces() {
    for (const { face, scene } of this.views) {
      scene.clear();
      face.dispose();
    }
    this.views = [];
    this.heats = [];
    this.meshes = []; // what is no longer shown need not be kept
  }

  /** Moves every face to the moment `time`, in seconds. */
  showTime(time) {
    const changed = this.views.map(({ face }) => face.show(Math.floor(time * face.motion.fps + 1e-6)));
    if (!changed.includes(true)) return;
    this.heats.forEach((map) => map.update());
    this.stale = true;
  }

  /** Draws, unless the canvas shows all this already. */
  draw() {
    const [width, height] = this.size;
    if (!width || !height || !this.views.length || this.lost || !this.stale) return;
    this.stale = false;
    const { columns, rows } = this.grid;
    const [wide, high] = [width / columns, height / rows];
    this.renderer.setScissorTest(this.views.length > 1);
    this.views.forEach(({ scene }, i) => {
      const place = [(i % columns) * wide, (rows - 1 - Math.floor(i / columns)) * high, wide, high]; // y goes up
      this.renderer.setViewport(...place);
      this.renderer.setScissor(...place);
      this.renderer.render(scene, this.camera);
    });
  }

  /** How the views share the canvas. */
  get grid() {
    const columns = columnsFor(this.views.length, ...this.size);
    return { columns, rows: Math.ceil(this.views.length / columns) };
  }

  get aspect() {
    const { columns, rows } = this.grid;
    return this.size[0] / columns / (this.size[1] / rows);
  }

  resize(width, height) {
    if (!width || !height || (width === this.size[0] && height === this.size[1])) return;
    this.size = [width, height];
    this.stale = true; // setting the size clears the canvas
    this.renderer.setPixelRatio(this.pixelRatio);
    this.renderer.setSize(width, height, false);
    const framed = this.framed;
    this.camera.aspect = this.views.length ? this.aspect : width / height;
    this.camera.updateProjectionMatrix();
    if (framed) this.resetView(); // a view that the visitor turned stays as it is
  }

  /** Frames the faces from the front. */
  resetView() {
    if (!this.views.length) return;
    if (this.size[0]) this.camera.aspect = this.aspect;
    const slope = Math.tan((FIELD_OF_VIEW / 360) * Math.PI);
    const views = this.views.map(({ face }) => face.framing(slope * this.camera.aspect, slope));
    const far = MARGIN * Math.max(...views.map((view) => view.distance));
    const radius = Math.max(...views.map((view) => view.radius));
    const centre = new Vector3(...views[0].centre);
    this.orbit.target.copy(centre);
    this.camera.position.copy(centre).add(new Vector3(0.06, 0.03, 1).setLength(far));
    this.camera.near = far / 50;
    this.camera.far = far * 4 + radius;
    this.camera.updateProjectionMatrix();
    this.orbit.minDistance = Math.max(radius * 0.6, far / 4);
    this.orbit.maxDistance = far * 2.5;
    this.orbit.update();
    this.framed = true;
    this.change();
  }

  /** Moves the camera nearer (factor below 1) or farther. */
  zoom(factor) {
    const arm = this.camera.position.clone().sub(this.orbit.target);
    const length = Math.min(this.orbit.maxDistance, Math.max(this.orbit.minDistance, arm.length() * factor));
    this.camera.position.copy(this.orbit.target).add(arm.setLength(length));
    this.orbit.update();
    this.framed = false;
    this.change();
  }

  orbitControls() {
    const orbit = new OrbitControls(this.camera, this.canvas);
    orbit.enablePan = false;
    orbit.enableZoom = true;
    orbit.mouseButtons = { LEFT: MOUSE.ROTATE, MIDDLE: null, RIGHT: null };
    orbit.touches = { ONE: TOUCH.ROTATE, TWO: TOUCH.DOLLY_ROTATE };
    this.canvas.style.touchAction = "pan-y"; // a finger that moves up or down scrolls the page, not the face
    orbit.addEventListener("start", () => (this.framed = false));
    orbit.addEventListener("change", () => this.change());
    // The wheel belongs to the page, unless the visitor asks for zoom. Capturing, to come before the controls.
    const wheel = (event) => {
      if (!event.ctrlKey && !event.metaKey && !document.fullscreenElement) event.stopImmediatePropagation();
      else this.framed = false;
    };
    this.canvas.addEventListener("wheel", wheel, { capture: true, passive: true });
    this.removeWheel = () => this.canvas.removeEventListener("wheel", wheel, { capture: true });
    return orbit;
  }

  watchContext() {
    const { signal } = this.listeners;
    const lost = (event) => {
      event.preventDefault(); // asks the browser to give it back
      this.lost = true;
      this.events.onLost();
      this.goneTimer = setTimeout(() => this.events.onGone(), RESTORE_MS);
    };
    const restored = () => {
      clearTimeout(this.goneTimer);
      this.lost = false;
      this.stale = true;
      this.events.onRestored();
    };
    this.canvas.addEventListener("webglcontextlost", lost, { signal });
    this.canvas.addEventListener("webglcontextrestored", restored, { signal });
  }

  dispose() {
    clearTimeout(this.goneTimer);
    this.listeners.abort();
    this.removeWheel();
    this.clearFaces();
    this.orbit.dispose();
    this.renderer.dispose();
    this.renderer.forceContextLoss(); // browsers allow about sixteen contexts; do not wait for the collector
  }
}

/** Whether the processor draws, and no graphics card. @param {WebGL2RenderingContext} context */
function drawnBySoftware(context) {
  const info = context.getExtension("WEBGL_debug_renderer_info");
  const name = info ? context.getParameter(info.UNMASKED_RENDERER_WEBGL) : "";
  return /swiftshader|llvmpipe|softpipe|software|basic render/i.test(name);
}
