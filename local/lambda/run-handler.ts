/** Runs one handler once: copies what goes in and out as JSON, and stops waiting at the function's time-out. */
import type { FunctionSpec } from '../../infra/topology.ts';
import type { Clock, Random } from '../../shared/clock.ts';
import { functionArn, uuidOf } from './identity.ts';
import { PAYLOAD_MAX_BYTES } from './quotas.ts';
import type { InvokeResult, LambdaContext, LambdaHandler } from './types.ts';

const failed = (errorType: string, message: string): InvokeResult => ({ ok: false, kind: 'error', errorType, message });

/** Serialised form, or why there is none. An absent value is JSON's null, as in Lambda. */
export function toJson(
  value: unknown,
  maxBytes: number,
): { ok: true; json: string } | { ok: false; tooLarge: boolean; why: string } {
  let json: string | undefined;
  try {
    json = JSON.stringify(value === undefined ? null : value);
  } catch (error) {
    // Circular or BigInt: the caller reports it as this invocation's failure.
    return { ok: false, tooLarge: false, why: error instanceof Error ? error.message : String(error) };
  }
  if (json === undefined) return { ok: false, tooLarge: false, why: 'the value has no JSON form' };
  // Three bytes a character at most: the exact count is only needed near the cap.
  if (json.length * 3 > maxBytes && Buffer.byteLength(json) > maxBytes)
    return { ok: false, tooLarge: true, why: `it exceeds ${maxBytes} bytes` };
  return { ok: true, json };
}

function contextOf(spec: FunctionSpec, clock: Clock, random: Random, deadlineMs: number): LambdaContext {
  const awsRequestId = uuidOf(random.hex(16));
  return {
    functionName: spec.name,
    functionVersion: '$LATEST',
    invokedFunctionArn: functionArn(spec.name),
    memoryLimitInMB: String(spec.memoryMb),
    awsRequestId,
    logGroupName: `/aws/lambda/${spec.name}`,
    logStreamName: 'local',
    callbackWaitsForEmptyEventLoop: true,
    getRemainingTimeInMillis: () => Math.max(0, Math.round(deadlineMs - clock.monotonicMs())),
  };
}

function answerOf(value: unknown): InvokeResult {
  const answer = toJson(value, PAYLOAD_MAX_BYTES);
  if (!answer.ok)
    return failed(
      answer.tooLarge ? 'Function.ResponseSizeTooLarge' : 'Runtime.MarshalError',
      `The answer cannot be returned: ${answer.why}.`,
    );
  return { ok: true, payload: JSON.parse(answer.json) };
}

function failureOf(error: unknown): InvokeResult {
  if (error instanceof Error) return failed(error.name, error.message);
  return failed('Error', String(error));
}

/**
 * Calls `handler` with a copy of `eventJson`. A handler that outlives the time-out goes on in this process (it cannot be
 * killed as on AWS), but its answer is lost and its place is free again.
 */
export function runHandler(
  spec: FunctionSpec,
  handler: LambdaHandler,
  eventJson: string,
  ports: { readonly clock: Clock; readonly random: Random },
): Promise<InvokeResult> {
  const { clock, random } = ports;
  const context = contextOf(spec, clock, random, clock.monotonicMs() + spec.timeoutMs);
  return new Promise((resolve) => {
    const cancel = clock.after(spec.timeoutMs, () =>
      resolve({
        ok: false,
        kind: 'timeout',
        errorType: 'Sandbox.Timedout',
        message: `RequestId: ${context.awsRequestId} Error: Task timed out after ${(spec.timeoutMs / 1_000).toFixed(2)} seconds`,
      }),
    );
    const finish = (result: InvokeResult) => {
      cancel();
      resolve(result);
    };
    const run = async () => handler(JSON.parse(eventJson), context);
    run().then(
      (value) => finish(answerOf(value)),
      (error: unknown) => finish(failureOf(error)),
    );
  });
}
