// The server's time. A device's clock may be minutes off, and is often set by its owner: nothing here reads it. What
// is kept is the distance between the server's time and this page's own monotonic count of milliseconds, from the
// answer that took the shortest way (half of its round trip is how wrong it can be at most).

let offset = null;
let error = Infinity;
let takenAt = 0;

/// A sample may be this much worse than a new one before age counts: crystals drift by some 50 ms in 1,000 s.
const DRIFT = 50e-6;

/// Learns from an answer: the server's time in it (RFC 3339), and when the request left and the answer came.
export function learn(serverTime, sentAt, receivedAt) {
  const at = Date.parse(serverTime);
  if (Number.isNaN(at)) return;
  const wrong = (receivedAt - sentAt) / 2;
  if (wrong > error + (receivedAt - takenAt) * DRIFT) return;
  offset = at - (sentAt + receivedAt) / 2;
  error = wrong;
  takenAt = receivedAt;
}

/// Forgets: after a sleep the page's own count may have stood still.
export function doubt() {
  error = Infinity;
}

/// The server's time in milliseconds; null before the first answer.
export const now = () => (offset === null ? null : performance.now() + offset);

/// Milliseconds from now to a time of the server; null where there is none.
export function until(time) {
  if (!time || offset === null) return null;
  return Date.parse(time) - now();
}
