// The price of an order, by the rules of the server (`contract/src/order.rs`). The server computes it again and refuses an
// order whose expected total differs, so that a customer is never charged more than the page showed.

/// `lines`: [{sku, quantity}]. Returns {subtotal, discount, deliveryFee, total}.
export function price(sale, lines, policyId) {
  const items = new Map(sale.items.map((item) => [item.sku, item]));
  let subtotal = 0;
  for (const { sku, quantity } of lines) subtotal += (items.get(sku)?.price ?? 0) * quantity;
  const policy = sale.discount_policies.find((one) => one.id === policyId);
  const discount = policy && subtotal >= policy.min_total ? reduction(policy, subtotal) : 0;
  const nothing = !lines.some(({ quantity }) => quantity > 0);
  const free = nothing || (sale.free_delivery_from !== null && subtotal - discount >= sale.free_delivery_from);
  const deliveryFee = free ? 0 : sale.delivery_fee;
  return { subtotal, discount, deliveryFee, total: subtotal - discount + deliveryFee };
}

function reduction(policy, subtotal) {
  // Percentages of amounts near 2^53 exceed the precision of a double.
  const amount = policy.kind === 'percent' ? Number((BigInt(subtotal) * BigInt(policy.value)) / 100n) : policy.value;
  return Math.min(amount, policy.max_discount ?? subtotal, subtotal);
}

/// Returns the policy with the largest discount; null if none applies.
export function bestPolicy(sale, lines) {
  let best = null;
  let most = 0;
  for (const policy of sale.discount_policies) {
    const { discount } = price(sale, lines, policy.id);
    if (discount > most) [best, most] = [policy.id, discount];
  }
  return best;
}
