// Journeys of customers in the storefront. Deliveries take some seconds here; a simulated provider handles card payments.

import {
  accessible,
  admin,
  as,
  assert,
  eventually,
  openSale,
  shot,
  runInParallel,
  test,
  until,
  visit,
  startProxy,
  weigh,
} from './kit.js';

runInParallel(3);

const CHAIR = { sku: 'CHAIR', name: 'Oak chair', price: 89000, total: 40, max_quantity_per_order: 4 };
const LAMP = { sku: 'LAMP', name: 'Paper lamp', price: 32000, total: 6 };
const TEA = { sku: 'TEA', name: 'Green tea', price: 9000, total: null };
const at = (ms) => new Date(ms).toISOString();
/// Returns an opening time that leaves enough time for the steps before it, on a slow machine, too: `begun` is when the
/// browser was started.
const opening = (ms, begun) => Date.now() + Math.min(ms + 3 * (Date.now() - begun), 25_000);
const saleAt = (id) => `/#/sale/${id}`;
const orderButton = (page) => page.locator('.order-button');
const ready = (page) => page.locator('.order-button[aria-disabled="false"]').waitFor();
const ticket = (page, status) => page.locator(`.ticket[data-status="${status}"]`).waitFor();
const ordersOf = async (customer, sale) => (await as(customer, 'GET', `sales/${sale}/orders`)).orders;
const payBy = async (page, label) => {
  await page.locator('.preferences summary').click();
  await page.locator('.choice', { hasText: label }).click();
  await page.locator('.preferences summary').click();
};
/// Freezes the sale as the page sees it now. Returns a function that ends this.
const freeze = async (page, sale) => {
  const url = `**/v1/sales/${sale}`;
  await page.route(url, (route) => route.fulfill({ status: 304 }));
  return () => page.unroute(url);
};

test('from the countdown and one tap to the delivery, with live updates', async () => {
  const begun = Date.now();
  // A device whose clock is an hour fast does not open the sale early.
  const page = await visit('shop', { customer: 'mina', phone: true, wrongBy: 3_600_000 });
  const opens = opening(5000, begun);
  const sale = await openSale({
    title: 'Autumn living drop',
    items: [CHAIR],
    opens_at: at(opens),
    closes_at: at(opens + 3_600_000),
  });
  await page.goto(saleAt(sale));
  await page.getByText('Opens in', { exact: true }).waitFor();
  assert.match(await orderButton(page).textContent(), /^Opens in/);
  await shot(page, 'shop-countdown-phone', { whole: false });
  await shot(page, 'shop', { whole: false, scale: 'css' }); // docs/images/shop.png
  await accessible(page, 'the countdown');
  await ready(page);
  const shown = await as('mina', 'GET', `sales/${sale}`);
  assert.ok(shown.opens_at <= shown.server_time, 'opened too early');
  assert.equal(await orderButton(page).textContent(), 'Order · ₩89,000');
  await shot(page, 'shop-sale-phone', { whole: false });
  await orderButton(page).click();
  await page.getByText('Live', { exact: true }).waitFor();
  await ticket(page, 'delivered');
  await page.getByText('Completed', { exact: true }).waitFor();
  await page.locator('.history li', { hasText: 'delivered' }).waitFor();
  const updates = await page.locator('.history li span').allTextContents();
  assert.equal(updates.length, 7, updates.join());
  await shot(page, 'shop-delivered-phone');
  await accessible(page, 'a delivered order');
  assert.deepEqual(
    (await ordersOf('mina', sale)).map(({ status, total }) => [status, total]),
    [['delivered', 89000]],
  );

  // A delivered order can be returned, and is refunded.
  await page.getByRole('button', { name: 'Return order' }).click();
  await page.getByRole('button', { name: 'Yes, return it' }).click();
  await ticket(page, 'refunded');
  assert.equal((await ordersOf('mina', sale))[0].status, 'refunded');
});

test('a tap that is a moment too early is accepted when the sale opens', async () => {
  const begun = Date.now();
  const page = await visit('shop', { customer: 'eager' });
  const opens = opening(7000, begun);
  const sale = await openSale({ title: 'On the second', items: [TEA], opens_at: at(opens) });
  await page.route(`**/v1/sales/${sale}`, async (route) => {
    // as if its clock were a little fast
    const answer = await route.fetch();
    const body = answer.status() === 200 ? { ...(await answer.json()), opens_at: null } : undefined;
    await route.fulfill({ response: answer, json: body });
  });
  await page.goto(saleAt(sale));
  await ready(page);
  await new Promise((done) => {
    setTimeout(done, Math.max(0, opens - 4500 - Date.now()));
  }); // the test is about this moment
  const codes = [];
  page.on('response', (answer) => {
    if (answer.request().method() === 'POST') codes.push(answer.status());
  });
  await orderButton(page).click();
  const early = Date.now() < opens - 2000; // false on a machine that is too slow
  await page.locator('.ticket').waitFor();
  assert.ok(!early || codes.includes(409), `not refused at first: ${codes}`);
  assert.equal((await ordersOf('eager', sale)).length, 1);
});

test('late customers see that the sale is sold out, and get units that are released', async () => {
  const sale = await openSale({ title: 'Three lamps', items: [{ ...LAMP, total: 3 }] });
  const page = await visit('shop', { path: saleAt(sale), customer: 'late', dark: true });
  await ready(page);
  const unfreeze = await freeze(page, sale);
  const burst = await Promise.all(
    ['a', 'b', 'c', 'd', 'e', 'f'].map((name) =>
      as(name, 'POST', `sales/${sale}/orders`, { items: [{ sku: 'LAMP', quantity: 1 }] }, 'k').then(
        (order) => ({ name, order }),
        (error) => ({ name, error }),
      ),
    ),
  );
  const winners = burst.filter(({ order }) => order);
  assert.equal(winners.length, 3);
  for (const { error } of burst.filter(({ error }) => error)) assert.equal(error.code, 'sold_out');
  await orderButton(page).click();
  await page.getByText('Just missed it').waitFor();
  await unfreeze();
  await page.locator('.hero[data-phase="soldout"]').waitFor();
  await shot(page, 'shop-soldout-dark');
  await accessible(page, 'sold out');
  assert.deepEqual(await ordersOf('late', sale), []);
  await eventually('a winner cancels', () =>
    as(winners[0].name, 'DELETE', `sales/${sale}/orders/${winners[0].order.order_id}`),
  );
  await ready(page);
  await eventually('it is sold again', async () => {
    // released units are displayed 300 ms before they can be reserved
    await orderButton(page).click();
    await page.locator('.ticket').waitFor({ timeout: 3000 });
    return true;
  });
  assert.equal((await ordersOf('late', sale)).length, 1);
});

test('a lost response and a reload place one order', async () => {
  const sale = await openSale({ title: 'Unlimited orders', items: [CHAIR], max_orders_per_customer: null });
  const page = await visit('shop', { path: saleAt(sale), customer: 'lost' });
  await ready(page);
  const keys = new Set();
  const url = `**/v1/sales/${sale}/orders`;
  let lost = 0;
  let cutting = true;
  await page.route(url, async (route) => {
    if (route.request().method() !== 'POST') return route.continue();
    keys.add(await route.request().headerValue('idempotency-key'));
    if (!cutting) return route.continue();
    // The request is carried out, but its response is lost. (The page may be closed by then.)
    const answer = await route.fetch().catch(() => null);
    if (answer) assert.equal(answer.status(), 202);
    lost += 1;
    return route.abort('connectionreset').catch(() => {});
  });
  await orderButton(page).click();
  await page.getByText(/No response yet/).waitFor();
  await eventually('it has been tried twice', () => lost >= 2);
  assert.equal(
    await page.getByRole('button', { name: 'Stop trying' }).isVisible(),
    false,
    'it is unknown whether the order was placed',
  );
  await shot(page, 'shop-no-answer');
  await accessible(page, 'a lost response');
  await page.reload();
  await page.getByText(/No response yet/).waitFor();
  cutting = false;
  await page.locator('.ticket').waitFor();
  assert.equal(keys.size, 1, 'each attempt has the same key');
  assert.equal((await ordersOf('lost', sale)).length, 1);
  // The next tap places another order.
  await page.goto(saleAt(sale));
  await ready(page);
  await orderButton(page).click();
  await page.locator('.ticket').waitFor();
  assert.equal((await ordersOf('lost', sale)).length, 2);
});

test('a paused sale waits, and a sale that is being rebuilt accepts the order when it is ready', async () => {
  const sale = await openSale({ title: 'Interrupted', items: [LAMP] });
  const page = await visit('shop', { path: saleAt(sale), customer: 'patient' });
  await ready(page);
  await admin('POST', `sales/${sale}/pause`);
  await page.locator('.hero[data-phase="paused"]').waitFor();
  await shot(page, 'shop-paused');
  await accessible(page, 'a paused sale');
  await admin('POST', `sales/${sale}/resume`);
  await ready(page);
  const unfreeze = await freeze(page, sale);
  await admin('POST', `sales/${sale}/rebuild`);
  await until(sale, (shown) => !shown.ready);
  await orderButton(page).click();
  await page.getByText(/very busy/).waitFor();
  await unfreeze();
  await page.locator('.hero[data-phase="rebuilding"]').waitFor();
  await page.getByRole('button', { name: 'Stop trying' }).waitFor();
  await shot(page, 'shop-rebuilding');
  await accessible(page, 'a sale that is being rebuilt');
  await page.locator('.ticket').waitFor();
  assert.equal((await ordersOf('patient', sale)).length, 1);
});

test('several items with a discount, kept for pickup, to be paid later, then cancelled', async () => {
  const sale = await openSale({
    title: 'Spring cleaning',
    items: [CHAIR, LAMP, TEA],
    delivery_fee: 3000,
    free_delivery_from: 200000,
    discount_policies: [
      { id: 'SPRING', kind: 'percent', value: 15, min_total: 50000, max_discount: 20000 },
      { id: 'TEN', kind: 'percent', value: 10, min_total: 0, max_discount: null },
    ],
  });
  const page = await visit('shop', { path: saleAt(sale), customer: 'careful' });
  await page.getByRole('button', { name: 'Add one Oak chair' }).click();
  for (let n = 0; n < 3; n += 1) await page.getByRole('button', { name: 'Add one Green tea' }).click();
  assert.equal(await page.getByLabel('Discount').inputValue(), 'SPRING', 'the best discount is selected');
  await page.locator('.preferences summary').click();
  await page.locator('.choice', { hasText: 'Keep for pickup' }).click();
  await page.locator('.choice', { hasText: 'Pay later' }).click();
  await shot(page, 'shop-order-panel');
  await accessible(page, 'the order');
  // 89,000 + 3 × 9,000 = 116,000; 15% is 17,400; delivery 3,000.
  assert.equal(await orderButton(page).textContent(), 'Order · ₩101,600');
  await orderButton(page).click();
  await ticket(page, 'created');
  await page.getByText(/^Reserved for you for/).waitFor();
  await shot(page, 'shop-held');
  await accessible(page, 'an unpaid order');
  await page.getByRole('button', { name: 'Cancel order' }).click();
  await page.getByRole('dialog').waitFor();
  await shot(page, 'shop-cancel-dialog', { whole: false });
  await page.getByRole('button', { name: 'Yes, cancel it' }).click();
  await ticket(page, 'cancelled');
  await page.getByText('(at your request)').first().waitFor();
  const [order] = await ordersOf('careful', sale);
  assert.deepEqual([order.status, order.total, order.discount], ['cancelled', 101600, 17400]);
});

test('a declined card, with the keyboard alone', async () => {
  await openSale({ title: 'Tea time', items: [TEA], max_orders_per_customer: null });
  const page = await visit('shop', {});
  const press = async (key, times = 1) => {
    for (let n = 0; n < times; n += 1) await page.keyboard.press(key);
  };
  const tabTo = async (what) => {
    for (let n = 0; n < 60; n += 1) {
      await press('Tab');
      if (
        await page.evaluate(
          (text) =>
            (document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent).includes(text),
          what,
        )
      )
        return;
    }
    throw new Error(`Tab does not reach ${what}`);
  };
  await page.getByText('Tea time').waitFor();
  await tabTo('Tea time');
  await press('Enter');
  await page.getByRole('heading', { name: 'Tea time' }).waitFor();
  await page.waitForFunction(() => document.activeElement.tagName === 'H1');
  await tabTo('Delivery and payment');
  await press('Enter');
  await tabTo('approved');
  await press('ArrowDown');
  await tabTo('Sign in to order');
  await press('Enter');
  await page.getByRole('dialog').waitFor();
  await accessible(page, 'signing in');
  await shot(page, 'shop-sign-in', { whole: false });
  await page.keyboard.type('not a name');
  await press('Enter');
  await page.getByText(/^Use 1 to 64/).waitFor();
  await press('Control+A');
  await page.keyboard.type('keys');
  await press('Enter');
  await ready(page);
  await tabTo('Order ·');
  await press('Enter');
  await page.getByText(/^Please complete your shipping address/).waitFor();
  await accessible(page, 'a missing address');
  await shot(page, 'shop-address');
  // The first missing field has the focus; optional fields are in between.
  for (const [label, text] of [
    ['Full name', 'Lee Hana'],
    ['Street address', '110 Sejong-daero'],
    ['Apartment, floor', ''],
    ['Postal code', '04524'],
    ['City', 'Seoul'],
    ['Country', 'KR'],
  ]) {
    assert.ok(
      await page.getByLabel(new RegExp(`^${label}`)).evaluate((input) => input === document.activeElement),
      label,
    );
    await page.keyboard.type(text);
    await press('Tab');
  }
  await tabTo('Order ·');
  await press('Enter');
  await ticket(page, 'cancelled');
  await page.getByText('payment declined').first().waitFor();
  await shot(page, 'shop-declined');
  await accessible(page, 'a declined payment');
});

test('an order is paid from the wallet, which lists the payment', async () => {
  const sale = await openSale({ title: 'By wallet', items: [TEA] });
  await admin('POST', 'wallets/rich/credit', { amount: 50000, currency: 'KRW' }, 'gift');
  const page = await visit('shop', { path: saleAt(sale), customer: 'rich', dark: true, phone: true });
  await ready(page);
  await payBy(page, 'Wallet');
  // Without live updates the status is polled.
  await page.route('**/events', (route) => route.abort());
  await orderButton(page).click();
  await page.getByText('Updating every few seconds').waitFor();
  await ticket(page, 'delivered');
  await shot(page, 'shop-delivered-dark-phone');
  await page.getByRole('link', { name: 'Wallet' }).click();
  await page.getByText('₩41,000').waitFor();
  await shot(page, 'shop-wallet-dark-phone');
  await accessible(page, 'the wallet');
});

test('a connection that breaks while an order is followed loses no update', async () => {
  const sale = await openSale({ title: 'Torn', items: [TEA] });
  const proxy = await startProxy();
  const page = await visit('shop', {
    path: saleAt(sale),
    customer: 'torn',
    by: proxy.address,
    expected: /Failed to load resource|ERR_/,
  });
  const resumed = [];
  page.on('request', (request) => {
    if (request.url().endsWith('/events')) resumed.push(request.headers()['last-event-id']);
  });
  await ready(page);
  await orderButton(page).click();
  await page.locator('.mode[data-mode="live"]').waitFor();
  await page.locator('.steps li[data-done="true"]').nth(1).waitFor();
  proxy.cut();
  await page.locator('.mode:not([data-mode="live"])').waitFor();
  await ticket(page, 'delivered');
  assert.ok(
    resumed.length >= 2 && resumed.slice(1).every((id) => /^\d+-\d+$/.test(id)),
    `resumed after the last event: ${resumed}`,
  );
});

test('both languages have the same texts', async () => {
  const page = await visit('shop');
  const [en, ko] = await page.evaluate(() => {
    const base = document.querySelector('script[src]').src.replace(/[^/]+$/, 'texts/');
    return Promise.all(['en', 'ko'].map(async (tag) => (await import(`${base}${tag}.js`)).default));
  });
  const shape = (texts) =>
    Object.entries(texts)
      .map(([key, text]) => [key, ...(text.match(/\{\w+\}/g) ?? []).sort()].join())
      .sort();
  assert.deepEqual(shape(en), shape(ko));
});

test('in Korean, including refusals, and switched to English', async () => {
  const sale = await openSale({
    title: '한정 특가',
    items: [{ ...CHAIR, name: '참나무 의자', total: 12 }],
    opens_at: at(Date.now() + 120_000),
  });
  const list = await visit('shop', { language: 'ko', phone: true });
  await list.getByText('오픈 예정').first().waitFor();
  await shot(list, 'shop-list-korean-phone');
  await accessible(list, 'the list');
  const page = await visit('shop', { path: saleAt(sale), language: 'ko', customer: 'hana', dark: true, phone: true });
  await page.getByText('오픈까지').first().waitFor();
  assert.equal(await page.evaluate(() => document.documentElement.lang), 'ko');
  await shot(page, 'shop-countdown-korean-dark-phone', { whole: false });
  await page.goto('/#/sale/no-such-sale');
  await page.getByText('페이지를 찾을 수 없습니다.').waitFor();
  await page.getByRole('button', { name: 'View in English' }).click();
  await page.getByText('We couldn’t find this page.').waitFor();
  await page.reload();
  await page.getByText('We couldn’t find this page.').waitFor();
});

test('my orders are listed page by page', async () => {
  const sale = await openSale({ title: 'Many', items: [TEA], max_orders_per_customer: null });
  for (let n = 0; n < 12; n += 1)
    await eventually('ordered', () =>
      as('often', 'POST', `sales/${sale}/orders`, { items: [{ sku: 'TEA', quantity: 1 + (n % 3) }] }, `k${n}`),
    );
  await eventually(
    'all are settled',
    async () => (await as('often', 'GET', `sales/${sale}/orders?limit=20`)).orders.length === 12,
  );
  const page = await visit('shop', { path: '/#/orders', customer: 'often' });
  await page.locator('.order-list li').nth(9).waitFor();
  assert.equal(await page.locator('.order-list li').count(), 10);
  await page.getByRole('button', { name: 'Show more' }).click();
  await page.locator('.order-list li').nth(11).waitFor();
  await shot(page, 'shop-orders');
  await accessible(page, 'my orders');
});

test('the first view transfers little, and the next one less', async () => {
  const sale = await openSale({ title: 'Light', items: [CHAIR, LAMP, TEA] });
  for (const path of ['/', saleAt(sale)]) {
    const page = await visit('shop', { path: '/#/wallet' });
    await page.goto('about:blank');
    await page.context().clearCookies();
    const first = await weigh(page, { empty: true });
    await page.goto(path);
    await page.getByText('Oak chair').or(page.getByText('Light')).first().waitFor();
    await page.waitForLoadState('networkidle', { timeout: 2000 }).catch(() => {}); // the page keeps polling
    const bytes = first();
    console.log(`${path}: ${bytes} bytes`);
    assert.ok(bytes > 10_000 && bytes < 100_000, `${path}: ${bytes} bytes`);
    const again = await weigh(page);
    await page.reload();
    await page.getByText('Oak chair').or(page.getByText('Light')).first().waitFor();
    assert.ok(again() < bytes / 4, `again: ${again()} bytes`);
  }
});
