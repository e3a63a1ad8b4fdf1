// How several pictures share one place.

const SHAPE = 0.8; // of a face: width by height

/** Into how many columns a place is divided, so that `count` faces are shown as large as can be. */
export function columnsFor(count, width, height) {
  if (count < 3) return Math.max(1, count); // two are compared side by side, however narrow
  let [best, largest] = [1, 0];
  for (let columns = 1; columns <= count; columns++) {
    const size = Math.min(width / columns / SHAPE, height / Math.ceil(count / columns));
    if (size > largest * 1.05) [best, largest] = [columns, size];
  }
  return best;
}
