// The player for any page: `mount(element, data, emit)`. Streamlit pages come here through mount.js.

import { Player } from "./player.js";

export { Coverage } from "./coverage.js";
export { decodePlayback, decodeTopology } from "./decode.js";
export { remembered } from "./store.js";

/**
 * Puts a player into `parent`.
 *
 * @param {HTMLElement} parent
 * @param {import("./player.js").PlayerData} data
 * @param {(event: import("./player.js").PlayerEvent) => void} emit called with every event that `data.events` names
 * @returns {Player} call `update(data)` for another clip or other settings, `dispose()` at the end
 */
export function mount(parent, data, emit = () => {}) {
  return new Player(parent, data, emit);
}
