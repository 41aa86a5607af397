/** WebSocket events to use-cases and back: frames parsed, an unknown type answered and never a dropped connection. */
import type { APIGatewayProxyResultV2, APIGatewayProxyWebsocketEventV2, Context } from 'aws-lambda';
import { z } from 'zod';
import { AppError, type ErrorCode } from '../../shared/errors.ts';
import { SessionId } from '../../shared/ids.ts';
import { countMetric, logUnexpected, observed } from './observe.ts';

export type SocketEvent = APIGatewayProxyWebsocketEventV2 & {
  requestContext: { authorizer?: Readonly<Record<string, unknown>>; disconnectReason?: string };
  headers?: Readonly<Record<string, string>>;
};

const MESSAGE_MAX_CHARS = 500;

const errorFrame = (code: ErrorCode, message: string, requestId: string, sessionId: string | undefined) => ({
  type: 'error',
  code,
  message,
  requestId,
  ...(sessionId === undefined ? {} : { sessionId }),
});

/** A session is named in the answer where it is one. */
const Typed = z.looseObject({ type: z.string(), sessionId: SessionId.optional().catch(undefined) });

const parseJson = (text: string | undefined): unknown => {
  try {
    return JSON.parse(text ?? '');
  } catch (error) {
    throw new AppError('invalid_frame', 'A frame is one JSON object with a type.', { cause: error });
  }
};

const parseFrame = <F>(schema: z.ZodType<F>, types: ReadonlySet<string>, value: unknown): F => {
  const typed = Typed.safeParse(value);
  if (!typed.success) throw new AppError('invalid_frame', 'A frame is one JSON object with a type.');
  if (!types.has(typed.data.type))
    throw new AppError('unknown_frame', `Frame type "${typed.data.type.slice(0, 80)}" is not known here.`);
  const frame = schema.safeParse(value);
  if (frame.success) return frame.data;
  const issue = frame.error.issues[0];
  /** Bounded: the message may repeat names out of the frame, and the answer has to fit one too. */
  const message = `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'does not fit'}`.slice(0, MESSAGE_MAX_CHARS);
  throw new AppError('invalid_frame', message);
};

/** Types of a discriminated union of frames. */
const typesOf = (schema: z.ZodType): ReadonlySet<string> => {
  const options = z.object({ options: z.array(z.any()) }).parse({ options: 'options' in schema ? schema.options : [] })
    .options as z.ZodObject[];
  return new Set(options.flatMap((option) => [...(option.shape.type as z.ZodLiteral<string>).values]));
};

/**
 * Entry of a `$default` route with a route response.
 * @param handle gets the parsed frame; what it returns goes back on the same socket
 * @param before sees what came before its schema does, and may refuse it by an AppError
 */
export const frameEntry = <F>(
  schema: z.ZodType<F>,
  handle: (frame: F, event: SocketEvent) => Promise<object | null>,
  before: (value: unknown) => void = () => {},
) => {
  const types = typesOf(schema);
  return observed(async (event: SocketEvent, context: Context): Promise<APIGatewayProxyResultV2> => {
    let sessionId: string | undefined;
    try {
      const value = parseJson(event.body);
      sessionId = Typed.safeParse(value).data?.sessionId;
      before(value);
      const reply = await handle(parseFrame(schema, types, value), event);
      return reply === null ? { statusCode: 200 } : { statusCode: 200, body: JSON.stringify(reply) };
    } catch (error) {
      /** Without a type, as the gateway's own errors: the sender resends after a back-off. */
      if (!(error instanceof AppError)) {
        logUnexpected(error, context);
        throw error;
      }
      countMetric('framesRefused');
      return {
        statusCode: 200,
        body: JSON.stringify(errorFrame(error.code, error.message, context.awsRequestId, sessionId)),
      };
    }
  });
};

/** Entry of `$connect` and `$disconnect`. */
export const connectionEntry = (ports: {
  readonly connected: (event: SocketEvent) => Promise<{ protocol?: string }>;
  readonly disconnected: (event: SocketEvent) => Promise<void>;
}) =>
  observed(async (event: SocketEvent, context: Context): Promise<APIGatewayProxyResultV2> => {
    try {
      if (event.requestContext.eventType !== 'CONNECT') {
        await ports.disconnected(event);
        return { statusCode: 200 };
      }
      const { protocol } = await ports.connected(event);
      return {
        statusCode: 200,
        ...(protocol === undefined ? {} : { headers: { 'Sec-WebSocket-Protocol': protocol } }),
      };
    } catch (error) {
      if (error instanceof AppError)
        return { statusCode: error.status, body: JSON.stringify({ code: error.code, message: error.message }) };
      logUnexpected(error, context);
      throw error;
    }
  });
