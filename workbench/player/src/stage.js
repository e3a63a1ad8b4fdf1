// Where meshes are shown: one WebGL context, one camera, and a view side by side for each face.

import { MOUSE, PerspectiveCamera, Scene, TOUCH, Vector3, WebGLRenderer } from "three";
import { OrbitControls } from "three/addons/controls/OrbitControls.js";

import { PlayerError } from "./errors.js";
import { Face } from "./face.js";
import { lamps } from "./lighting.js";

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
    const software = softwareOnly();
    try {
      // Without a graphics card smooth edges cost three quarters of the frames.
      this.renderer = new WebGLRenderer({ canvas, antialias: !software, alpha: true, powerPreference: "high-performance" });
    } catch {
      throw new PlayerError("webgl");
    }
    this.mostPixels = software ? 1 : 2;
    this.camera = new PerspectiveCamera(FIELD_OF_VIEW, 1, 0.1, 100);
    this.orbit = this.orbitControls();
    this.views = [];
    this.size = [0, 0];
    this.listeners = new AbortController();
    this.watchContext();
  }

  /** @param {import("./store.js").Mesh[]} meshes one or two, shown from left to right */
  setFaces(meshes) {
    this.clearFaces();
    this.views = meshes.map((mesh) => {
      const face = new Face(mesh);
      const scene = new Scene();
      scene.add(face.object, ...lamps());
      return { face, scene };
    });
    this.resetView();
  }

  clearFaces() {
    for (const { face, scene } of this.views) {
      scene.clear();
      face.dispose();
    }
    this.views = [];
  }

  /** Moves every face to the moment `time`, in seconds. @returns {boolean} whether a frame changed */
  showTime(time) {
    const changed = this.views.map(({ face }) => face.show(Math.floor(time * face.motion.fps + 1e-6)));
    return changed.includes(true);
  }

  draw() {
    const [width, height] = this.size;
    if (!width || !height || !this.views.length || this.lost) return;
    const share = width / this.views.length;
    this.renderer.setScissorTest(this.views.length > 1);
    this.views.forEach(({ scene }, i) => {
      this.renderer.setViewport(i * share, 0, share, height);
      this.renderer.setScissor(i * share, 0, share, height);
      this.renderer.render(scene, this.camera);
    });
  }

  resize(width, height) {
    if (!width || !height) return;
    this.size = [width, height];
    this.renderer.setPixelRatio(Math.min(devicePixelRatio, this.mostPixels));
    this.renderer.setSize(width, height, false);
    const framed = this.framed;
    this.camera.aspect = width / Math.max(1, this.views.length) / height;
    this.camera.updateProjectionMatrix();
    if (framed) this.resetView(); // a view that the visitor turned stays as it is
  }

  /** Frames the faces from the front. */
  resetView() {
    if (!this.views.length) return;
    const [width, height] = this.size;
    if (width) this.camera.aspect = width / this.views.length / height;
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
    this.events.onChange();
  }

  /** Moves the camera nearer (factor below 1) or farther. */
  zoom(factor) {
    const arm = this.camera.position.clone().sub(this.orbit.target);
    const length = Math.min(this.orbit.maxDistance, Math.max(this.orbit.minDistance, arm.length() * factor));
    this.camera.position.copy(this.orbit.target).add(arm.setLength(length));
    this.orbit.update();
    this.framed = false;
    this.events.onChange();
  }

  orbitControls() {
    const orbit = new OrbitControls(this.camera, this.canvas);
    orbit.enablePan = false;
    orbit.enableZoom = true;
    orbit.mouseButtons = { LEFT: MOUSE.ROTATE, MIDDLE: null, RIGHT: null };
    orbit.touches = { ONE: TOUCH.ROTATE, TWO: TOUCH.DOLLY_ROTATE };
    this.canvas.style.touchAction = "pan-y"; // a finger that moves up or down scrolls the page, not the face
    orbit.addEventListener("start", () => (this.framed = false));
    orbit.addEventListener("change", () => this.events.onChange());
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

/** Whether WebGL is drawn by the processor. False, too, where there is no WebGL at all. */
function softwareOnly() {
  const gl = document.createElement("canvas").getContext("webgl2");
  if (!gl) return false;
  const info = gl.getExtension("WEBGL_debug_renderer_info");
  const name = info ? gl.getParameter(info.UNMASKED_RENDERER_WEBGL) : "";
  gl.getExtension("WEBGL_lose_context")?.loseContext();
  return /swiftshader|llvmpipe|softpipe|software|basic render/i.test(name);
}
