/** Session ids on the command line: one that cannot be one is unknown, like any other. */
import { SessionId } from '../shared/ids.ts';
import { CliError } from './cli-error.ts';

/** Throws CliError not_found, as the API answers for an unknown id. */
export const sessionIdOf = (text: string | undefined): SessionId => {
  const parsed = SessionId.safeParse(text);
  if (!parsed.success) throw new CliError('not_found', `There is no session "${text ?? ''}".`);
  return parsed.data;
};
