// A picture for every item, generated from its SKU, because the API has none. The same SKU always has the same picture.

import { svg } from './dom.js';

const PALETTES = [
  ['#d4380d', '#ffd8b8', '#3b0d02'],
  ['#0b6e6e', '#bfeee6', '#032c2c'],
  ['#5b3fd1', '#dcd4ff', '#1a0f52'],
  ['#b4005a', '#ffcfe2', '#3d001f'],
  ['#1f5fbf', '#cfe3ff', '#08224a'],
  ['#8a5a00', '#ffe6ad', '#352200'],
];

function randomFrom(text) {
  let hash = 2166136261;
  for (const char of text) hash = Math.imul(hash ^ char.codePointAt(0), 16777619) >>> 0;
  return () => {
    hash = Math.imul(hash ^ (hash >>> 15), 2246822507) >>> 0;
    hash = Math.imul(hash ^ (hash >>> 13), 3266489909) >>> 0;
    return (hash >>> 0) / 2 ** 32;
  };
}

/// Returns a square drawing, which is decoration only.
export function art(sku) {
  const random = randomFrom(sku);
  const [strong, light, dark] = PALETTES[Math.floor(random() * PALETTES.length)];
  const parts = [svg('rect', { width: 96, height: 96, fill: light })];
  const shapes = [
    () => svg('circle', { cx: 20 + random() * 56, cy: 20 + random() * 56, r: 18 + random() * 22 }),
    () =>
      svg('rect', {
        x: random() * 48,
        y: random() * 48,
        width: 48,
        height: 48,
        rx: random() > 0.5 ? 24 : 4,
        transform: `rotate(${Math.floor(random() * 90)} 48 48)`,
      }),
    () => svg('path', { d: `M${random() * 40} 96 L48 ${10 + random() * 30} L${56 + random() * 40} 96z` }),
    () => svg('path', { d: 'M0 48a48 48 0 0 1 96 0z', transform: `rotate(${Math.floor(random() * 4) * 90} 48 48)` }),
  ];
  for (const fill of [strong, dark, strong]) {
    const shape = shapes[Math.floor(random() * shapes.length)]();
    shape.setAttribute('fill', fill);
    shape.setAttribute('opacity', fill === dark ? '0.9' : '0.82');
    parts.push(shape);
  }
  return svg(
    'svg',
    {
      viewBox: '0 0 96 96',
      preserveAspectRatio: 'xMidYMid slice',
      class: 'art',
      'aria-hidden': 'true',
      focusable: 'false',
    },
    parts,
  );
}
