/** Seconds as people read them. */

/** "0.42 s", "12.3 s", "2:07.5". */
export function shortTime(seconds) {
  const digits = seconds < 10 ? 2 : 1;
  if (Number(seconds.toFixed(1)) < 60) return `${seconds.toFixed(digits)} s`;
  const tenths = Math.round(seconds * 10);
  const minutes = Math.floor(tenths / 600);
  return `${minutes}:${((tenths - minutes * 600) / 10).toFixed(1).padStart(4, "0")}`;
}
