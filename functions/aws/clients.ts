/** SDK clients, one of each per process: endpoints come from the standard AWS_ENDPOINT_URL_<SERVICE> variables on both platforms. */
import { ApiGatewayManagementApiClient } from '@aws-sdk/client-apigatewaymanagementapi';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { ECSClient } from '@aws-sdk/client-ecs';
import { S3Client } from '@aws-sdk/client-s3';
import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';

const once = <T>(make: () => T): (() => T) => {
  let made: T | undefined;
  return () => {
    made ??= make();
    return made;
  };
};

export const dynamoDbClient = once(() => new DynamoDBClient({ maxAttempts: 3 }));
export const ecsClient = once(() => new ECSClient({ maxAttempts: 4 }));
/** Path style works on both platforms; a checksum is signed where we name one, never added behind our back. */
export const s3Client = once(() => new S3Client({ forcePathStyle: true, requestChecksumCalculation: 'WHEN_REQUIRED' }));
export const secretsClient = once(() => new SecretsManagerClient({}));
/** Retries are the caller's: a 429 on a post means that one viewer is slow. */
export const managementClient = (endpoint: string) => new ApiGatewayManagementApiClient({ endpoint, maxAttempts: 1 });
