// Journeys of customers and operators through the pages, in a real browser (Debian's Chromium), on a real system that a Rust
// test has started (`testkit::browser`, which also installs package.json once and sets the addresses below).
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
// Rust runs it by `testkit::browser::run_journeys("operator.js", &system).await`, which fails with the output of the journey.
// FLASHSALE_JOURNEY=words runs only the journeys whose name contains these words. An error in the console of a page, an
// exception, or a violation of the Content-Security-Policy fails the journey.

import assert from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';
import { mkdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { after, test as nodeTest } from 'node:test';

const setting = (name) => {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: journeys are run by Rust tests (see testkit::browser)`);
  return value;
};
const require = createRequire(join(setting('FLASHSALE_BROWSER_MODULES'), 'x.js'));
const { chromium } = require('playwright-core');
const axe = await readFile(require.resolve('axe-core/axe.min.js'), 'utf8');
const screenshots = setting('FLASHSALE_SCREENSHOTS');
mkdirSync(screenshots, { recursive: true });

/// The addresses of the listeners.
export const SHOP = setting('FLASHSALE_SHOP_URL');
export const ADMIN = setting('FLASHSALE_ADMIN_URL');
/// The timeout of each wait, in milliseconds.
const TIMEOUT_MS = 30_000;
const JOURNEY_MS_MAX = 240_000;
const PHONE = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };
const ADDRESS = { name: 'Kim Mina', line1: '110 Sejong-daero', city: 'Seoul', postal_code: '04524', country: 'KR' };
const DESKTOP = { viewport: { width: 1180, height: 860 } };

let browser;
const launch = () => {
  browser ??= chromium.launch({
    executablePath: setting('FLASHSALE_CHROMIUM'),
    args: ['--disable-gpu', '--disable-dev-shm-usage'],
  });
  return browser;
};
after(async () => (await browser)?.close());

let concurrency = 1;
const journeys = [];
/// The pages and proxies that the current journey has opened.
const opened = new AsyncLocalStorage();

/// Sets how many journeys of this file run at the same time on the same system: most of each is waiting.
export function runInParallel(journeysMax) {
  concurrency = journeysMax;
}

/// Declares a journey. Its pages are closed at its end in any case, and none may have had errors.
export function test(name, journey) {
  if (!name.includes(process.env.FLASHSALE_JOURNEY ?? '')) return;
  journeys.push({ name, journey });
  if (journeys.length === 1) setImmediate(() => nodeTest('journeys', { concurrency }, runAll));
}

const runAll = (all) =>
  Promise.all(
    journeys.map(({ name, journey }) =>
      all.test(name, { timeout: JOURNEY_MS_MAX }, () => {
        const resources = { pages: [], proxies: [] };
        return opened.run(resources, async () => {
          try {
            await journey();
            for (const { errors } of resources.pages) assert.deepEqual(errors, [], 'errors in the page');
          } catch (error) {
            for (const [index, { page }] of resources.pages.entries())
              await shot(page, `failed-${name.replaceAll(/\W+/g, '-')}-${index}`).catch(() => {});
            throw error;
          } finally {
            await Promise.all(resources.pages.map(({ context }) => context.close()));
            for (const proxy of resources.proxies) proxy.end();
          }
        });
      }),
    ),
  );

/// Opens a page in its own browser context: 'shop' or 'operator'. `expected`: errors in the console that belong to the
/// journey, such as a refused request. `wrongBy`: the error of the device's clock in milliseconds. `by`: the address of a
/// proxy (see `startProxy`).
export async function visit(
  where,
  {
    path = '/',
    customer,
    language = 'en',
    dark = false,
    phone = false,
    still = true,
    wrongBy = 0,
    by,
    expected = /Failed to load resource/,
  } = {},
) {
  const context = await (await launch()).newContext({
    ...(phone ? PHONE : DESKTOP),
    locale: language === 'ko' ? 'ko-KR' : 'en-US',
    timezoneId: 'Asia/Seoul',
    colorScheme: dark ? 'dark' : 'light',
    reducedMotion: still ? 'reduce' : 'no-preference',
    baseURL: by ?? (where === 'operator' ? ADMIN : SHOP),
  });
  context.setDefaultTimeout(TIMEOUT_MS);
  // The customer is signed in and has an address. Set only once, so that later changes persist.
  if (customer) {
    await context.addInitScript(
      ([token, address]) => {
        localStorage['flashsale:token'] ??= JSON.stringify(token);
        localStorage['flashsale:preferences'] ??= JSON.stringify({ address });
      },
      [`dev:${customer}`, ADDRESS],
    );
  }
  if (wrongBy !== 0) await context.addInitScript(shiftClock, wrongBy);
  const page = await context.newPage();
  const errors = [];
  page.on('pageerror', (error) => errors.push(String(error)));
  page.on('console', (message) => {
    if (message.type() === 'error' && !expected.test(message.text())) errors.push(message.text());
  });
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

/// Starts a proxy in front of the shop's gateway. `cut()` closes all of its connections; `address` is its own address.
export async function startProxy() {
  const { hostname, port } = new URL(SHOP);
  const sockets = new Set();
  const server = createServer((near) => {
    const far = connect(Number(port), hostname);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ]) {
      sockets.add(from);
      from
        .on('error', () => {})
        .on('close', () => {
          sockets.delete(from);
          to.destroy();
        })
        .pipe(to);
    }
  });
  await new Promise((listening) => {
    server.listen(0, '127.0.0.1', listening);
  });
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  opened.getStore().proxies.push({
    end: () => {
      server.close();
      cut();
    },
  });
  return { address: `http://127.0.0.1:${server.address().port}`, cut };
}

/// Saves a screenshot of the whole page or of the window. `scale`: 'css' for a smaller file.
export async function shot(page, name, { whole = true, scale = 'device' } = {}) {
  if (whole) await page.evaluate(() => scrollTo(0, 0)); // sticky elements would be in the middle
  await page.screenshot({ path: join(screenshots, `${name}.png`), fullPage: whole, scale, animations: 'disabled' });
}

/// Checks that axe finds no serious or critical violation on the page, in light and in dark.
export async function accessible(page, what) {
  const before = await page.evaluate(() => (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light'));
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    // Wait until transitions to these colours have ended.
    await page.evaluate(async () => {
      for (let frames = 0; frames < 2; frames += 1)
        await new Promise((done) => {
          requestAnimationFrame(done);
        });
      await Promise.all(
        document
          .getAnimations()
          .filter(({ effect }) => effect.getComputedTiming().endTime !== Infinity)
          .map(({ finished }) => finished.catch(() => {})),
      );
    });
    if (!(await page.evaluate(() => 'axe' in window))) await page.evaluate(axe);
    const found = await page.evaluate(async () => {
      const { violations } = await window.axe.run(document, { resultTypes: ['violations'] });
      return violations
        .filter(({ impact }) => ['serious', 'critical'].includes(impact))
        .map(
          ({ id, impact, nodes }) =>
            `${impact} ${id}: ${nodes
              .slice(0, 3)
              .map((node) => `${node.html} ${node.failureSummary}`)
              .join(' | ')}`,
        );
    });
    assert.deepEqual(found, [], `${what}, ${colorScheme}`);
  }
  await page.emulateMedia({ colorScheme: before });
}

/// Measures what a page transfers, in bytes over the wire including headers: `const weight = await weigh(page)` before it
/// loads, `weight()` afterwards. `empty`: with an empty cache, as on a first visit.
export async function weigh(page, { empty = false } = {}) {
  const session = await page.context().newCDPSession(page);
  await session.send('Network.enable');
  if (empty) await session.send('Network.clearBrowserCache');
  let bytes = 0;
  session.on('Network.loadingFinished', ({ encodedDataLength }) => {
    bytes += encodedDataLength;
  });
  return () => bytes;
}

/// Calls the admin API as the operator. Resolves to the body, or rejects.
export async function admin(method, path, body, key) {
  return send(ADMIN, 'dev-admin', method, `/admin/v1/${path}`, body, key);
}

/// Calls the public API as a customer. `key`: the Idempotency-Key.
export async function as(customer, method, path, body, key) {
  return send(SHOP, `dev:${customer}`, method, `/v1/${path}`, body, key);
}

async function send(base, token, method, path, body, key) {
  const headers = { Authorization: `Bearer ${token}` };
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  if (key) headers['Idempotency-Key'] = key;
  const response = await fetch(base + path, {
    method,
    headers,
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const read = await response.json().catch(() => ({}));
  if (!response.ok)
    throw Object.assign(new Error(`${method} ${path}: ${response.status} ${JSON.stringify(read)}`), {
      status: response.status,
      code: read.code,
    });
  return read;
}

/// Repeats `attempt` until its result is truthy.
export async function eventually(what, attempt) {
  const begun = Date.now();
  let last;
  for (;;) {
    try {
      const result = await attempt();
      if (result) return result;
    } catch (error) {
      last = error;
    }
    if (Date.now() - begun > TIMEOUT_MS) throw new Error(`timed out: ${what}`, { cause: last });
    await new Promise((done) => {
      setTimeout(done, 50);
    });
  }
}

let created = 0;
/// Defines and opens a sale. Resolves to its id once the gateway accepts orders. `items`: [{sku, name, price, total, …}].
export async function openSale({ items, ...terms }) {
  created += 1;
  const id = `journey-${process.pid}-${created}`;
  const sale = { title: 'A sale', currency: 'KRW', max_orders_per_customer: 1, hold_seconds: 3600, items, ...terms };
  await eventually('the sale is defined', () => admin('PUT', `sales/${id}`, sale));
  await eventually('the sale is opened', () => admin('POST', `sales/${id}/open`));
  await until(id, (shown) => shown.ready);
  return id;
}

/// Waits until the public API returns a sale for which `holds` is true.
export const until = (id, holds) =>
  eventually(`${id} is as expected`, async () => holds(await as('anyone', 'GET', `sales/${id}`)));

export { assert };
