import { Duration, Fn } from "aws-cdk-lib";
import { Certificate } from "aws-cdk-lib/aws-certificatemanager";
import {
  AllowedMethods,
  CachePolicy,
  Distribution,
  Function as EdgeFunction,
  FunctionCode,
  FunctionEventType,
  FunctionRuntime,
  HttpVersion,
  OriginProtocolPolicy,
  OriginRequestPolicy,
  OriginSslPolicy,
  SecurityPolicyProtocol,
  ViewerProtocolPolicy,
} from "aws-cdk-lib/aws-cloudfront";
import { HttpOrigin } from "aws-cdk-lib/aws-cloudfront-origins";
import type { ISecret } from "aws-cdk-lib/aws-secretsmanager";
import { Construct } from "constructs";
import { ENTRANCE_HEADER, VIEWER_HEADER } from "#core/network/entrance-headers.ts";

/** A name of one's own for the API, with its certificate in us-east-1, where CloudFront reads it. */
export type ApiDomain = Readonly<{ name: string; certificateArn: string }>;

/** Which of the two values of the entrance's secret CloudFront sends (docs/runbooks/entrance-secret.md). */
export const ENTRANCE_KEYS = ["a", "b"] as const;
export type EntranceKey = (typeof ENTRANCE_KEYS)[number];

/**
 * Tells who is asking. "All viewer headers but Host", which API Gateway needs, leaves out the headers that CloudFront itself could
 * add (CloudFront-Viewer-Address), so a function writes one, over whatever the client sent under that name.
 */
const TELLS_VIEWER = `function handler(event) {
  var request = event.request;
  request.headers["${VIEWER_HEADER}"] = { value: event.viewer.ip };
  return request;
}`;

/**
 * CloudFront with a web ACL before the HTTP API, to which none can be attached (ADR 0028). Nothing is kept here: each answer says
 * itself how long a browser may keep it.
 */
export class Front extends Construct {
  readonly url: string;
  /** What DNS must point the name at. */
  readonly dnsTarget: string;

  constructor(
    scope: Construct,
    id: string,
    props: {
      /** As `https://….execute-api.….amazonaws.com`. */
      apiEndpoint: string;
      entrance: Pick<ISecret, "secretValueFromJson">;
      entranceKey: EntranceKey;
      webAclArn: string;
      domain: ApiDomain | undefined;
    },
  ) {
    super(scope, id);
    const { domain, entrance, entranceKey } = props;
    const distribution = new Distribution(this, "Distribution", {
      defaultBehavior: {
        origin: new HttpOrigin(Fn.select(2, Fn.split("/", props.apiEndpoint)), {
          protocolPolicy: OriginProtocolPolicy.HTTPS_ONLY,
          originSslProtocols: [OriginSslPolicy.TLS_V1_2],
          // As long as an HTTP API may take.
          readTimeout: Duration.seconds(30),
          // A reference that CloudFormation resolves: the value stands in no template.
          customHeaders: {
            [ENTRANCE_HEADER]: entrance.secretValueFromJson(entranceKey).unsafeUnwrap(),
          },
        }),
        allowedMethods: AllowedMethods.ALLOW_ALL,
        cachePolicy: CachePolicy.CACHING_DISABLED,
        originRequestPolicy: OriginRequestPolicy.ALL_VIEWER_EXCEPT_HOST_HEADER,
        // A token that was sent in clear has been read: it is not asked for again by a redirection.
        viewerProtocolPolicy: ViewerProtocolPolicy.HTTPS_ONLY,
        functionAssociations: [
          {
            eventType: FunctionEventType.VIEWER_REQUEST,
            function: new EdgeFunction(this, "TellsViewer", {
              code: FunctionCode.fromInline(TELLS_VIEWER),
              runtime: FunctionRuntime.JS_2_0,
              comment: "Berth: who is asking",
            }),
          },
        ],
      },
      httpVersion: HttpVersion.HTTP2_AND_3,
      webAclId: props.webAclArn,
      ...(domain === undefined
        ? {}
        : {
            domainNames: [domain.name],
            minimumProtocolVersion: SecurityPolicyProtocol.TLS_V1_2_2021,
            certificate: Certificate.fromCertificateArn(this, "Certificate", domain.certificateArn),
          }),
    });
    this.dnsTarget = distribution.distributionDomainName;
    this.url = `https://${domain?.name ?? distribution.distributionDomainName}`;
  }
}
