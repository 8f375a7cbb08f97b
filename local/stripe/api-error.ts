/** Stripe's error body (https://docs.stripe.com/api/errors), without what the transport adds. */
export type ErrorBody = {
  type: "invalid_request_error" | "card_error" | "idempotency_error" | "api_error";
  message: string;
  code?: string;
  param?: string;
  decline_code?: string;
  charge?: string;
  payment_intent?: object;
  payment_method?: object;
};

/** An answer of Stripe's API other than success. Handlers throw it; the transport turns it into a body. */
export class ApiError extends Error {
  override name = "ApiError";
  readonly status: number;
  readonly body: ErrorBody;
  constructor(status: number, body: ErrorBody) {
    super(body.message);
    this.status = status;
    this.body = body;
  }
}

/** A request that Stripe would refuse: 400 unless said otherwise. */
export function invalidRequest(
  message: string,
  more: { code?: string; param?: string; status?: number } = {},
): ApiError {
  const { status = 400, ...body } = more;
  return new ApiError(status, { type: "invalid_request_error", message, ...body });
}

/** The object that the path names does not exist: 404. */
export const noSuchObject = (name: string, id: string): ApiError =>
  invalidRequest(`No such ${name}: '${id}'`, {
    code: "resource_missing",
    param: "id",
    status: 404,
  });

/** The object that a parameter names does not exist: 400, with the parameter. */
export const noSuchReference = (name: string, id: string, param: string): ApiError =>
  invalidRequest(`No such ${name}: '${id}'`, { code: "resource_missing", param });
