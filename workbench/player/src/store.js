// Fetches clips and keeps the few that are wanted, by id: addresses change with every run of the page, ids do not.

import { Unpacker, decodePlayback, decodeTopology } from "./decode.js";
import { PlayerError } from "./errors.js";

/**
 * @typedef {object} Source what `workbench.player.PlayerSource` says about a clip
 * @property {string} id
 * @property {string | null} playback_url
 * @property {string | null} topology_url
 * @property {string | null} topology_id
 * @property {string | null} audio_url
 * @property {string | null} video_url
 * @property {number} frames_per_second
 *
 * @typedef {object} Mesh
 * @property {import("./decode.js").Motion} motion
 * @property {import("./decode.js").Topology} topology
 * @property {Blob | null} sound
 *
 * @typedef {(loaded: number, total: number) => void} Progress in bytes; total is 0 while unknown
 */

const entries = new Map(); // "<kind> <id>" -> {promise, abort, listeners, loaded, total}
const topologies = new Map(); // topology id -> promise
const wanted = new Map(); // player -> Set of "<kind> <id>"

/**
 * The clip as a mesh, from memory or from the server.
 *
 * @param {Source} source @param {Progress} onProgress @param {"high" | "low"} priority
 * @returns {Promise<Mesh>} rejects with a PlayerError
 */
export function loadMesh(source, onProgress = () => {}, priority = "high") {
  return remember(`mesh ${source.id}`, onProgress, async (entry) => {
    const parts = [source.playback_url, source.audio_url].map((url) => url && fetchBytes(url, entry, priority));
    const topology = sharedTopology(source, entry, priority);
    const [playback, sound, shared] = await Promise.all([...parts, topology]);
    const motion = await decodePlayback(playback);
    if (shared.largest >= motion.vertices) {
      throw new PlayerError("data", { detail: `triangles use vertex ${shared.largest} of ${motion.vertices}` });
    }
    return { motion, topology: shared, sound: sound && new Blob([sound], { type: "audio/wav" }) };
  });
}

/** The clip's video. @returns {Promise<Blob>} rejects with a PlayerError */
export function loadVideo(source, onProgress = () => {}, priority = "high") {
  return remember(`video ${source.id}`, onProgress, async (entry) => {
    return new Blob([await fetchBytes(source.video_url, entry, priority)], { type: "video/mp4" });
  });
}

/** Says what `player` needs from now on; what nobody needs is stopped and forgotten. */
export function keep(player, kind, sources) {
  wanted.set(player, new Set(sources.filter(Boolean).map((source) => `${kind} ${source.id}`)));
  forgetUnwanted();
}

export function keepNothing(player) {
  wanted.delete(player);
  forgetUnwanted();
}

/** What is in memory or on its way, for tests. */
export function remembered() {
  return [...entries.keys()];
}

function forgetUnwanted() {
  const needed = new Set([...wanted.values()].flatMap((keys) => [...keys]));
  for (const [key, entry] of entries) {
    if (needed.has(key)) continue;
    entry.abort.abort();
    entries.delete(key);
  }
}

function remember(key, onProgress, load) {
  const known = entries.get(key);
  if (known) {
    known.listeners.add(onProgress);
    onProgress(known.loaded, known.total);
    return known.promise;
  }
  const entry = { abort: new AbortController(), listeners: new Set([onProgress]), loaded: 0, total: 0 };
  entry.promise = load(entry).catch((error) => {
    entry.abort.abort();
    if (entries.get(key) === entry) entries.delete(key); // the next try fetches again
    throw error;
  });
  entries.set(key, entry);
  return entry.promise;
}

function sharedTopology(source, entry, priority) {
  const id = source.topology_id;
  if (id && topologies.has(id)) return topologies.get(id);
  // Others may wait for it too, so it is not stopped with this clip.
  const abort = id ? new AbortController() : entry.abort;
  const promise = fetchBytes(source.topology_url, entry, priority, abort.signal).then(decodeTopology);
  if (id) {
    topologies.set(id, promise);
    promise.catch(() => topologies.delete(id));
    for (const old of topologies.keys()) if (topologies.size > 4) topologies.delete(old);
  }
  return promise;
}

/** What is at `url`, unpacked. @param {"high" | "low"} priority @returns {Promise<Uint8Array>} */
async function fetchBytes(url, entry, priority, signal = entry.abort.signal) {
  const failed = () => new PlayerError("network");
  const options = { priority, signal, credentials: "same-origin" };
  const response = await fetch(url, options).catch(() => Promise.reject(failed()));
  if (!response.ok) {
    const kind = { 401: "expired", 403: "expired", 404: "missing", 410: "missing" }[response.status] ?? "server";
    throw new PlayerError(kind, { status: response.status });
  }
  // With a Content-Encoding the length is that of the packed bytes, of which we see none.
  const packed = response.headers.get("Content-Encoding");
  entry.total += packed ? 0 : Number(response.headers.get("Content-Length") ?? 0);
  const unpacker = new Unpacker();
  const reader = response.body.getReader();
  for (;;) {
    const { done, value } = await reader.read().catch(() => Promise.reject(failed()));
    if (done) break;
    unpacker.write(value);
    entry.loaded += value.length;
    for (const listener of entry.listeners) listener(entry.loaded, entry.total);
  }
  return unpacker.end();
}
