/** What the payment provider knows of who pays. */
export type Customers = {
  /** The address that the provider writes to: receipts, and its pages. One that was deleted there is passed over. */
  tellEmail: (customerId: string, email: string) => Promise<void>;
};
