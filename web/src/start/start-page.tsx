/** Starts a session: what to work on, who works, what to do. Everything comes from the person's hands, nothing from the address. */
import { useQuery } from '@tanstack/react-query';
import { type FormEvent, useEffect, useRef, useState } from 'react';
import { TERMINAL_DEFAULT } from '../../../shared/limits.ts';
import { ApiError } from '../api/client.ts';
import { buildsQuery, meQuery, providersQuery } from '../api/queries.ts';
import { Button } from '../ui/button.tsx';
import { Notice } from '../ui/notice.tsx';
import { Field } from './field.tsx';
import { PoolChoice } from './pool-choice.tsx';
import { ProviderChoice } from './provider-choice.tsx';
import { ScenarioEditor } from './scenario-editor.tsx';
import { type FormPartProps, RepositoryFields, TaskFields } from './start-fields.tsx';
import {
  choosingModel,
  EMPTY_FORM,
  type FieldErrors,
  fieldOfPath,
  readStartForm,
  type StartForm,
} from './start-form.ts';
import { useStart } from './use-start.ts';

const MODEL_WORDS = (model: string, hasKey: boolean): string => {
  if (model === 'scripted') return 'Demo, no key needed';
  if (model !== 'default') return model;
  return hasKey ? 'The agent’s default model' : 'The agent’s default model (no API key is set)';
};

const errorsOf = (error: unknown): FieldErrors => {
  if (!(error instanceof ApiError)) return error instanceof Error ? { form: error.message } : {};
  const field = error.path === undefined ? 'form' : fieldOfPath(error.path);
  return { [field]: error.message };
};

export const StartPage = () => {
  const [form, setForm] = useState<StartForm>(EMPTY_FORM);
  const [refused, setRefused] = useState<FieldErrors>({});
  const formRef = useRef<HTMLFormElement>(null);
  const start = useStart();
  const set = (change: Partial<StartForm>) => setForm((before) => ({ ...before, ...change }));
  const errors = { ...errorsOf(start.error), ...refused };

  const submit = (event: FormEvent) => {
    event.preventDefault();
    const read = readStartForm(form, TERMINAL_DEFAULT);
    setRefused(read.kind === 'ok' ? {} : read.errors);
    if (read.kind === 'ok') start.mutate(read.body);
    else start.reset();
  };
  const failures = Object.keys(errors).length;
  useEffect(() => {
    document.title = 'New session · Agent Village';
  }, []);
  useEffect(() => {
    if (failures > 0) formRef.current?.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus();
  }, [failures]);

  return (
    <form
      ref={formRef}
      noValidate
      onSubmit={submit}
      data-testid="start-form"
      className="mx-auto w-full max-w-2xl space-y-7 px-3 py-7 sm:px-5"
    >
      <h1 className="text-2xl font-semibold tracking-tight">New session</h1>
      <RepositoryFields form={form} set={set} errors={errors} />
      <AgentFields form={form} set={set} errors={errors} />
      {form.provider === 'shell' ? null : <TaskFields form={form} set={set} errors={errors} />}
      {errors.form === undefined ? null : (
        <Notice look="danger" title="The session was not started" testId="form-error">
          {errors.form}
        </Notice>
      )}
      <div className="sticky bottom-0 -mx-3 flex items-center justify-end gap-3 border-t border-line bg-ground/95 px-3 py-4 backdrop-blur sm:-mx-5 sm:px-5">
        {failures > 0 && errors.form === undefined ? (
          <p className="mr-auto text-sm text-danger" role="alert">
            {failures === 1 ? 'One field needs a look.' : `${failures} fields need a look.`}
          </p>
        ) : null}
        <Button type="submit" rank="primary" disabled={start.isPending} data-testid="start">
          {start.isPending ? 'Starting…' : start.isError ? 'Try again' : 'Start session'}
        </Button>
      </div>
    </form>
  );
};

const AgentFields = ({ form, set, errors }: FormPartProps) => {
  const providers = useQuery(providersQuery);
  const builds = useQuery(buildsQuery);
  const me = useQuery(meQuery);
  const chosen = providers.data?.providers.find((info) => info.provider === form.provider);
  const fitting = (builds.data?.builds ?? []).filter(
    (build) => build.status === 'ready' && (form.provider === 'shell' || build.clis[form.provider] !== undefined),
  );
  const models = chosen?.models ?? ['default'];
  const hasKey = me.data?.modelKey === true;
  // Without a key the demo is the choice that works; a person's own choice stands.
  const [choseModel, setChoseModel] = useState(false);
  const wantsDemo = me.data?.modelKey === false && models.includes('scripted') && !choseModel;
  useEffect(() => {
    const model = wantsDemo ? 'scripted' : form.model;
    const change = choosingModel(form, models.includes(model) ? model : (models[0] ?? 'default'));
    if (Object.keys(change).length > 0) set(change);
  });
  return (
    <div className="space-y-5">
      {providers.isError ? (
        <Notice look="warn" title="Agents cannot be listed">
          {providers.error.message}
        </Notice>
      ) : null}
      <PoolChoice value={form.pool} onChange={(pool) => set({ pool })} error={errors.pool} />
      <ProviderChoice
        providers={providers.data?.providers ?? []}
        value={form.provider}
        onChange={(provider) => set({ provider, buildId: '' })}
        error={errors.provider}
      />
      <div className="grid gap-5 sm:grid-cols-2">
        <Field
          id="buildId"
          label="Build"
          error={errors.buildId}
          hint={
            fitting.length === 0 && builds.isSuccess && form.provider !== 'shell'
              ? 'No ready build has this agent: npx village builds add …'
              : 'Pinned versions; no surprise updates.'
          }
        >
          {(tied) => (
            <select
              {...tied}
              className="field"
              value={form.buildId}
              onChange={(event) => set({ buildId: event.target.value })}
            >
              <option value="">Newest ready build</option>
              {fitting.map((build) => (
                <option key={build.buildId} value={build.buildId}>
                  {build.buildId}
                </option>
              ))}
            </select>
          )}
        </Field>
        {form.provider === 'shell' ? null : (
          <Field id="model" label="Model" error={errors.model}>
            {(tied) => (
              <select
                {...tied}
                className="field"
                value={form.model}
                onChange={(event) => {
                  setChoseModel(true);
                  set(choosingModel(form, event.target.value));
                }}
              >
                {models.map((model) => (
                  <option key={model} value={model}>
                    {MODEL_WORDS(model, hasKey)}
                  </option>
                ))}
              </select>
            )}
          </Field>
        )}
      </div>
      {form.model === 'scripted' && form.provider !== 'shell' ? (
        <ScenarioEditor value={form.scenario} onChange={(scenario) => set({ scenario })} error={errors.scenario} />
      ) : null}
    </div>
  );
};
