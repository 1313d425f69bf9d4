// What customers do in the storefront.

import { as, assert, eventually, openSale, shot, test, until, visit } from './kit.js';

test('the list shows what is on sale', async () => {
  await openSale({ title: 'Autumn drop', items: [{ sku: 'A', name: 'Apples', price: 10000, total: 50 }] });
  const page = await visit('shop', { phone: true });
  await page.getByRole('heading', { name: 'Autumn drop' }).waitFor();
  await shot(page, 'shop-list-phone');
});
