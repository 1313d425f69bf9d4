// Charts in SVG. The numbers of each chart are also available as text: in a table, or next to it.

import { html } from '../ui.js';

/// A sparkline of the recent values; unknown values are gaps.
export function Spark({ values, tone = 'accent' }) {
  const [width, height] = [120, 28];
  const present = values.filter((value) => value !== null);
  const top = Math.max(1e-9, ...present);
  const step = width / Math.max(1, 59);
  const from = width - (values.length - 1) * step;
  const y = (value) => height - 2 - (value / top) * (height - 4);
  let path = '';
  let gap = true;
  values.forEach((value, i) => {
    if (value === null) {
      gap = true;
      return;
    }
    path += `${gap ? 'M' : 'L'}${(from + i * step).toFixed(1)} ${y(value).toFixed(1)}`;
    gap = false;
  });
  return html`<svg class="spark" data-tone=${tone} viewBox="0 0 ${width} ${height}" preserveAspectRatio="none" aria-hidden="true">
    <path d=${path} /></svg>`;
}

/// Rounds up to a number whose half is a round number, too.
function niceTop(value) {
  const unit = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  return [1, 2, 3, 4, 6, 8, 10].map((n) => n * unit).find((n) => n >= value);
}

/// A column chart over time. `points`: [label, value]; labels are shown at the ends.
export function Columns({ points, label, write }) {
  const [width, height, left, bottom] = [720, 200, 46, 22];
  const top = niceTop(Math.max(1, ...points.map(([, value]) => value)));
  const inner = width - left - 6;
  const step = inner / Math.max(points.length, 8);
  const y = (value) => 8 + (1 - value / top) * (height - bottom - 8);
  const lines = [0, top / 2, top];
  return html`<svg class="chart" viewBox="0 0 ${width} ${height}" role="img" aria-label=${label}>
    ${lines.map(
      (value) => html`<line class="grid" x1=${left} x2=${width - 6} y1=${y(value)} y2=${y(value)} />
      <text class="tick" x=${left - 6} y=${y(value) + 4} text-anchor="end">${write(value)}</text>`,
    )}
    ${points.map(
      ([, value], i) => html`<rect class="column" x=${left + i * step + step * 0.1} width=${Math.max(0.8, step * 0.8)}
      y=${y(value)} height=${Math.max(0, y(0) - y(value))} rx=${Math.min(2, step * 0.2)} />`,
    )}
    ${points.length > 0 && html`<text class="tick" x=${left} y=${height - 6}>${points[0][0]}</text>`}
    ${points.length > 1 && html`<text class="tick" x=${Math.max(left + 150, left + points.length * step)} y=${height - 6} text-anchor="end">${points.at(-1)[0]}</text>`}
  </svg>`;
}

/// A chart with two series of columns: `points`: [label, first, second].
export function Pairs({ points, label, names }) {
  const [width, height, bottom] = [720, 160, 22];
  const top = niceTop(Math.max(1, ...points.flatMap(([, a, b]) => [a, b])));
  const step = width / Math.max(points.length, 8);
  const tall = (value) => (value / top) * (height - bottom - 10);
  return html`<figure class="pairs"><svg class="chart" viewBox="0 0 ${width} ${height}" role="img" aria-label=${label}>
    <line class="grid" x1="0" x2=${width} y1=${height - bottom} y2=${height - bottom} />
    ${points.map(
      ([name, a, b], i) => html`
      <rect class="column" x=${i * step + step * 0.14} width=${step * 0.34} y=${height - bottom - tall(a)} height=${tall(a)} rx="2" />
      <rect class="column second" x=${i * step + step * 0.52} width=${step * 0.34} y=${height - bottom - tall(b)} height=${tall(b)} rx="2" />
      ${(points.length <= 10 || i % Math.ceil(points.length / 8) === 0) && html`<text class="tick" x=${i * step + step / 2} y=${height - 6} text-anchor="middle">${name}</text>`}`,
    )}
  </svg><figcaption class="legend">
    <span class="key"><span class="swatch column" aria-hidden="true"></span>${names[0]}</span>
    <span class="key"><span class="swatch column second" aria-hidden="true"></span>${names[1]}</span>
  </figcaption></figure>`;
}

/// Bars next to their names and numbers: a list that is complete without the bars.
export function Bars({ rows, write, label }) {
  const top = Math.max(1, ...rows.map(([, value]) => value));
  return html`<dl class="bars" aria-label=${label}>${rows.map(
    ([name, value, tone]) => html`<div key=${name}>
    <dt>${name}</dt>
    <dd><span class="bars-bar" data-tone=${tone ?? 'accent'} style=${{ '--share': value / top }} aria-hidden="true"></span>
      <span class="n">${write(value)}</span></dd>
  </div>`,
  )}</dl>`;
}

/// The numbers of a chart as a table.
export function Numbers({ title, head, rows }) {
  return html`<details class="numbers"><summary>${title}</summary>
    <div class="scroll" tabindex="0" role="region" aria-label=${title}><table>
      <thead><tr>${head.map((name, i) => html`<th scope="col" class=${i ? 'n' : ''}>${name}</th>`)}</tr></thead>
      <tbody>${rows.map((row) => html`<tr>${row.map((cell, i) => (i ? html`<td class="n">${cell}</td>` : html`<th scope="row">${cell}</th>`))}</tr>`)}</tbody>
    </table></div>
  </details>`;
}
