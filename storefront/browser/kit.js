// Journeys of people through our pages, in a real browser (Debian's Chromium), on a real system that a Rust test has
// started (`testkit::browser`, which also installs what is in package.json, once, and tells the addresses below).
//
// A journey file is an ordinary file for Node's own test runner; it imports from here and nowhere else:
//
//   import { test, visit, shot, accessible, admin, openSale } from './kit.js';
//   test('a sale can be paused', async () => {
//     const sale = await openSale({ items: [{ sku: 'A', name: 'Apples', price: 1000, total: 5 }] });
//     const page = await visit('operator', { dark: true });            // or 'shop', with { customer: 'kim', phone: true }
//     await page.getByRole('button', { name: 'Pause' }).click();        // Playwright's page, with its waiting
//     await accessible(page, 'operator-sale');                          // axe, in light and dark
//     await shot(page, 'operator-sale');                                // .dev/screenshots/operator-sale.png
//   });
//
// and is run from Rust by `testkit::browser::run("operator.js", &system).await`, which fails with what it printed.
// FLASHSALE_JOURNEY=words runs only those whose name has these words. Whatever a page writes to its console as an error,
// and every exception in it, fails its journey; so does a violation of the Content-Security-Policy.

import assert from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';
import { mkdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { after, test as nodeTest } from 'node:test';

const told = (name) => {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: journeys are run by Rust tests (see testkit::browser)`);
  return value;
};
const require = createRequire(join(told('FLASHSALE_BROWSER_MODULES'), 'x.js'));
const { chromium } = require('playwright-core');
const axe = await readFile(require.resolve('axe-core/axe.min.js'), 'utf8');
const screenshots = told('FLASHSALE_SCREENSHOTS');
mkdirSync(screenshots, { recursive: true });

/// Where the listeners are.
export const SHOP = told('FLASHSALE_SHOP_URL');
export const ADMIN = told('FLASHSALE_ADMIN_URL');
/// How long anything may take, in milliseconds, before a journey calls it broken.
const PATIENCE_MS = 30_000;
const JOURNEY_MS_MAX = 240_000;
const PHONE = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };
const ADDRESS = { name: 'Kim Mina', line1: '110 Sejong-daero', city: 'Seoul', postal_code: '04524', country: 'KR' };
const DESK = { viewport: { width: 1180, height: 860 } };

let browser;
const launch = () => {
  browser ??= chromium.launch({ executablePath: told('FLASHSALE_CHROMIUM'), args: ['--disable-gpu', '--disable-dev-shm-usage'] });
  return browser;
};
after(async () => (await browser)?.close());

let atOnce = 1;
const journeys = [];
/// What the journey of now has opened: pages, and ways to the gateway.
const opened = new AsyncLocalStorage();

/// So many journeys of this file may run at once, on the same system: most of each is waiting.
export function sideBySide(journeysMax) {
  atOnce = journeysMax;
}

/// A journey. Its pages are closed at its end, whatever happens, and none may have had errors.
export function test(name, journey) {
  if (!name.includes(process.env.FLASHSALE_JOURNEY ?? '')) return;
  journeys.push({ name, journey });
  if (journeys.length === 1) setImmediate(() => nodeTest('journeys', { concurrency: atOnce }, runAll));
}

const runAll = (all) => Promise.all(journeys.map(({ name, journey }) => all.test(name, { timeout: JOURNEY_MS_MAX }, () => {
  const mine = { pages: [], ways: [] };
  return opened.run(mine, async () => {
    try {
      await journey();
      for (const { errors } of mine.pages) assert.deepEqual(errors, [], 'errors in the page');
    } catch (error) {
      for (const [index, { page }] of mine.pages.entries()) await shot(page, `failed-${name.replaceAll(/\W+/g, '-')}-${index}`).catch(() => {});
      throw error;
    } finally {
      await Promise.all(mine.pages.map(({ context }) => context.close()));
      for (const way of mine.ways) way.end();
    }
  });
})));

/// Opens a page in a browser of its own: 'shop' or 'operator'. `expected`: errors in the console that belong to the
/// journey (a refused request is one). `wrongBy`: how wrong the device's clock is, in milliseconds. `by`: the address of
/// another way to the gateway (see `way`).
export async function visit(where, { path = '/', customer, language = 'en', dark = false, phone = false, still = true, wrongBy = 0, by, expected = /Failed to load resource/ } = {}) {
  const context = await (await launch()).newContext({
    ...(phone ? PHONE : DESK), locale: language === 'ko' ? 'ko-KR' : 'en-US', timezoneId: 'Asia/Seoul',
    colorScheme: dark ? 'dark' : 'light', reducedMotion: still ? 'reduce' : 'no-preference',
    baseURL: by ?? (where === 'operator' ? ADMIN : SHOP),
  });
  context.setDefaultTimeout(PATIENCE_MS);
  // A customer has been here before: signed in, and with an address. Once, so that what is changed later stays changed.
  if (customer) {
    await context.addInitScript(([token, address]) => {
      localStorage['flashsale:token'] ??= JSON.stringify(token);
      localStorage['flashsale:preferences'] ??= JSON.stringify({ address });
    }, [`dev:${customer}`, ADDRESS]);
  }
  if (wrongBy !== 0) await context.addInitScript(shiftClock, wrongBy);
  const page = await context.newPage();
  const errors = [];
  page.on('pageerror', (error) => errors.push(String(error)));
  page.on('console', (message) => { if (message.type() === 'error' && !expected.test(message.text())) errors.push(message.text()); });
  opened.getStore().pages.push({ context, page, errors });
  await page.goto(path);
  return page;
}

function shiftClock(by) {
  const Real = Date;
  globalThis.Date = class extends Real {
    constructor(...given) {
      super(...(given.length === 0 ? [Real.now() + by] : given));
    }
    static now() {
      return Real.now() + by;
    }
  };
}

/// A way to the shop's gateway that can be cut: `cut()` ends every connection over it, and `address` is its own.
export async function way() {
  const { hostname, port } = new URL(SHOP);
  const sockets = new Set();
  const server = createServer((near) => {
    const far = connect(Number(port), hostname);
    for (const [from, to] of [[near, far], [far, near]]) {
      sockets.add(from);
      from.on('error', () => {}).on('close', () => { sockets.delete(from); to.destroy(); }).pipe(to);
    }
  });
  await new Promise((listening) => { server.listen(0, '127.0.0.1', listening); });
  const cut = () => sockets.forEach((socket) => socket.destroy());
  opened.getStore().ways.push({ end: () => { server.close(); cut(); } });
  return { address: `http://127.0.0.1:${server.address().port}`, cut };
}

/// Keeps how the page looks now, all of it or what is in the window. `scale`: 'css' for a smaller file.
export async function shot(page, name, { whole = true, scale = 'device' } = {}) {
  if (whole) await page.evaluate(() => scrollTo(0, 0)); // what sticks to an edge would be in the middle
  await page.screenshot({ path: join(screenshots, `${name}.png`), fullPage: whole, scale, animations: 'disabled' });
}

/// Axe finds nothing serious or critical on the page as it is now, neither in light nor in dark.
export async function accessible(page, what) {
  const before = await page.evaluate(() => (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light'));
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    // Drawn in these colours, what fades from the others included.
    await page.evaluate(async () => {
      for (let frames = 0; frames < 2; frames += 1) await new Promise((done) => { requestAnimationFrame(done); });
      await Promise.all(document.getAnimations().filter(({ effect }) => effect.getComputedTiming().endTime !== Infinity).map(({ finished }) => finished.catch(() => {})));
    });
    if (!(await page.evaluate(() => 'axe' in window))) await page.evaluate(axe);
    const found = await page.evaluate(async () => {
      const { violations } = await window.axe.run(document, { resultTypes: ['violations'] });
      return violations.filter(({ impact }) => ['serious', 'critical'].includes(impact))
        .map(({ id, impact, nodes }) => `${impact} ${id}: ${nodes.slice(0, 3).map((node) => `${node.html} ${node.failureSummary}`).join(' | ')}`);
    });
    assert.deepEqual(found, [], `${what}, ${colorScheme}`);
  }
  await page.emulateMedia({ colorScheme: before });
}

/// What a page transfers from now on, in bytes over the wire, headers included: `const weight = await weigh(page)`
/// before it loads, `weight()` afterwards. `empty`: as for somebody who has never been here.
export async function weigh(page, { empty = false } = {}) {
  const session = await page.context().newCDPSession(page);
  await session.send('Network.enable');
  if (empty) await session.send('Network.clearBrowserCache');
  let bytes = 0;
  session.on('Network.loadingFinished', ({ encodedDataLength }) => { bytes += encodedDataLength; });
  return () => bytes;
}

/// A call of the admin API as its operator; the answer's body, or a failure.
export async function admin(method, path, body, key) {
  return send(ADMIN, 'dev-admin', method, `/admin/v1/${path}`, body, key);
}

/// A call of the public API as a customer. `key`: its Idempotency-Key.
export async function as(customer, method, path, body, key) {
  return send(SHOP, `dev:${customer}`, method, `/v1/${path}`, body, key);
}

async function send(base, token, method, path, body, key) {
  const headers = { Authorization: `Bearer ${token}` };
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  if (key) headers['Idempotency-Key'] = key;
  const answer = await fetch(base + path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  const read = await answer.json().catch(() => ({}));
  if (!answer.ok) throw Object.assign(new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(read)}`), { status: answer.status, code: read.code });
  return read;
}

/// Asks until the answer is a good one.
export async function eventually(what, ask) {
  const begun = Date.now();
  let last;
  for (;;) {
    try {
      const answer = await ask();
      if (answer) return answer;
    } catch (error) {
      last = error;
    }
    if (Date.now() - begun > PATIENCE_MS) throw new Error(`not in time: ${what}`, { cause: last });
    await new Promise((done) => { setTimeout(done, 50); });
  }
}

let made = 0;
/// Defines a sale and opens it; its id, once the gateway sells it. `items`: [{sku, name, price, total, …}].
export async function openSale({ items, ...terms }) {
  made += 1;
  const id = `journey-${process.pid}-${made}`;
  const sale = { title: 'A sale', currency: 'KRW', max_orders_per_customer: 1, hold_seconds: 3600, items, ...terms };
  await eventually('the sale is defined', () => admin('PUT', `sales/${id}`, sale));
  await eventually('the sale is opened', () => admin('POST', `sales/${id}/open`));
  await until(id, (shown) => shown.ready);
  return id;
}

/// Waits until the public API shows a sale so.
export const until = (id, holds) => eventually(`${id} is as expected`, async () => holds(await as('anyone', 'GET', `sales/${id}`)));

export { assert };
