import type { Stripe } from "stripe";
import { invalidRequest } from "./api-error.ts";
import { operation, listOperation } from "./operation.ts";
import {
  bool,
  changedMetadata,
  clearable,
  listOf,
  listParamsOf,
  metadata,
  paramsOf,
  text,
} from "./params.ts";
import { idOf, type Sandbox } from "./sandbox.ts";

export type ProductDraft = {
  id?: string | undefined;
  name: string;
  active?: boolean | undefined;
  description?: string | null | undefined;
  metadata?: Record<string, string> | null | undefined;
};

export function createProduct(sandbox: Sandbox, given: ProductDraft): Stripe.Product {
  const product = sandbox.store.put("product", {
    id: given.id ?? sandbox.ids.next("prod"),
    object: "product",
    active: given.active ?? true,
    created: sandbox.now(),
    default_price: null,
    description: given.description ?? null,
    images: [],
    livemode: false,
    marketing_features: [],
    metadata: changedMetadata({}, given.metadata),
    name: given.name,
    package_dimensions: null,
    shippable: null,
    statement_descriptor: null,
    tax_code: null,
    tax_details: null,
    type: "service",
    unit_label: null,
    updated: sandbox.now(),
    url: null,
  });
  sandbox.emit("product.created", product);
  return product;
}

/** What a price is for, as its product is called; products are not deleted here. */
export const productNameOf = (sandbox: Sandbox, price: Stripe.Price): string =>
  sandbox.find("product", idOf(price.product)).name;

export const productOperations = [
  operation({
    method: "POST",
    path: "/v1/products",
    returns: "product",
    params: paramsOf<Stripe.ProductCreateParams>()({
      id: text(200).optional(),
      name: text(),
      active: bool().optional(),
      description: text().optional(),
      metadata: metadata().optional(),
    }),
    run: ({ sandbox, params }) => {
      if (params.id !== undefined && sandbox.store.get("product", params.id) !== undefined)
        throw invalidRequest("Product already exists.", {
          code: "resource_already_exists",
          param: "id",
        });
      return createProduct(sandbox, params);
    },
  }),
  operation({
    method: "GET",
    path: "/v1/products/:id",
    returns: "product",
    params: paramsOf<Stripe.ProductRetrieveParams>()({}),
    run: ({ sandbox, id }) => sandbox.find("product", id),
  }),
  operation({
    method: "POST",
    path: "/v1/products/:id",
    returns: "product",
    params: paramsOf<Stripe.ProductUpdateParams>()({
      name: text().optional(),
      active: bool().optional(),
      description: clearable(text()).optional(),
      metadata: metadata().optional(),
      default_price: text().optional(),
    }),
    run: ({ sandbox, id, params }) => {
      const before = sandbox.find("product", id);
      if (params.default_price !== undefined)
        sandbox.refer("price", params.default_price, "default_price");
      const { object, previous } = sandbox.change("product", id, {
        ...(params.name === undefined ? {} : { name: params.name }),
        ...(params.active === undefined ? {} : { active: params.active }),
        ...(params.description === undefined ? {} : { description: params.description }),
        ...(params.default_price === undefined ? {} : { default_price: params.default_price }),
        metadata: changedMetadata(before.metadata, params.metadata),
        updated: sandbox.now(),
      });
      sandbox.emit("product.updated", object, previous);
      return object;
    },
  }),
  listOperation({
    path: "/v1/products",
    of: "product",
    params: listParamsOf<Stripe.ProductListParams>()({
      active: bool().optional(),
      ids: listOf(text()).optional(),
    }),
    keep: (params) => (product) =>
      (params.active === undefined || product.active === params.active) &&
      (params.ids === undefined || params.ids.includes(product.id)),
  }),
];
