/** Where a session runs: shown once there are runners of one's own. */
import { useQuery } from '@tanstack/react-query';
import { HOSTED_POOL } from '../../../shared/session.ts';
import { runnersQuery } from '../api/queries.ts';
import { freeWords, groupsOf } from '../runners/runner-groups.ts';
import { Field } from './field.tsx';

interface PoolChoiceProps {
  readonly value: string;
  readonly onChange: (pool: string) => void;
  readonly error?: string | undefined;
}

export const PoolChoice = ({ value, onChange, error }: PoolChoiceProps) => {
  const runners = useQuery(runnersQuery);
  const groups = groupsOf((runners.data?.runners ?? []).filter(({ state }) => state !== 'revoked'));
  if (groups.length === 0 && value === HOSTED_POOL && error === undefined) return null;
  const chosen = groups.find(({ group }) => group === value);
  const waits = chosen !== undefined && chosen.free === 0;
  return (
    <Field
      id="pool"
      label="Runs on"
      error={error}
      hint={waits ? 'It waits in the queue until a place is free.' : 'Groups are runners of your own.'}
    >
      {(tied) => (
        <select {...tied} className="field" value={value} onChange={(event) => onChange(event.target.value)}>
          <option value={HOSTED_POOL}>The village’s own runners</option>
          {groups.map((group) => (
            <option key={group.group} value={group.group}>
              {group.group}: {freeWords(group)}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
};
