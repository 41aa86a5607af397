/** Registers a runner of one's own: a group, a name, and the one command that starts it elsewhere. */
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { type FormEvent, useState } from 'react';
import { toast } from 'sonner';
import { systemRandom } from '../../../shared/clock.ts';
import { RegisterRunnerBody, type RunnerRegistered } from '../../../shared/http.ts';
import { RUNNER_SESSIONS_DEFAULT, RUNNER_SESSIONS_MAX } from '../../../shared/limits.ts';
import { registerRunner, runnersQuery } from '../api/queries.ts';
import { Field } from '../start/field.tsx';
import { SubmissionKey } from '../start/submission-key.ts';
import { Button } from '../ui/button.tsx';
import { Dialog } from '../ui/dialog.tsx';
import { Notice } from '../ui/notice.tsx';
import { clockWords } from '../ui/words.ts';

interface Form {
  readonly group: string;
  readonly name: string;
  readonly maxSessions: string;
}
type Errors = Partial<Record<keyof Form, string>>;
const EMPTY: Form = { group: '', name: '', maxSessions: String(RUNNER_SESSIONS_DEFAULT) };

const read = (form: Form) =>
  RegisterRunnerBody.safeParse({
    group: form.group.trim(),
    ...(form.name.trim() === '' ? {} : { name: form.name.trim() }),
    maxSessions: Number(form.maxSessions),
  });
const errorsOf = (parsed: ReturnType<typeof read>): Errors =>
  Object.fromEntries((parsed.error?.issues ?? []).map((issue) => [String(issue.path[0]), issue.message]));

export const RegisterRunner = ({ open, onClose }: { open: boolean; onClose: () => void }) => {
  const [form, setForm] = useState(EMPTY);
  const [errors, setErrors] = useState<Errors>({});
  const [key] = useState(() => new SubmissionKey(systemRandom));
  const queryClient = useQueryClient();
  const register = useMutation({
    mutationFn: (body: RegisterRunnerBody) => registerRunner(body, key.for(body)),
    onSuccess: async () => {
      key.used();
      await queryClient.invalidateQueries({ queryKey: runnersQuery.queryKey });
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const parsed = read(form);
    setErrors(errorsOf(parsed));
    if (parsed.success) register.mutate(parsed.data);
  };
  const close = () => {
    setForm(EMPTY);
    setErrors({});
    register.reset();
    onClose();
  };
  const input =
    (name: keyof Form, props: React.InputHTMLAttributes<HTMLInputElement> = {}) =>
    (tied: object) => (
      <input
        {...tied}
        {...props}
        className="field"
        autoComplete="off"
        value={form[name]}
        onChange={(event) => setForm({ ...form, [name]: event.target.value })}
      />
    );
  return (
    <Dialog
      open={open}
      title={register.isSuccess ? 'Run this once' : 'Register a runner'}
      onClose={close}
      testId="register"
    >
      {register.data === undefined ? (
        <form noValidate onSubmit={submit} className="space-y-4">
          <Field id="group" label="Group" error={errors.group} hint="Sessions name it: build-farm, gpu, office.">
            {input('group', { placeholder: 'build-farm', spellCheck: false })}
          </Field>
          <Field id="name" label="Name" optional error={errors.name}>
            {input('name', { placeholder: 'rack-4', spellCheck: false })}
          </Field>
          <Field id="maxSessions" label="Sessions at once" error={errors.maxSessions}>
            {input('maxSessions', { type: 'number', min: 1, max: RUNNER_SESSIONS_MAX })}
          </Field>
          {register.isError ? (
            <Notice look="danger" title="It was not registered">
              {register.error.message}
            </Notice>
          ) : null}
          <div className="flex justify-end gap-2">
            <Button onClick={close}>Cancel</Button>
            <Button type="submit" rank="primary" disabled={register.isPending} data-testid="register-submit">
              {register.isPending ? 'Registering…' : 'Register'}
            </Button>
          </div>
        </form>
      ) : (
        <Registered registered={register.data} onClose={close} />
      )}
    </Dialog>
  );
};

const Registered = ({ registered, onClose }: { registered: RunnerRegistered; onClose: () => void }) => (
  <div className="space-y-4 text-sm">
    <p className="text-muted">
      On the machine that shall run sessions of group <b className="text-text">{registered.group}</b>. The token in it
      works once, until {clockWords(Date.parse(registered.expiresAt))}, and is not shown again.
    </p>
    <Command text={registered.command} testId="runner-command" />
    <details>
      <summary className="py-1 text-muted">In a container instead</summary>
      <div className="mt-2">
        <Command text={registered.containerCommand} testId="runner-container-command" />
      </div>
    </details>
    <div className="flex justify-end">
      <Button onClick={onClose}>Done</Button>
    </div>
  </div>
);

const Command = ({ text, testId }: { text: string; testId: string }) => (
  <div className="space-y-2">
    <pre
      data-testid={testId}
      className="max-h-40 overflow-auto rounded-xl bg-terminal p-3 font-mono text-xs leading-relaxed break-all whitespace-pre-wrap text-[#d9dcde]"
    >
      {text}
    </pre>
    <Button
      small
      onClick={() =>
        void navigator.clipboard.writeText(text).then(
          () => toast.success('Command copied'),
          () => toast.error('The browser did not allow copying'),
        )
      }
    >
      Copy
    </Button>
  </div>
);
