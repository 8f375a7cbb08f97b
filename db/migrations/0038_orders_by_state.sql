-- Staff's lists of orders by their state, the newest first; most are active, and are found without. By hand, since what an
-- order is moves to other tables at this time.
CREATE INDEX "orders_state_idx" ON "orders" ("state", "id") WHERE "state" <> 'active';
