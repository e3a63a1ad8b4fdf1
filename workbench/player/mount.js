// The Streamlit side of the player, sent inline with the page; the player itself is loaded once, by address.
//
// Streamlit calls the default export at every run of the page, with new `data`, and may call the clean-up of an
// earlier run late. So players are kept by element, a clean-up waits a moment, and a newer call cancels it. An
// element that Streamlit moves gets a new place in the page: the player moves there and goes on.

const REMOUNT_MS = 400;
const places = new WeakMap(); // parentElement -> place
const byKey = new Map(); // the component's key -> place

/** Where the app is served: its address without the page's name. */
function appRoot() {
  const script = document.querySelector('script[src*="static/js/"]');
  return script ? script.src.replace(/static\/js\/.*$/, "") : document.baseURI;
}

function absolute(source) {
  if (!source) return source;
  const entries = Object.entries(source).map(([name, value]) => [
    name,
    name.endsWith("_url") && value ? new URL(value, appRoot()).href : value,
  ]);
  return Object.fromEntries(entries);
}

function placeFor(parentElement, key) {
  const known = places.get(parentElement);
  if (known) return known;
  const moved = byKey.get(key);
  const place = moved && moved.leaving ? moved : { element: document.createElement("div"), runs: 0 };
  places.set(parentElement, place);
  byKey.set(key, place);
  return place;
}

function showFailure(place, texts, retry) {
  const message = document.createElement("p");
  message.setAttribute("role", "alert");
  message.textContent = `${texts.error_player} `;
  const button = document.createElement("button");
  button.textContent = texts.retry;
  button.onclick = retry;
  message.append(button);
  place.element.replaceChildren(message);
}

async function show(place, attempt = 0) {
  const run = place.runs;
  try {
    // A failed import is remembered by the browser; another query makes it another module.
    const address = new URL(place.data.module, appRoot()).href + (attempt ? `?attempt=${attempt}` : "");
    const { mount } = await import(address);
    if (run !== place.runs || place.gone || place.player) return;
    place.element.replaceChildren();
    place.player = mount(place.element, place.data, (event) => place.emit(event));
  } catch (error) {
    if (run !== place.runs || place.gone) return;
    console.error(error);
    showFailure(place, place.data.texts, () => show(place, attempt + 1));
  }
}

export default function (component) {
  const { parentElement, data, setTriggerValue } = component;
  const place = placeFor(parentElement, data.key);
  const holder = parentElement.querySelector(".eavanet-player-place");
  place.runs += 1;
  place.gone = false;
  place.leaving = false;
  clearTimeout(place.timer);
  place.emit = (event) => {
    // Other components of the page can hear it here, without asking the server first.
    document.dispatchEvent(new CustomEvent("eavanet-player", { detail: event }));
    if (data.events.includes(event.type)) setTriggerValue("event", event);
  };
  place.data = {
    ...data,
    events: [...new Set([...data.events, "ended", "error"])],
    source: absolute(data.source),
    upcoming: absolute(data.upcoming),
    compare: data.compare.map(absolute),
  };
  if (place.element.parentNode !== holder) holder.replaceChildren(place.element);
  if (place.player) place.player.update(place.data);
  else show(place);

  const run = place.runs;
  return () => {
    if (run !== place.runs) return;
    place.leaving = true;
    place.timer = setTimeout(() => {
      if (run !== place.runs) return;
      place.gone = true;
      place.player?.dispose();
      place.player = null;
      places.delete(parentElement);
      if (byKey.get(data.key) === place) byKey.delete(data.key);
    }, REMOUNT_MS);
  };
}
