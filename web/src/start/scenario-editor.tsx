/** What the scripted model will do: a built-in demo to change, or a file. */
import { Field } from './field.tsx';

interface ScenarioEditorProps {
  readonly value: string;
  readonly onChange: (text: string) => void;
  readonly error?: string | undefined;
}

export const ScenarioEditor = ({ value, onChange, error }: ScenarioEditorProps) => (
  <Field
    id="scenario"
    label="Demo scenario"
    error={error}
    hint="JSON: one turn per prompt, one step per answer of the model (say, write, run, waitMs)."
  >
    {(tied) => (
      <>
        <textarea
          {...tied}
          className="field min-h-56 font-mono text-[13px] leading-relaxed"
          spellCheck={false}
          value={value}
          onChange={(event) => onChange(event.target.value)}
        />
        <label className="mt-2 inline-flex items-center gap-2 text-[13px] text-muted">
          <span>or read a file</span>
          <input
            type="file"
            accept=".json,application/json"
            className="text-[13px] file:mr-2 file:rounded-md file:border file:border-line file:bg-raised file:px-2 file:py-1 file:text-text"
            onChange={async (event) => {
              const file = event.target.files?.[0];
              if (file !== undefined) onChange(await file.text());
            }}
          />
        </label>
      </>
    )}
  </Field>
);
