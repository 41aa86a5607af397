/** Errors as ECS names them: the SDK turns `__type` into its typed exceptions. */

export type EcsErrorCode =
  | 'ClientException'
  | 'ClusterNotFoundException'
  | 'ConflictException'
  | 'InvalidParameterException'
  | 'InvalidSignatureException'
  | 'LimitExceededException'
  | 'SerializationException'
  | 'ServerException'
  | 'ThrottlingException'
  | 'UnknownOperationException'
  | 'UnrecognizedClientException';

export class EcsError extends Error {
  override readonly name = 'EcsError';
  readonly code: EcsErrorCode;

  constructor(code: EcsErrorCode, message: string) {
    super(message);
    this.code = code;
  }

  get status(): number {
    return this.code === 'ServerException' ? 500 : 400;
  }
}
