/** Secrets: generated ones get their value at creation, the others are filled by the operator and never overwritten by a deployment. */
import { CfnDeletionPolicy } from 'aws-cdk-lib';
import { CfnSecret } from 'aws-cdk-lib/aws-secretsmanager';
import { Construct } from 'constructs';
import { acknowledge } from '../acknowledge.ts';
import type { SECRETS, SecretName } from '../topology.ts';
import { ByName } from './by-name.ts';
import { pascal } from './logical-id.ts';

const SECRET_CHARS = 64;

export class Secrets extends Construct {
  readonly all = new ByName<SecretName, CfnSecret>('secret');

  constructor(scope: Construct, id: string, specs: typeof SECRETS) {
    super(scope, id);
    for (const { name, generated } of specs) {
      const secret = new CfnSecret(this, pascal(name), {
        description: `Agent Village: ${name}`,
        ...(generated
          ? { generateSecretString: { passwordLength: SECRET_CHARS, excludePunctuation: true } }
          : /** A secret without any value cannot be read at all; an empty object reads as "no key yet". */
            { secretString: '{}' }),
      });
      if (!generated) {
        secret.cfnOptions.deletionPolicy = CfnDeletionPolicy.RETAIN;
        secret.cfnOptions.updateReplacePolicy = CfnDeletionPolicy.RETAIN;
      }
      acknowledge(
        secret,
        'AwsSolutions-SMG4',
        generated
          ? 'Rotated by the operator: a schedule would log everybody out, or cut the edge from its origins, unannounced.'
          : "The vendor issues this key; only the operator can replace it in the vendor's console.",
      );
      this.all.add(name, secret);
    }
  }
}
