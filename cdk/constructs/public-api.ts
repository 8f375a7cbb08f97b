import { RemovalPolicy, Stack } from "aws-cdk-lib";
import {
  CfnStage,
  HttpApi,
  HttpMethod,
  HttpRoute,
  HttpRouteKey,
  HttpStage,
  LogGroupLogDestination,
} from "aws-cdk-lib/aws-apigatewayv2";
import { HttpLambdaIntegration } from "aws-cdk-lib/aws-apigatewayv2-integrations";
import { AccessLogFormat } from "aws-cdk-lib/aws-apigateway";
import type { IFunction } from "aws-cdk-lib/aws-lambda";
import { LogGroup } from "aws-cdk-lib/aws-logs";
import { Construct } from "constructs";
import type { StageSettings } from "../stage.ts";
import { FIVE_MINUTES, type Alarms } from "./alarms.ts";

/**
 * One line a request, with what API Gateway alone knows; the API writes the rest under its own request id, with a path that is
 * cut and the caller's address (here it would be CloudFront's).
 */
const ACCESS_LOG = AccessLogFormat.custom(
  JSON.stringify({
    request_id: "$context.requestId",
    method: "$context.httpMethod",
    route: "$context.routeKey",
    status: "$context.status",
    bytes: "$context.responseLength",
    duration_ms: "$context.responseLatency",
    integration_error: "$context.integrationErrorMessage",
  }),
);

type Served = "api" | "agent-api" | "log-in" | "stripe-webhook";

/** Which paths are whose, each with every method: the function says itself which it takes. */
const ROUTES = {
  api: { id: "Everything", key: HttpRouteKey.DEFAULT },
  "agent-api": { id: "Agent", key: HttpRouteKey.with("/agent/{proxy+}", HttpMethod.ANY) },
  "log-in": { id: "LogIn", key: HttpRouteKey.with("/v1/auth/{proxy+}", HttpMethod.ANY) },
  "stripe-webhook": {
    id: "StripeWebhook",
    key: HttpRouteKey.with("/webhooks/stripe", HttpMethod.ANY),
  },
} as const satisfies Record<Served, { id: string; key: HttpRouteKey }>;
const SERVED = [
  "stripe-webhook",
  "agent-api",
  "log-in",
  "api",
] as const satisfies readonly Served[];

/**
 * What stands behind CloudFront (`front.ts`). The API is made first, so that functions may know where it is; routes follow. It
 * answers to its own address, since CloudFront comes by that; its functions answer nobody else.
 */
export class PublicApi extends Construct {
  readonly endpoint: string;
  readonly #api: HttpApi;
  readonly #settings: StageSettings;
  readonly #alarms: Alarms;

  constructor(scope: Construct, id: string, props: { settings: StageSettings; alarms: Alarms }) {
    super(scope, id);
    this.#settings = props.settings;
    this.#alarms = props.alarms;
    this.#api = new HttpApi(this, "Api", {
      apiName: Stack.of(this).stackName,
      createDefaultStage: false,
    });
    this.endpoint = this.#api.apiEndpoint;
  }

  /**
   * Agents, Stripe and log-ins to Lambdas of their own, each with its own throttle and its own concurrency, so that a busy API
   * keeps no host, payment or log-in waiting; all else to the API.
   */
  serve(targets: Readonly<Record<Served, IFunction>>): void {
    const routes = SERVED.map(
      (name) =>
        new HttpRoute(this, ROUTES[name].id, {
          httpApi: this.#api,
          routeKey: ROUTES[name].key,
          integration: new HttpLambdaIntegration(ROUTES[name].id, targets[name]),
        }),
    );
    const throttleOf = (name: Served) => {
      const { rate, burst } = this.#settings.throttle[name];
      return { rateLimit: rate, burstLimit: burst };
    };
    const stage = new HttpStage(this, "Stage", {
      httpApi: this.#api,
      stageName: "$default",
      autoDeploy: true,
      throttle: throttleOf("api"),
      accessLogSettings: {
        destination: new LogGroupLogDestination(
          new LogGroup(this, "AccessLog", {
            retention: this.#settings.logRetention,
            removalPolicy: RemovalPolicy.DESTROY,
          }),
        ),
        format: ACCESS_LOG,
      },
    });
    const made = stage.node.defaultChild;
    if (!(made instanceof CfnStage)) throw new Error("the stage is not made as it was");
    made.routeSettings = Object.fromEntries(
      SERVED.filter((name) => name !== "api").map((name) => {
        const { rateLimit, burstLimit } = throttleOf(name);
        return [
          ROUTES[name].key.key,
          { ThrottlingRateLimit: rateLimit, ThrottlingBurstLimit: burstLimit },
        ];
      }),
    );
    // Never an API without its webhook, which Stripe would take for a refusal.
    stage.node.addDependency(...routes);
    this.#alarms.when(this, "ServerErrors", {
      metric: stage.metricServerError(FIVE_MINUTES),
      threshold: 5,
      description:
        "The API answered 5xx five times in five minutes. The access log has the requests.",
    });
  }
}
