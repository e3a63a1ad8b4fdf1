// Light and skin. A three-quarter light on a face that looks to +z: a warm key from the upper left, a cool fill from
// the right, a rim from behind; skin is matt with a weak shine.

import { AmbientLight, Color, DirectionalLight, DoubleSide, MeshPhongMaterial, ShaderMaterial, Vector3 } from "three";

const LIGHTS = [
  { colour: "#fff1e2", intensity: 2.6, from: [-0.7, 0.8, 1.1] },
  { colour: "#dbe6ff", intensity: 0.95, from: [1.2, 0.15, 0.8] },
  { colour: "#ffffff", intensity: 1.1, from: [0.3, 0.9, -1.0] },
];
const AMBIENT = { colour: "#eef0ff", intensity: 0.5 };
const CLAY = "#e6bfa6"; // warm, for corpora without colours
const SPECULAR = "#2a2624";
const SHININESS = 24;
const INSIDE = 0.32; // brightness of the inside of the face
/**
 * From so many vertices on, triangles are a few pixels large: light worked out at the vertices looks the same as at
 * every pixel, and takes half the time where there is no graphics card.
 */
const FINE = 10_000;

/** Skin for a mesh of so many vertices. @param {boolean} coloured whether the vertices have colours */
export function skin(vertices, coloured) {
  return vertices < FINE ? skinByPixel(coloured) : skinByVertex(coloured);
}

/** The lamps that `skinByPixel` needs in its scene. */
export function lamps() {
  const lamp = ({ colour, intensity, from }) => {
    const light = new DirectionalLight(colour, intensity);
    light.position.set(...from);
    return light;
  };
  return [new AmbientLight(AMBIENT.colour, AMBIENT.intensity), ...LIGHTS.map(lamp)];
}

function skinByPixel(coloured) {
  const material = new MeshPhongMaterial({
    color: coloured ? "#ffffff" : CLAY,
    vertexColors: coloured,
    specular: SPECULAR,
    shininess: SHININESS,
    side: DoubleSide,
  });
  material.onBeforeCompile = (shader) => {
    shader.fragmentShader = shader.fragmentShader.replace(
      "#include <color_fragment>",
      `#include <color_fragment>
      if (!gl_FrontFacing) diffuseColor.rgb *= ${INSIDE.toFixed(2)};`,
    );
  };
  return material;
}

/** The same light by the same formulas (three's Blinn-Phong), worked out at the vertices; the inside is evenly dark. */
function skinByVertex(coloured) {
  const linear = (colour, scale = 1) => new Color(colour).multiplyScalar(scale);
  return new ShaderMaterial({
    vertexColors: coloured,
    side: DoubleSide,
    uniforms: {
      skinColour: { value: linear(coloured ? "#ffffff" : CLAY) },
      specularColour: { value: linear(SPECULAR) },
      ambientLight: { value: linear(AMBIENT.colour, AMBIENT.intensity) },
      lightColours: { value: LIGHTS.map(({ colour, intensity }) => linear(colour, intensity)) },
      lightDirections: { value: LIGHTS.map(({ from }) => new Vector3(...from).normalize()) },
    },
    vertexShader: `
      uniform vec3 skinColour, specularColour, ambientLight;
      uniform vec3 lightColours[${LIGHTS.length}], lightDirections[${LIGHTS.length}];
      varying vec3 front, back;

      const float SHINE = ${(0.25 * (SHININESS / 2 + 1)).toFixed(2)};

      vec3 encoded(vec3 light) { // as sRGB, to within 0.001 but for the darkest
        vec3 root = sqrt(light);
        vec3 fourth = sqrt(root);
        return max(0.585122 * root + 0.783140 * fourth - 0.368262 * sqrt(fourth), 0.0);
      }

      vec3 lit(vec3 colour, vec3 normal, vec3 view) {
        vec3 sum = ambientLight * colour;
        for (int i = 0; i < ${LIGHTS.length}; i++) {
          sum += lightColours[i] * colour * max(dot(normal, lightDirections[i]), 0.0);
        }
        // Only the key is strong enough for its shine to be seen.
        float shine = max(dot(normal, normalize(lightDirections[0] + view)), 0.0);
        shine *= shine * shine; shine *= shine; shine *= shine; shine *= shine; // to the power of SHININESS
        return encoded((sum + lightColours[0] * specularColour * shine * SHINE) * 0.31830989);
      }

      void main() {
        vec3 colour = skinColour;
        #ifdef USE_COLOR
          colour *= color;
        #endif
        vec3 view = normalize(cameraPosition - position);
        front = lit(colour, normal, view);
        back = encoded(colour * ${INSIDE.toFixed(2)} * 0.31830989);
        gl_Position = projectionMatrix * viewMatrix * vec4(position, 1.0);
      }`,
    fragmentShader: `
      varying vec3 front, back;

      void main() {
        gl_FragColor = vec4(gl_FrontFacing ? front : back, 1.0);
      }`,
  });
}
