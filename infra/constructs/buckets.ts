/** The topology's buckets, and one for the access logs of buckets and edge. */
import { Duration, RemovalPolicy } from 'aws-cdk-lib';
import {
  BlockPublicAccess,
  Bucket,
  BucketEncryption,
  type BucketProps,
  HttpMethods,
  ObjectOwnership,
} from 'aws-cdk-lib/aws-s3';
import { Construct } from 'constructs';
import type { BucketName, BucketSpec } from '../topology.ts';
import { ByName } from './by-name.ts';
import { pascal } from './logical-id.ts';

const ACCESS_LOG_DAYS = 90;
const UNFINISHED_UPLOAD_DAYS = 2;

const PRIVATE = {
  blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
  encryption: BucketEncryption.S3_MANAGED,
  enforceSSL: true,
  minimumTLSVersion: 1.2,
} as const satisfies BucketProps;

/** CloudFront writes its logs with an ACL, so ownership is "preferred" here; public access stays blocked. */
export class AccessLogs extends Construct {
  readonly bucket: Bucket;

  constructor(scope: Construct, id: string) {
    super(scope, id);
    this.bucket = new Bucket(this, 'Bucket', {
      ...PRIVATE,
      objectOwnership: ObjectOwnership.BUCKET_OWNER_PREFERRED,
      lifecycleRules: [{ expiration: Duration.days(ACCESS_LOG_DAYS) }],
      removalPolicy: RemovalPolicy.RETAIN,
    });
  }
}

/** @param readableFrom origin of the page, which reads presigned addresses; runners need no CORS */
const bucketProps = (spec: BucketSpec, logs: Bucket, readableFrom: string | null): BucketProps => ({
  ...PRIVATE,
  objectOwnership: ObjectOwnership.BUCKET_OWNER_ENFORCED,
  versioned: spec.versioned,
  removalPolicy: spec.durable ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY,
  serverAccessLogsBucket: logs,
  serverAccessLogsPrefix: `s3/${spec.name}/`,
  lifecycleRules: [
    {
      abortIncompleteMultipartUploadAfter: Duration.days(UNFINISHED_UPLOAD_DAYS),
      ...(spec.expireDays === undefined ? {} : { expiration: Duration.days(spec.expireDays) }),
    },
  ],
  ...(readableFrom === null
    ? {}
    : {
        cors: [
          {
            allowedMethods: [HttpMethods.GET, HttpMethods.HEAD],
            allowedOrigins: [readableFrom],
            allowedHeaders: ['range'],
            exposedHeaders: ['content-length', 'content-range', 'etag'],
            maxAge: 3_600,
          },
        ],
      }),
});

export class Buckets extends Construct {
  readonly all = new ByName<BucketName, Bucket>('bucket');
  readonly #logs: Bucket;

  constructor(scope: Construct, id: string, logs: Bucket) {
    super(scope, id);
    this.#logs = logs;
  }

  /** One by one, since the page's bucket comes before the edge and the others know its address. */
  add(spec: BucketSpec, readableFrom: string | null): Bucket {
    const bucket = new Bucket(this, pascal(spec.name), bucketProps(spec, this.#logs, readableFrom));
    this.all.add(spec.name, bucket);
    return bucket;
  }
}
