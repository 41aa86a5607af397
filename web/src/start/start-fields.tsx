/** The parts of the start form that are plain fields: repository, prompt and task. */
import { Field } from './field.tsx';
import type { FieldErrors, StartField, StartForm } from './start-form.ts';

export interface FormPartProps {
  readonly form: StartForm;
  readonly set: (change: Partial<StartForm>) => void;
  readonly errors: FieldErrors;
}
type TextField = Exclude<StartField, 'endWhenDone' | 'provider'>;

interface TextProps extends FormPartProps {
  readonly name: TextField;
  readonly label: string;
  readonly hint?: string;
  readonly placeholder?: string;
  readonly optional?: boolean;
  /** A text area of so many lines instead of one line. */
  readonly lines?: number;
  readonly mono?: boolean;
}

const TextInput = ({ form, set, errors, name, label, hint, placeholder, optional, lines, mono }: TextProps) => (
  <Field
    id={name}
    label={label}
    error={errors[name]}
    {...(hint === undefined ? {} : { hint })}
    {...(optional === undefined ? {} : { optional })}
  >
    {(tied) => {
      const common = {
        ...tied,
        name,
        placeholder,
        value: form[name],
        className: `field ${mono === true ? 'font-mono text-[13px]' : ''}`,
      };
      return lines === undefined ? (
        <input
          {...common}
          type="text"
          autoComplete="off"
          spellCheck={mono !== true}
          onChange={(event) => set({ [name]: event.target.value })}
        />
      ) : (
        <textarea {...common} rows={lines} onChange={(event) => set({ [name]: event.target.value })} />
      );
    }}
  </Field>
);

export const RepositoryFields = (part: FormPartProps) => (
  <div className="space-y-5">
    <TextInput
      {...part}
      name="repository"
      label="Repository"
      mono
      placeholder="https://github.com/owner/name.git"
      hint="An https or ssh address, git@host:path, or an absolute path on the village’s machine."
    />
    <div className="grid gap-5 sm:grid-cols-2">
      <TextInput {...part} name="ref" label="Branch, tag or commit" optional mono placeholder="the default branch" />
      <TextInput
        {...part}
        name="roomPath"
        label="Room"
        optional
        mono
        placeholder="packages/api"
        hint="Top folder the agent works in."
      />
    </div>
  </div>
);

export const TaskFields = (part: FormPartProps) => (
  <div className="space-y-5">
    <TextInput
      {...part}
      name="prompt"
      label="Prompt"
      optional
      lines={4}
      placeholder="What should the agent do first?"
      hint="Without a prompt the agent waits for you to type in the terminal."
    />
    <details className="rounded-xl border border-line bg-surface px-4 py-3" open={hasTaskError(part.errors)}>
      <summary className="py-1 text-sm font-medium">Describe a task</summary>
      <div className="mt-4 space-y-5 pb-2">
        <TextInput {...part} name="title" label="Title" optional placeholder="Shown in the list of sessions" />
        <TextInput {...part} name="goal" label="Goal" optional lines={2} />
        <TextInput {...part} name="constraints" label="Constraints" optional lines={3} hint="One per line." />
        <TextInput
          {...part}
          name="acceptance"
          label="Acceptance"
          optional
          lines={3}
          hint="One per line: how one sees that it is done."
        />
      </div>
    </details>
    <label className="flex items-start gap-2.5 text-sm">
      <input
        type="checkbox"
        className="mt-1 accent-(--c-accent-ground)"
        checked={part.form.endWhenDone}
        onChange={(event) => part.set({ endWhenDone: event.target.checked })}
        data-testid="end-when-done"
      />
      <span>
        End when done
        <span className="block text-[13px] text-muted">
          The session completes once its prompt is worked through, unless somebody leads it by typing.
        </span>
      </span>
    </label>
  </div>
);

const hasTaskError = ({ title, goal, constraints, acceptance }: FieldErrors): boolean =>
  [title, goal, constraints, acceptance].some((error) => error !== undefined);
