// Values that the browser stores between visits. If a private window refuses, they are kept in memory while the page is open.

const memory = new Map();
const PREFIX = 'flashsale:';

export function load(name) {
  try {
    const text = localStorage.getItem(PREFIX + name);
    return text === null ? null : JSON.parse(text);
  } catch {
    return memory.get(name) ?? null;
  }
}

/// Stores a value. Returns whether it survives a reload.
export function store(name, value) {
  try {
    if (value === null) localStorage.removeItem(PREFIX + name);
    else localStorage.setItem(PREFIX + name, JSON.stringify(value));
    memory.delete(name);
    return true;
  } catch {
    memory.set(name, value);
    return false;
  }
}

/// Returns the stored names with a prefix.
export function names(prefix) {
  const found = new Set([...memory.keys()].filter((name) => name.startsWith(prefix)));
  try {
    for (const key of Object.keys(localStorage)) {
      if (key.startsWith(PREFIX + prefix)) found.add(key.slice(PREFIX.length));
    }
  } catch {
    /* only what is in memory */
  }
  return [...found];
}
