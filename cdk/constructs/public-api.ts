import { RemovalPolicy, Stack } from "aws-cdk-lib";
import {
  DomainName,
  HttpApi,
  HttpMethod,
  HttpRoute,
  HttpRouteKey,
  HttpStage,
  LogGroupLogDestination,
  SecurityPolicy,
} from "aws-cdk-lib/aws-apigatewayv2";
import { HttpLambdaIntegration } from "aws-cdk-lib/aws-apigatewayv2-integrations";
import { AccessLogFormat } from "aws-cdk-lib/aws-apigateway";
import { Certificate } from "aws-cdk-lib/aws-certificatemanager";
import type { IFunction } from "aws-cdk-lib/aws-lambda";
import { LogGroup } from "aws-cdk-lib/aws-logs";
import { Construct } from "constructs";
import type { StageSettings } from "../stage.ts";
import { FIVE_MINUTES, type Alarms } from "./alarms.ts";

/** A name of one's own for the API, with its certificate in this region. */
export type ApiDomain = Readonly<{ name: string; certificateArn: string }>;

/** One line a request, with what API Gateway alone knows; the API writes the rest under its own request id. */
const ACCESS_LOG = AccessLogFormat.custom(
  JSON.stringify({
    request_id: "$context.requestId",
    ip: "$context.identity.sourceIp",
    method: "$context.httpMethod",
    path: "$context.path",
    route: "$context.routeKey",
    status: "$context.status",
    bytes: "$context.responseLength",
    duration_ms: "$context.responseLatency",
    integration_error: "$context.integrationErrorMessage",
  }),
);

/** The one entry from the internet. The API is made first, so that functions may know its URL; routes follow. */
export class PublicApi extends Construct {
  readonly url: string;
  readonly #api: HttpApi;
  readonly #domain: DomainName | undefined;
  readonly #settings: StageSettings;
  readonly #alarms: Alarms;

  constructor(
    scope: Construct,
    id: string,
    props: { settings: StageSettings; alarms: Alarms; domain?: ApiDomain | undefined },
  ) {
    super(scope, id);
    const { domain } = props;
    this.#settings = props.settings;
    this.#alarms = props.alarms;
    this.#api = new HttpApi(this, "Api", {
      apiName: Stack.of(this).stackName,
      createDefaultStage: false,
      // With a name of its own the API answers to that one only: cookies and passkeys are bound to it.
      disableExecuteApiEndpoint: domain !== undefined,
    });
    this.#domain =
      domain &&
      new DomainName(this, "Domain", {
        domainName: domain.name,
        certificate: Certificate.fromCertificateArn(this, "Certificate", domain.certificateArn),
        securityPolicy: SecurityPolicy.TLS_1_2,
      });
    this.url = domain ? `https://${domain.name}` : this.#api.apiEndpoint;
  }

  /** What DNS must point the name at; nothing without a name. */
  get dnsTarget(): string | undefined {
    return this.#domain?.regionalDomainName;
  }

  /**
   * Stripe's webhook to its own Lambda, so that a busy API cannot keep payments waiting; log-ins to theirs, which alone
   * holds their library; all else to the API. Each gets every method of its paths, and says itself which it takes.
   */
  serve(targets: { api: IFunction; logIn: IFunction; stripeWebhook: IFunction }): void {
    const webhook = new HttpRoute(this, "StripeWebhook", {
      httpApi: this.#api,
      routeKey: HttpRouteKey.with("/webhooks/stripe", HttpMethod.ANY),
      integration: new HttpLambdaIntegration("StripeWebhook", targets.stripeWebhook),
    });
    const logIn = new HttpRoute(this, "LogIn", {
      httpApi: this.#api,
      routeKey: HttpRouteKey.with("/v1/auth/{proxy+}", HttpMethod.ANY),
      integration: new HttpLambdaIntegration("LogIn", targets.logIn),
    });
    const everything = new HttpRoute(this, "Everything", {
      httpApi: this.#api,
      routeKey: HttpRouteKey.DEFAULT,
      integration: new HttpLambdaIntegration("Api", targets.api),
    });
    const stage = new HttpStage(this, "Stage", {
      httpApi: this.#api,
      stageName: "$default",
      autoDeploy: true,
      throttle: {
        rateLimit: this.#settings.throttle.rate,
        burstLimit: this.#settings.throttle.burst,
      },
      accessLogSettings: {
        destination: new LogGroupLogDestination(
          new LogGroup(this, "AccessLog", {
            retention: this.#settings.logRetention,
            removalPolicy: RemovalPolicy.DESTROY,
          }),
        ),
        format: ACCESS_LOG,
      },
      ...(this.#domain ? { domainMapping: { domainName: this.#domain } } : {}),
    });
    // Never an API without its webhook, which Stripe would take for a refusal.
    stage.node.addDependency(webhook, logIn, everything);
    this.#alarms.when(this, "ServerErrors", {
      metric: stage.metricServerError(FIVE_MINUTES),
      threshold: 5,
      description:
        "The API answered 5xx five times in five minutes. The access log has the requests.",
    });
  }
}
