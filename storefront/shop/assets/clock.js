// The server's time. A device's clock may be minutes off, so that it is never read. Instead the page keeps the offset between
// the server's time and its own monotonic clock, from the response with the shortest round trip (half of the round trip is
// the maximum error).

let offset = null;
let error = Infinity;
let takenAt = 0;

/// The rate at which an old sample loses precision: oscillators drift by some 50 ms in 1,000 s.
const DRIFT = 50e-6;

/// Adds a sample: the server's time in a response (RFC 3339), and when the request was sent and the response received.
export function addSample(serverTime, sentAt, receivedAt) {
  const at = Date.parse(serverTime);
  if (Number.isNaN(at)) return;
  const maximumError = (receivedAt - sentAt) / 2;
  if (maximumError > error + (receivedAt - takenAt) * DRIFT) return;
  offset = at - (sentAt + receivedAt) / 2;
  error = maximumError;
  takenAt = receivedAt;
}

/// Discards the precision of the sample: the monotonic clock may have stopped while the device was asleep.
export function invalidate() {
  error = Infinity;
}

/// Returns the server's time in milliseconds; null before the first response.
export const now = () => (offset === null ? null : performance.now() + offset);

/// Returns the milliseconds until a time of the server; null if either is unknown.
export function until(time) {
  if (!time || offset === null) return null;
  return Date.parse(time) - now();
}
