// The keyboard. Keys work on the whole page, so that nobody has to click the player first, except while typing.
// Digits and the letters h, a, s, n, u are left to the page: they rate.

const KEYS = {
  " ": "play",
  r: "replay",
  ",": "step_back",
  ArrowLeft: "step_back",
  ".": "step_forward",
  ArrowRight: "step_forward",
  "+": "zoom_in",
  "-": "zoom_out",
};

let owner = null; // the player that has the keys: the one used last, or else the first

/**
 * Sends keys to `actions` while this player has them.
 *
 * @param {HTMLElement} root @param {Record<string, Function>} actions @param {AbortSignal} signal ends it
 */
export function listenToKeys(root, actions, signal) {
  const me = { root };
  owner ??= me;
  const take = () => (owner = me);
  root.addEventListener("pointerdown", take, { signal });
  root.addEventListener("focusin", take, { signal });
  const onKey = (event) => {
    owner ??= me; // the one that had them is gone
    const inside = event.composedPath().includes(root);
    if (owner !== me && !inside) return;
    const name = actionFor(event, inside);
    if (!name) return;
    // Before anybody else, and for nobody else: Streamlit reruns the page at "r".
    event.preventDefault();
    event.stopImmediatePropagation();
    actions[name]();
  };
  window.addEventListener("keydown", onKey, { signal, capture: true });
  signal.addEventListener("abort", () => {
    if (owner === me) owner = null;
  });
}

function actionFor(event, inside) {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return null;
  const target = event.composedPath()[0];
  const tag = target instanceof Element ? target.localName : "";
  const scrub = inside && tag === "input" && target.max !== "1"; // arrow keys step frames there, too
  if (!scrub && isTyping(target, tag)) return null;
  const pressesButton = event.key === " " && (tag === "button" || tag === "a" || tag === "summary");
  if (pressesButton) return null;
  const arrow = event.key.startsWith("Arrow");
  if (arrow && !inside && hasOwnArrows(target)) return null;
  return KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key] ?? null;
}

function isTyping(target, tag) {
  return ["input", "textarea", "select"].includes(tag) || target?.isContentEditable === true;
}

function hasOwnArrows(target) {
  const roles = ["slider", "tab", "radio", "option", "menuitem", "gridcell", "treeitem", "spinbutton", "combobox"];
  return target instanceof Element && (roles.includes(target.getAttribute("role")) || target.localName === "video");
}
