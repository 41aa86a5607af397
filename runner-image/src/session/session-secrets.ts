/** The secrets a session knows, in each form in which they may be printed: what terminal, diffs and events must not show. */
import type { RunnerCredentials } from '../../../shared/http.ts';
import { SECRET_MAX_CHARS, SECRET_MIN_CHARS } from '../../../shared/limits.ts';

/** Percent-encoding undone; as written where it cannot be read. */
const decodedPart = (text: string): string => {
  try {
    return decodeURIComponent(text);
  } catch {
    // A password with a plain `%`: people paste them as they are.
    return text;
  }
};

/** User and password as git sends them, or `null`. A token without a user goes with the name that hosts expect. */
export const repositoryAccess = ({
  token,
  username,
}: RunnerCredentials['repository']): { username: string; token: string } | null =>
  token === null && username === null
    ? null
    : { username: decodedPart(username ?? 'x-access-token'), token: decodedPart(token ?? '') };

/** A user is a secret where it stands for the password: alone, or with the placeholder that hosts document. */
const NO_PASSWORDS: readonly (string | null)[] = [null, 'x-oauth-basic', 'x-access-token'];

/** Too short ones are left out: to mask them would garble what is not secret. */
export const sessionSecrets = ({ model, repository }: RunnerCredentials, own: readonly string[]): string[] => {
  const { token, username } = repository;
  const access = repositoryAccess(repository);
  const all = new Set<string>(own);
  if (model.kind === 'anthropic') all.add(model.apiKey);
  for (const part of [token, NO_PASSWORDS.includes(token) ? username : null])
    if (part !== null) all.add(part).add(decodedPart(part));
  if (access !== null) all.add(Buffer.from(`${access.username}:${access.token}`).toString('base64'));
  return [...all].filter(({ length }) => length >= SECRET_MIN_CHARS && length <= SECRET_MAX_CHARS);
};
